"""Query blocks: variables, their classes, and at which level a condition counts. (Whole statements: test_shards.)"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlglot import exp, parse_one

from router.planner.blocks import Block, Blocks, Unplannable, Variable
from router.planner.routes import OneOf, Reference, Slot
from tests.planner.fix_shards import shop_schema


def number(node: exp.Expr) -> Reference | None:
    """Numbers in the text stand for slots of that number."""
    return Slot(int(node.name)) if isinstance(node, exp.Literal) and node.is_int else None


def read(sql: str) -> Blocks:
    blocks = Blocks(shop_schema(), number)
    blocks.read(parse_one(sql, read="mysql"))
    return blocks


def test_sources_and_their_levels() -> None:
    blocks = read(
        "SELECT * FROM customers c JOIN regions r LEFT JOIN (SELECT * FROM orders) o ON o.customer_id = c.id "
        "WHERE EXISTS (SELECT 1 FROM items LEFT JOIN prices ON 1)"
    )
    assert [(each.alias, each.level, each.optional) for each in blocks.sources] == [
        ("c", 0, False),
        ("r", 0, False),
        ("orders", 1, True),
        ("o", 1, True),
        ("items", 2, False),
        ("prices", 3, True),
    ]


def test_the_left_of_a_right_join_is_optional() -> None:
    blocks = read("SELECT * FROM customers a JOIN customers b ON a.id = b.id AND a.id = 7 RIGHT JOIN orders o ON 1")
    assert [each.level for each in blocks.sources] == [1, 1, 0]
    assert blocks.condition((0, "id")) == [OneOf(((Slot(7),),))], "of its own class it is still known"


def test_outside_tables_are_left_alone_by_a_right_join_in_a_derived_one() -> None:
    blocks = read("SELECT * FROM customers c JOIN (SELECT 1 FROM orders a RIGHT JOIN orders b ON 1) x")
    assert [(each.alias, each.level) for each in blocks.sources] == [("c", 0), ("a", 1), ("b", 0), ("x", 0)]


def together(blocks: Blocks, one: Variable, other: Variable) -> bool:
    return blocks.find(one) == blocks.find(other)


def test_equalities_tie_tables_and_not_more() -> None:
    blocks = read(
        "SELECT * FROM customers a JOIN customers b LEFT JOIN orders o ON o.customer_id = a.id AND o.customer_id = b.id"
    )
    assert together(blocks, (0, "id"), (2, "customer_id"))
    assert not together(blocks, (0, "id"), (1, "id"))


def test_columns_of_different_kinds_are_not_tied() -> None:
    blocks = read("SELECT * FROM customers c JOIN places p ON c.name = p.code AND c.id = p.name")
    assert not together(blocks, (0, "name"), (1, "code")), "of different collations"
    assert not together(blocks, (0, "id"), (1, "name")), "a number and a text"


def test_conditions_count_at_their_level_and_further_in() -> None:
    blocks = read(
        "SELECT * FROM customers c "
        "WHERE c.id = 1 AND EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id AND c.id = 2)"
    )
    assert blocks.condition((0, "id")) == [OneOf(((Slot(1),),))]
    assert blocks.condition((1, "customer_id")) == [OneOf(((Slot(1),),))]


@pytest.mark.parametrize(
    ("sql", "variable"),
    [
        ("SELECT c.id FROM customers c", (0, "id")),
        ("SELECT ID FROM customers c", (0, "id")),
        ("SELECT (id) FROM customers", (0, "id")),
        ("SELECT total FROM customers c JOIN orders o", (1, "total")),
        ("SELECT id FROM customers c JOIN orders o", None),
        ("SELECT nothing FROM customers", None),
        ("SELECT x.id FROM customers c", None),
        ("SELECT id FROM customers c JOIN elsewhere", None),
        ("SELECT c.id FROM customers c JOIN elsewhere", (0, "id")),
        ("SELECT n FROM (SELECT id AS n FROM customers) d", (0, "id")),
        ("SELECT n FROM (SELECT id + 1 AS n FROM customers) d", None),
        ("SELECT id + 1 FROM customers", None),
    ],
)
def test_names(sql: str, variable: Variable | None) -> None:
    blocks = Blocks(shop_schema(), number)
    (block,) = blocks.read(parse_one(sql, read="mysql"))
    assert blocks.variable(block.node.expressions[0], block) == variable


def walk(block: Block) -> Iterator[Block]:
    yield block
    for inner in block.inside:
        yield from walk(inner)


def test_the_statement_walks_its_blocks() -> None:
    blocks = Blocks(shop_schema(), number)
    (block,) = blocks.read(
        parse_one("SELECT (SELECT 1) FROM (SELECT 2) a WHERE EXISTS (SELECT (SELECT 3))", read="mysql")
    )
    assert len(list(walk(block))) == 5


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM customers NATURAL JOIN orders",
        "WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r",
        "WITH r (a) AS (SELECT id FROM customers) SELECT * FROM r",
        "SELECT * FROM customers, JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$')) j",
        "SELECT * FROM strange",
    ],
)
def test_what_is_not_understood(sql: str) -> None:
    with pytest.raises(Unplannable):
        read(sql)
