"""What of a SELECT each shard may be asked by itself."""

from __future__ import annotations

import pytest
from sqlglot import exp

from router.planner.blocks import Blocks, Unplannable
from router.planner.branches import Branch, counted
from router.planner.clauses import Span
from router.planner.text import Text
from router.planner.variants import NONE
from router.sql import tree
from router.sql.facts import StatementKind
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_schema


def branch(sql: str) -> Branch:
    text = Text(sql.encode(), LexMode())
    root = tree.parse_marked(text.sql, text.tokens, StatementKind.SELECT)
    assert isinstance(root, exp.Select)
    blocks = Blocks(shop_schema(), text.reference)
    blocks.read(root)
    return Branch(root, blocks, blocks.outermost[0], text.tokens, Span(0, len(text.tokens)))


@pytest.mark.parametrize(
    ("sql", "splits", "repeats"),
    [
        ("SELECT id FROM customers", False, False),
        ("SELECT DISTINCT id, name FROM customers", False, False),
        ("SELECT DISTINCT name FROM customers", False, True),
        ("SELECT id AS x FROM customers GROUP BY x", False, False),
        ("SELECT region FROM customers GROUP BY region", True, False),
        ("SELECT id FROM customers ORDER BY COUNT(*)", True, False),
        ("SELECT id FROM customers HAVING id > 1", False, False),
        ("SELECT COUNT(*) OVER (PARTITION BY id) FROM customers", False, False),
        ("SELECT DISTINCT country, id FROM prices", False, False),
        ("SELECT DISTINCT country FROM prices", False, True),
    ],
)
def test_what_is_whole(sql: str, splits: bool, repeats: bool) -> None:
    found = branch(sql)
    found.check()
    assert (found.splits(found.columns(NONE)), found.repeats()) == (splits, repeats)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT c.id FROM customers c JOIN orders o ON o.id = c.id", "joined by something else"),
        ("SELECT r.id FROM regions r LEFT JOIN customers c ON c.region = r.id", "preserved side"),
        ("SELECT COUNT(*) OVER () FROM customers", "a window"),
        ("SELECT SCHEMA(), id FROM customers", "SCHEMA"),
        ("SELECT * FROM (SELECT id FROM customers LIMIT 1) t", "LIMIT in a derived table"),
    ],
)
def test_what_is_not(sql: str, words: str) -> None:
    with pytest.raises(Unplannable, match=words):
        branch(sql).check()


def test_distinct_values_that_are_on_one_shard() -> None:
    assert branch("SELECT COUNT(DISTINCT id) FROM customers").counts_apart()
    assert branch("SELECT COUNT(DISTINCT region, id) FROM customers").counts_apart()
    assert not branch("SELECT COUNT(DISTINCT region) FROM customers").counts_apart()


def test_limits() -> None:
    found = branch("SELECT id FROM customers LIMIT 5")
    assert counted(found.root, "limit", found.blocks) is not None
    assert counted(found.root, "offset", found.blocks) is None
    other = branch("SELECT id FROM customers LIMIT @a")
    with pytest.raises(Unplannable):
        counted(other.root, "limit", other.blocks)
