"""Groups over several shards: what is asked of each, how they are folded and computed, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planner.test_scatter import planned


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        (
            "SELECT region % 2, COUNT(*) FROM customers GROUP BY region % 2",
            {
                "asks": "SELECT region % 2, COUNT(*) FROM customers GROUP BY region % 2 ORDER BY 1",
                "groups": ["0 by_type"],
                "aggregates": ["sum 1"],
            },
        ),
        (
            "SELECT region % 2, COUNT(*) FROM customers GROUP BY 1 ORDER BY 2",
            {
                "asks": "SELECT region % 2, COUNT(*) FROM customers GROUP BY 1 ORDER BY 1",
                "groups": ["0 by_type"],
                "aggregates": ["sum 1"],
                "then_by": ["1 decimal"],
            },
        ),
        (
            "SELECT 'x', COUNT(*)+1, SUM(id)/COUNT(*), AVG(id*2) FROM customers HAVING COUNT(*) > 3",
            {
                "asks": (
                    "SELECT 'x', COUNT(*)+1, SUM(id)/COUNT(*), AVG(id*2) , COUNT( id*2 ) , SUM( id*2 ) , "
                    "@@div_precision_increment , SUM(id) , COUNT(*) FROM customers"
                ),
                "aggregates": ["sum -1", "sum -2", "avg 3"],
                "computed": [1, 2],
                "having": True,
            },
        ),
        (
            "SELECT region, COUNT(DISTINCT name), SUM(id) FROM customers GROUP BY region HAVING "
            "SUM(id) BETWEEN 3 AND 5 OR region IS NULL ORDER BY COUNT(*) DESC",
            {
                "asks": (
                    "SELECT region, COUNT(DISTINCT name), SUM(id) , COUNT(*) , WEIGHT_STRING(`name` AS "
                    "CHAR(40)) FROM customers GROUP BY region , name ORDER BY 1 , name"
                ),
                "groups": ["0 integer", "-1 bytes"],
                "aggregates": ["distinct sum 1", "sum 2", "sum -2"],
                "having": True,
                "then_by": ["-2 decimal desc"],
            },
        ),
        (
            "SELECT COUNT(DISTINCT region), COUNT(DISTINCT born, region) FROM customers",
            {
                "asks": (
                    "SELECT COUNT(DISTINCT region), COUNT(DISTINCT born, region) , `born` , `region` FROM customers "
                    "GROUP BY region , born ORDER BY region , born"
                ),
                "groups": ["-1 integer", "-2 bytes"],
                "aggregates": ["distinct sum 0", "distinct sum 1"],
            },
        ),
        (
            "SELECT COUNT(DISTINCT region) FROM customers",
            {
                "asks": "SELECT COUNT(DISTINCT region) , `region` FROM customers GROUP BY region ORDER BY region",
                "groups": ["-1 integer"],
                "aggregates": ["distinct sum 0"],
            },
        ),
        (
            "SELECT COUNT(DISTINCT id) FROM customers",
            {"asks": "SELECT COUNT(DISTINCT id) FROM customers", "aggregates": ["sum 0"]},
        ),
        (
            "SELECT UPPER(name), MIN(born) m FROM customers GROUP BY name ORDER BY m, UPPER(name)",
            {
                "asks": (
                    "SELECT UPPER(name), MIN(born) m , MIN( IF(CONCAT('a', LEFT( UPPER(name) , 0)) = CONCAT('a "
                    "', LEFT( UPPER(name) , 0)), WEIGHT_STRING(CONCAT( UPPER(name) ) AS CHAR(128)), "
                    "WEIGHT_STRING(CONCAT( UPPER(name) ))) ) , WEIGHT_STRING(`name` AS CHAR(40)) FROM "
                    "customers GROUP BY name ORDER BY name"
                ),
                "groups": ["-1 bytes"],
                "aggregates": ["min 1"],
                "then_by": ["1 bytes", "0 by_type or weights -2"],
            },
        ),
    ],
)
def test_what_is_asked(sql: str, parts: dict[str, Any]) -> None:
    assert planned(sql) == parts


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT region % 2, COUNT(*) FROM customers GROUP BY region % 3", "MOD over groups"),
        ("SELECT name AS id, COUNT(*) FROM customers GROUP BY region", "COLUMN over groups"),
        ("SELECT region AS x, COUNT(*) FROM customers GROUP BY level, x + 1", "'x' inside an expression"),
        ("SELECT COUNT(*) AS n FROM customers GROUP BY n", "GROUP BY of an aggregate"),
        ("SELECT COUNT(*) FROM customers GROUP BY 1", "GROUP BY of an aggregate"),
        ("SELECT COUNT(*) FROM customers GROUP BY region ORDER BY name", "ORDER BY COLUMN"),
        ("SELECT *, COUNT(*) FROM customers", "* over groups"),
        ("SELECT DISTINCT region, COUNT(*) FROM customers GROUP BY region", "DISTINCT over groups"),
        ("SELECT COUNT(DISTINCT 1) FROM customers", "of a constant"),
        ("SELECT 'x', COUNT(DISTINCT region) FROM customers", "something else than aggregates"),
        ("SELECT COUNT(DISTINCT note) FROM customers", "of type text"),
        ("SELECT COUNT(*) % 2 FROM customers", "MOD of aggregates"),
        ("SELECT BIT_OR(id) + 1 FROM customers", "BIT_OR() in an expression"),
        ("SELECT MIN(name) + 1 FROM customers", "MIN() in an expression"),
        ("SELECT CONCAT(COUNT(*), 'x') FROM customers", "CONCAT() of aggregates"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*)", "HAVING with COUNT()"),
        ("SELECT region FROM customers GROUP BY region HAVING born > 1", "HAVING with COLUMN"),
        ("SELECT name FROM customers GROUP BY name HAVING name > 1", "HAVING with column 'name'"),
        ("SELECT COUNT(*) AS region FROM customers GROUP BY region HAVING region > 1", "may mean several things"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*) > 'x'", "no plain number"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*) IN (SELECT 1)", "HAVING with IN"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*) LIKE 1", "HAVING with LIKE"),
        ("SELECT region FROM customers GROUP BY region HAVING NOT COUNT(*) > 1", "HAVING with NOT, which depends"),
        ("SELECT region FROM customers GROUP BY region HAVING NOT (COUNT(*)) > 1", "HAVING with NOT, which depends"),
        ("SELECT region FROM customers GROUP BY region HAVING COUNT(*) = 1 || COUNT(*) = 2", "HAVING with ||"),
        ("SELECT region FROM customers GROUP BY region HAVING !(COUNT(*) = 1)", "HAVING with !"),
    ],
)
def test_what_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    assert isinstance(several, str), several
    assert construct in several


@pytest.mark.parametrize(
    ("sql", "asks", "merged"),
    [
        (
            "SELECT GROUP_CONCAT(name) FROM customers",
            "SELECT GROUP_CONCAT(name) , @@group_concat_max_len FROM customers",
            {"aggregates": ["concat 0"]},
        ),
        (
            "SELECT region, GROUP_CONCAT(name ORDER BY born DESC, id SEPARATOR '; ') FROM customers GROUP BY region",
            "SELECT region, GROUP_CONCAT(name ORDER BY born DESC, id SEPARATOR '; ') , @@group_concat_max_len , '; ' , "
            "`id` , `born` FROM customers GROUP BY region , born , id ORDER BY 1 , born DESC , id",
            {"groups": ["0 integer", "-1 bytes desc", "-2 integer"], "aggregates": ["concat 1"]},
        ),
        (
            "SELECT GROUP_CONCAT(DISTINCT region), COUNT(DISTINCT region), COUNT(*) FROM customers",
            "SELECT GROUP_CONCAT(DISTINCT region), COUNT(DISTINCT region), COUNT(*) , @@group_concat_max_len , "
            "`region` FROM customers GROUP BY region ORDER BY region",
            {"groups": ["-1 integer"], "aggregates": ["distinct concat 0", "distinct sum 1", "sum 2"]},
        ),
    ],
)
def test_group_concat(sql: str, asks: str, merged: dict[str, Any]) -> None:
    assert planned(sql) == {"asks": asks, **merged}


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ("SELECT GROUP_CONCAT(id ORDER BY 1) FROM customers", "what may be NULL"),
        ("SELECT GROUP_CONCAT(id ORDER BY id % 3) FROM customers", "what may be NULL"),
        ("SELECT GROUP_CONCAT(DISTINCT region ORDER BY id) FROM customers", "in the order of something else"),
        ("SELECT GROUP_CONCAT(DISTINCT region, id) FROM customers", "of several expressions"),
        ("SELECT GROUP_CONCAT(id ORDER BY id), COUNT(DISTINCT region) FROM customers", "DISTINCT or in an order"),
        ("SELECT GROUP_CONCAT(id ORDER BY id), GROUP_CONCAT(id ORDER BY id DESC) FROM customers", "or in an order"),
        ("SELECT GROUP_CONCAT(nothing) FROM customers", "of unknown length"),
        ("SELECT GROUP_CONCAT(id) AS g FROM customers ORDER BY g", "ORDER BY GROUP_CONCAT()"),
        ("SELECT COUNT(*) FROM customers HAVING GROUP_CONCAT(id) > 1", "GROUP_CONCAT() in an expression"),
    ],
)
def test_group_concat_that_is_refused(sql: str, construct: str) -> None:
    several = planned(sql)
    assert isinstance(several, str), several
    assert construct in several


@pytest.mark.parametrize(
    "having",
    [
        "NOT (COUNT(*) > 1)",
        "NOT (COUNT(*) > 1) AND region IS NOT NULL",
        "(NOT (COUNT(*) IN (1, 2))) OR region NOT IN (3) OR region NOT BETWEEN 1 AND 2",
    ],
)
def test_not_that_any_sql_mode_reads_alike(having: str) -> None:
    assert planned(f"SELECT region FROM customers GROUP BY region HAVING {having}")["having"] is True


def test_values_that_decide_the_shard_are_counted_there() -> None:
    assert "groups" not in planned("SELECT COUNT(DISTINCT id), COUNT(DISTINCT id, region) FROM customers")
    assert planned("SELECT COUNT(DISTINCT region, born) FROM customers")["groups"] == ["-1 integer", "-2 bytes"]
