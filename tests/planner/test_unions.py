"""UNIONs over several shards: what is asked, how rows are merged, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planner.test_scatter import planned

NAMES = "WEIGHT_STRING(`name` AS CHAR(40))"


@pytest.mark.parametrize(
    ("sql", "asks", "parts"),
    [
        (
            "SELECT id FROM customers UNION ALL SELECT id FROM orders",
            "SELECT id FROM customers UNION ALL SELECT id FROM orders",
            {},
        ),
        (
            "(SELECT id FROM customers) UNION ALL (SELECT id FROM orders) ORDER BY 1 DESC LIMIT 3",
            "( SELECT id FROM customers ) UNION ALL ( SELECT id FROM orders ) ORDER BY 1 DESC LIMIT 3",
            {"merge": ["0 by_type desc"]},
        ),
        (
            "SELECT id, name AS n FROM customers WHERE id < 3 UNION SELECT region, name FROM customers ORDER BY n",
            f"SELECT id, name AS n , {NAMES} FROM customers WHERE id < 3 UNION SELECT region, name , {NAMES} "
            "FROM customers ORDER BY 2, 1",
            {"merge": ["-1 bytes", "0 by_type"], "distinct": True},
        ),
        (
            "SELECT name, name FROM customers UNION SELECT name, name FROM customers",
            f"SELECT name, name , {NAMES} , {NAMES} FROM customers UNION SELECT name, name , {NAMES} , {NAMES} "
            "FROM customers ORDER BY 1, 2",
            {"merge": ["-1 bytes", "-2 bytes"], "distinct": True},
        ),
        (
            "SELECT id FROM customers UNION ALL SELECT id FROM orders UNION SELECT id FROM items",
            "SELECT id FROM customers UNION ALL SELECT id FROM orders UNION SELECT id FROM items ORDER BY 1",
            {"merge": ["0 by_type"], "distinct": True},
        ),
        (
            "SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id UNION ALL SELECT id, 0 FROM customers",
            "SELECT customer_id, COUNT(*) FROM orders GROUP BY customer_id UNION ALL SELECT id, 0 FROM customers",
            {},
        ),
    ],
)
def test_what_is_asked(sql: str, asks: str, parts: dict[str, Any]) -> None:
    assert planned(sql) == {"asks": asks, "pushes_limit": True, **parts}


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT id FROM customers UNION SELECT id FROM orders UNION ALL SELECT 1 FROM items", "UNION ALL after UNION"),
        ("SELECT id FROM customers EXCEPT SELECT id FROM orders", "EXCEPT over several shards"),
        ("SELECT COUNT(*) FROM customers UNION ALL SELECT 1 FROM orders", "groups of several shards"),
        ("SELECT DISTINCT name FROM customers UNION ALL SELECT 1 FROM orders", "DISTINCT over several shards"),
        ("(SELECT id FROM customers LIMIT 3) UNION ALL SELECT id FROM orders", "LIMIT in a UNION"),
        ("SELECT id FROM customers UNION ALL SELECT id FROM regions", "or used apart"),
        ("SELECT * FROM customers UNION SELECT * FROM customers", "UNION of *"),
        ("SELECT * FROM customers UNION ALL SELECT * FROM customers ORDER BY 1", "ORDER BY of a UNION of *"),
        ("SELECT id FROM customers UNION ALL SELECT id FROM orders ORDER BY id + 1", "something else than its columns"),
        ("SELECT id FROM customers UNION ALL SELECT id FROM orders ORDER BY 2", "something else than its columns"),
        ("SELECT id, name FROM customers UNION SELECT id FROM orders", "different numbers of columns"),
        ("((SELECT id FROM customers) UNION ALL SELECT id FROM orders) UNION ALL SELECT 1 FROM orders", "of this form"),
        ("SELECT note FROM customers UNION SELECT note FROM customers", ""),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    if construct:
        assert isinstance(several, str), several
        assert construct in several
    else:  # by its type, when the servers have told
        assert several["merge"] == ["0 by_type"]
