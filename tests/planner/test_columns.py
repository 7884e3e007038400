"""What names mean, and which columns are added for ORDER BY and DISTINCT."""

from __future__ import annotations

from typing import Any

import pytest

from router.planner.plan import Sharded
from router.planner.planner import PlanContext
from router.sql.lexer import LexMode
from tests.planner.test_scatter import PLANNER, planned


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (
            "SELECT id FROM customers ORDER BY 1",
            {"asks": "SELECT id FROM customers ORDER BY 1", "merge": ["0 integer"], "pushes_limit": True},
        ),
        (
            "SELECT id, region+1 FROM customers ORDER BY region+1, 1 DESC LIMIT 3",
            {
                "asks": "SELECT id, region+1 FROM customers ORDER BY region+1, 1 DESC LIMIT 3",
                "merge": ["1 by_type", "0 integer desc"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT id FROM customers ORDER BY UPPER(name)",
            {
                "asks": (
                    "SELECT id , IF(CONCAT('a', LEFT( UPPER(name) , 0)) = CONCAT('a ', LEFT( UPPER(name) , "
                    "0)), WEIGHT_STRING(CONCAT( UPPER(name) ) AS CHAR(128)), WEIGHT_STRING(CONCAT( UPPER(name) "
                    "))) , UPPER(name) FROM customers ORDER BY UPPER(name)"
                ),
                "merge": ["-1 by_type or weights -2"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT UPPER(name) AS n FROM customers ORDER BY n",
            {
                "asks": (
                    "SELECT UPPER(name) AS n , IF(CONCAT('a', LEFT( UPPER(name) , 0)) = CONCAT('a ', LEFT( "
                    "UPPER(name) , 0)), WEIGHT_STRING(CONCAT( UPPER(name) ) AS CHAR(128)), "
                    "WEIGHT_STRING(CONCAT( UPPER(name) ))) FROM customers ORDER BY n"
                ),
                "merge": ["0 by_type or weights -1"],
                "pushes_limit": True,
            },
        ),
        (
            "SELECT DISTINCT region+1, UPPER(name) FROM customers ORDER BY 2",
            {
                "asks": (
                    "SELECT DISTINCT region+1, UPPER(name) , IF(CONCAT('a', LEFT( UPPER(name) , 0)) = "
                    "CONCAT('a ', LEFT( UPPER(name) , 0)), WEIGHT_STRING(CONCAT( UPPER(name) ) AS CHAR(128)), "
                    "WEIGHT_STRING(CONCAT( UPPER(name) ))) FROM customers ORDER BY 2, 1"
                ),
                "merge": ["1 by_type or weights -1", "0 by_type"],
                "distinct": True,
                "pushes_limit": True,
            },
        ),
    ],
)
def test_what_is_asked(sql: str, parts: dict[str, Any]) -> None:
    assert planned(sql) == parts


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT name AS id, id AS name FROM customers ORDER BY id + 1", "a column and something else"),
        ("SELECT name AS x, id AS x FROM customers ORDER BY x", "several selected expressions"),
        ("SELECT id FROM customers ORDER BY x + 1", "which cannot be told for certain"),
        ("SELECT id FROM customers ORDER BY 'id'", "a constant"),
        ("SELECT id FROM customers ORDER BY -1", "a constant"),
        ("SELECT *, id FROM customers ORDER BY 2", "a position that is not among the columns"),
        ("SELECT id FROM customers ORDER BY 0", "a constant"),
        ("SELECT id FROM customers ORDER BY - -1", "a constant"),
        ("SELECT id FROM customers ORDER BY 1 + 1", "a constant"),
        ("SELECT region, COUNT(*) FROM customers GROUP BY - -1", "a constant"),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    assert isinstance(several, str), several
    assert construct in several


def test_one_plan_for_all_positions() -> None:
    """Statements that differ in literals only have one plan, which does not mix up what these say."""
    one, two = (planned(f"SELECT id, region FROM customers ORDER BY {number}") for number in (1, 2))
    assert (one["merge"], two["merge"]) == (["0 integer"], ["1 integer"])
    same, other = (planned(f"SELECT region % 5, COUNT(*) FROM customers GROUP BY region % {by}") for by in (5, 7))
    assert same["groups"] == ["0 by_type"]
    assert isinstance(other, str)
    sum_of = "SELECT id, id % 2 FROM customers ORDER BY id % {}"
    assert planned(sum_of.format(2))["merge"] == ["1 by_type"]
    assert planned(sum_of.format(3))["merge"] == ["-1 by_type"]


def test_positions_in_a_character_set_in_which_literals_are_not_certain() -> None:
    text, mode = "SELECT id, 'ä' FROM customers ORDER BY 1".encode("gbk", "replace"), LexMode(unsafe_charset="gbk")
    text = text.replace(b"?", "啊".encode("gbk"))
    plan = PLANNER.plan(text, PlanContext("app", "shop", mode))
    assert isinstance(plan, Sharded)
    assert plan.scatter is None
    assert "a constant" in plan.refused.error.message


def test_a_name_means_what_is_selected_under_it() -> None:
    assert planned("SELECT `ID`, Customers.id FROM customers ORDER BY (customers.ID)")["merge"] == ["0 integer"]
