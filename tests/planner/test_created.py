"""Columns out of CREATE TABLE statements."""

from __future__ import annotations

import pytest

from router.cluster.schema import defined
from router.planner.created import Created, Unreadable, tables_of
from router.planner.keys import KeyKind, KeyType

DUMP = """
/*!40101 SET NAMES utf8mb4 */;
-- a; comment
DROP TABLE IF EXISTS `orders`;
CREATE TABLE `orders` (
  `Id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `customer_id` int(11) NOT NULL DEFAULT '0',
  `code` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT NULL COMMENT 'a; b',
  `name` char(4) NOT NULL,
  `total` decimal(10,2) DEFAULT 1.50,
  `at` datetime(3) NOT NULL,
  `done` boolean,
  `data` varbinary(16) NOT NULL,
  PRIMARY KEY (`Id`),
  UNIQUE KEY `by_code` (`code`,`customer_id`),
  KEY `by_customer` (`customer_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO orders VALUES (1);
CREATE TABLE shop.notes (n INT PRIMARY KEY, u INT UNIQUE)
"""


def test_tables_of_a_dump() -> None:
    orders, notes = tables_of(DUMP)
    assert (orders.name, notes.name) == ("orders", "notes")
    assert orders.unique == (("id",), ("code", "customer_id"))
    assert notes.unique == (("n",), ("u",))


def test_definitions() -> None:
    found = defined(tables_of(DUMP))
    orders = found["orders"]
    columns = orders.columns
    assert list(columns) == ["id", "customer_id", "code", "name", "total", "at", "done", "data"]
    assert columns["id"].key == KeyType(KeyKind.INTEGER, 0, 2**64 - 1, generates=True)
    assert columns["customer_id"].key == KeyType(KeyKind.INTEGER, -(2**31), 2**31 - 1)
    assert columns["name"].key == KeyType(KeyKind.TEXT, high=4, ordered=True, collation="utf8mb4_bin")
    assert columns["code"].collation == "latin1_bin"
    assert columns["total"].key == KeyType(KeyKind.DECIMAL, high=10**8 - 1, scale=2)
    assert columns["at"].key == KeyType(KeyKind.DATETIME, scale=3)
    assert columns["done"].type == "tinyint"
    assert columns["data"].key == KeyType(KeyKind.BINARY, high=16)
    assert (columns["code"].nullable, columns["customer_id"].nullable, columns["id"].nullable) == (True, False, False)
    assert (columns["customer_id"].optional, columns["name"].optional) == (True, False)
    assert orders.unique == (frozenset({"id"}),)
    assert orders.ambiguous
    assert not found["notes"].columns["n"].nullable


def test_letters_of_collations_for_any_case() -> None:
    (table,) = defined(tables_of("CREATE TABLE t (a VARCHAR(5))")).values()
    key = table.columns["a"].key
    assert key is not None
    assert key.fold is not None
    assert (key.fold[ord("a")], key.fold[ord("A")], key.fold[ord("_")]) == (65, 65, 95)


@pytest.mark.parametrize("text", ["CREATE TABLE t LIKE u", "CREATE TABLE t (a INT", "CREATE TABLE t"])
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(Unreadable, match="CREATE TABLE t"):
        list(tables_of(text))


def test_nothing_to_read() -> None:
    assert list(tables_of("")) == []
    assert isinstance(next(tables_of("create table t (a int)")), Created)
