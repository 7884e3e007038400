"""DDL: the tables it is about, and what it must not do to sharded ones."""

from __future__ import annotations

import pytest

from router.planner import ddl
from router.planner.plan import Refused, Relay, Sharded
from router.planner.routes import Unplannable
from router.sql.lexer import LexMode, tokens_of
from tests.planner.fix_shards import shop_context, shop_planner


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("CREATE TABLE t (a INT)", ["t"]),
        ("CREATE OR REPLACE TABLE IF NOT EXISTS `T x` (a INT)", ["t x"]),
        ("CREATE TABLE db.t (a INT)", ["t"]),
        ("CREATE UNIQUE INDEX i USING BTREE ON t (a)", ["t"]),
        ("CREATE INDEX i ON `db`.`t` (a)", ["t"]),
        ("ALTER TABLE t ADD COLUMN orders INT", ["t"]),
        ("ALTER ONLINE IGNORE TABLE IF EXISTS t ENGINE = InnoDB", ["t"]),
        ("DROP TABLE IF EXISTS a, db.b, `c` CASCADE", ["a", "b", "c"]),
        ("DROP INDEX i ON t", ["t"]),
        ("TRUNCATE t", ["t"]),
        ("TRUNCATE TABLE t;", ["t"]),
    ],
)
def test_the_tables_of_a_statement(sql: str, tables: list[str]) -> None:
    assert ddl.targets(tokens_of(sql.encode(), LexMode())) == tables


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMPORARY TABLE t (a INT)",
        "CREATE TABLE t SELECT * FROM u",
        "CREATE TABLE t (a INT) AS SELECT 1",
        "CREATE VIEW t AS SELECT 1",
        "RENAME TABLE t TO u",
        "DROP TABLE t WAIT 5",
        "DROP TABLE 't'",
        "ALTER TABLE",
        "DROP INDEX i",
        "DROP DATABASE t",
    ],
)
def test_what_is_not_certain(sql: str) -> None:
    with pytest.raises(Unplannable):
        ddl.targets(tokens_of(sql.encode(), LexMode()))


def test_it_is_for_all_shards_that_have_the_table() -> None:
    plan = shop_planner().plan(b"ALTER TABLE customers ADD note INT DEFAULT 5", shop_context())
    assert isinstance(plan, Sharded)
    assert plan.spread is not None
    assert plan.spread.ddl
    assert plan.spread.shards == (0, 1, 2)


def test_other_tables_are_left_to_their_group() -> None:
    plan = shop_planner().plan(b"CREATE TABLE elsewhere (orders INT)", shop_context())
    assert isinstance(plan, Relay)
    assert plan.shard is None


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("ALTER TABLE customers DROP COLUMN id", "its key"),
        ("ALTER TABLE customers MODIFY `id` BIGINT", "its key"),
        ("ALTER TABLE customers RENAME TO clients", "RENAME"),
        ("ALTER TABLE customers RENAME AS clients", "RENAME"),
        ("ALTER TABLE customers CONVERT TO CHARACTER SET latin1", "CONVERT"),
        ("DROP TABLE customers, elsewhere", "several places"),
        ("CREATE TRIGGER customers BEFORE INSERT ON customers FOR EACH ROW SET @a = 1", "DDL of this kind"),
    ],
)
def test_what_would_move_rows_or_tables_is_refused(sql: str, why: str) -> None:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Refused), plan
    assert why in plan.error.message
