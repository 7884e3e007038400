"""One logical database over several shards: statements about one shard reach it, all others are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.planner.sharding import Hash
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct, settings_for
from tests.integration.bank import ACCOUNTS, amounts, bank, fill, refused, rows
from tests.integration.twins import Session

SHARDS = ["market_0", "market_1", "market_2"]
TABLES = {
    "customers": "id INT PRIMARY KEY, name VARCHAR(40), region INT",
    "orders": "id BIGINT, customer_id BIGINT NOT NULL, total DECIMAL(10,2), PRIMARY KEY (id, customer_id)",
    "regions": "id INT PRIMARY KEY, name VARCHAR(40)",
    "counters": "id INT AUTO_INCREMENT PRIMARY KEY, n INT",
    "codes": "code VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT",
}


def place(key: int) -> str:
    """The database of a customer."""
    return SHARDS[Hash(len(SHARDS)).shard((key,))]


@pytest.fixture
def market(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> Iterator[Connection]:
    """A session on database ``market``: three shards on one server, and a database for all other tables."""
    primary = server_set.primary
    for database in ("market", *SHARDS):
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    primary.execute("CREATE TABLE market.notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(40))")
    for database in SHARDS:
        for table, columns in TABLES.items():
            primary.execute(f"CREATE TABLE {database}.{table} ({columns})")
        primary.execute(f"INSERT INTO {database}.regions VALUES (1, 'north'), (2, 'south')")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "market": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(SHARDS)},
            "transactions": "single",
            "tables": {
                "customers": {"shard_by": "id", "function": "hash"},
                "orders": {"shard_by": "customer_id", "with": "customers"},
                "regions": {"broadcast": True},
                "codes": {"shard_by": "code", "function": "hash"},
                "counters": {"shard_by": "id", "function": "hash"},
            },
        }
    }
    router = start_router(settings)
    with router.connect(database="market", autocommit=True) as connection:
        yield connection
    for database in ("market", *SHARDS):
        primary.execute(f"DROP DATABASE {database}")


def test_rows_live_where_the_function_says(market: Connection, server_set: ReplicaSet) -> None:
    for key in range(1, 30):
        rows(market, f"INSERT INTO customers VALUES ({key}, 'c{key}', {key % 2 + 1})")
        rows(market, f"INSERT INTO orders (total, customer_id, id) VALUES (1.5, '{key}', {key * 10}), (2, {key}.0, 7)")
    for key in range(1, 30):
        found = server_set.primary.execute(f"SELECT name FROM {place(key)}.customers WHERE id = {key}")
        assert found == [(f"c{key}",)]
        assert rows(market, f"SELECT name FROM customers WHERE id = {key}") == [(f"c{key}",)]
        joined = rows(
            market,
            "SELECT c.name, SUM(o.total), r.name FROM orders o JOIN customers c ON o.customer_id = c.id "
            f"JOIN regions r ON r.id = c.region WHERE c.id = {key} GROUP BY c.id, r.name",
        )
        assert joined == [(f"c{key}", 3.5, ["north", "south"][key % 2])]
    assert len(set(map(place, range(1, 30)))) == 3
    with market.cursor() as cursor:
        assert cursor.execute("UPDATE orders SET total = 9 WHERE customer_id = 5") == 2
        assert cursor.execute("DELETE FROM orders WHERE customer_id = 5 AND id = 7") == 1
    assert rows(market, "SELECT id, total FROM orders WHERE customer_id = 5") == [(50, 9)]


def test_prepared_statements_go_where_their_values_say(market: Connection, server_set: ReplicaSet) -> None:
    session = Session(market)
    session.prepare("insert", "INSERT INTO customers (name, id, region) VALUES (?, ?, 1)")
    session.prepare("read", "SELECT name FROM customers WHERE id = ? AND region = 1")
    session.prepare("fixed", "SELECT name FROM customers WHERE id = 7")
    for key in range(1, 30):
        assert session.execute("insert", f"c{key}", key)[0][:1] == b"\0"
    for key in range(1, 30):
        assert server_set.primary.execute(f"SELECT name FROM {place(key)}.customers WHERE id = {key}") == [(f"c{key}",)]
        for spelled in (key, str(key)):
            found = session.execute("read", spelled)
            assert len(found) == 5
            assert found[3].endswith(f"c{key}".encode())
    assert session.execute("read", 1000)[3][:1] == b"\xfe", "no row"
    assert session.execute("fixed")[3].endswith(b"c7")
    session.prepare("read", "SELECT name FROM customers WHERE id = ? AND region = 1")
    assert session.execute("read", "7x")[3].endswith(b"c7"), "looked for on every shard; the server warns"
    if server_set.flavor == "mysql":
        session.execute("read", 8)
        (refused,) = session.execute("read", "7x")
        assert b"other types" in refused, "it would be read as an integer now"
    (refused,) = session.execute("insert", "x", "7x")
    assert b"not certain" in refused
    session.prepare("several", "DELETE FROM customers WHERE region = ?")
    (refused,) = session.execute("several", 1)
    assert b"1235" in refused


def test_text_keys_by_their_collation(market: Connection) -> None:
    for word in ("abc", "xyz", "Hello"):
        rows(market, f"INSERT INTO codes VALUES ('{word}', 1)")
        for spelling in (word, word.upper(), word.lower() + "  "):
            assert rows(market, f"SELECT code FROM codes WHERE code = '{spelling}'") == [(word,)]
    assert rows(market, "SELECT code FROM codes WHERE code = 'none'") == []
    assert rows(market, "SELECT code FROM codes WHERE code = 'ä'") == [], "looked for on every shard"
    with pytest.raises(pymysql.MySQLError, match="not certain") as caught:
        rows(market, "INSERT INTO codes VALUES ('ä', 1)")
    assert caught.value.args[0] == 1526


def test_what_a_column_would_store_differently_is_not_placed(market: Connection) -> None:
    rows(market, "SET sql_mode = ''")
    for sql in (
        f"INSERT INTO codes VALUES ('{'x' * 21}', 1)",
        "INSERT INTO customers (id) VALUES (2147483648)",
        "INSERT INTO customers (id) VALUES (1.5)",
        "INSERT INTO customers (id) VALUES ('7 apples')",
        "INSERT INTO counters VALUES (0, 1)",
    ):
        with pytest.raises(pymysql.MySQLError, match="not certain"):
            rows(market, sql)
    rows(market, "INSERT INTO counters VALUES (5, 1)")
    assert rows(market, "SELECT id FROM counters WHERE id = 5") == [(5,)]


def test_other_tables_live_in_the_default_group(market: Connection, server_set: ReplicaSet) -> None:
    rows(market, "INSERT INTO notes (text) VALUES ('here')")
    assert rows(market, "SELECT LAST_INSERT_ID()") == [(1,)]
    assert rows(market, "SELECT text FROM notes") == [("here",)]
    assert server_set.primary.execute("SELECT text FROM market.notes") == [("here",)]
    assert rows(market, "SELECT COUNT(*) FROM regions") == [(2,)]


def test_what_is_refused_is_named(market: Connection) -> None:
    rows(market, "INSERT INTO customers VALUES (1, 'x', 1)")
    assert "customers.id" in refused(
        market, "SELECT GROUP_CONCAT(DISTINCT region), COUNT(DISTINCT name) FROM customers"
    )
    assert "UPDATE on several shards" in refused(market, "UPDATE customers SET name = 'y'")
    assert "'id', which decides the shard" in refused(market, "UPDATE customers SET id = 2 WHERE id = 1")
    assert "'notes'" in refused(market, "SELECT * FROM customers, notes WHERE customers.id = 1")
    assert "ddl" in refused(market, "RENAME TABLE customers TO others").lower()
    assert "rows for several shards" in refused(
        market, "INSERT INTO customers VALUES " + ", ".join(f"({key}, 'x', 1)" for key in range(10, 40))
    )
    assert "several statements" in refused(market, "SELECT 1 FROM customers WHERE id = 1; SELECT 2")
    assert rows(market, "SELECT id FROM customers WHERE id = 1") == [(1,)]


def test_explain_route_names_the_shard(market: Connection) -> None:
    (row,) = rows(market, "EXPLAIN ROUTE SELECT * FROM customers WHERE id = 5")
    assert row[3] == f"s{SHARDS.index(place(5))}"
    legs = rows(market, "EXPLAIN ROUTE SELECT name, id FROM customers ORDER BY id LIMIT 5, 2")
    assert [leg[3] for leg in legs] == ["s0", "s1", "s2"]
    assert legs[0][4].endswith("LIMIT 7")
    legs = rows(market, "EXPLAIN ROUTE SELECT id FROM orders WHERE customer_id = 3 AND id = (SELECT MAX(n) FROM codes)")
    assert [leg[:1] + leg[3:5] for leg in legs[2:]] == [
        ("3", "s2", "SELECT MAX(n) FROM codes"),
        ("4", f"s{SHARDS.index(place(3))}", "SELECT id FROM orders WHERE customer_id = 3 AND id = (query 1)"),
    ]
    (row,) = rows(market, "EXPLAIN ROUTE SELECT GROUP_CONCAT(DISTINCT region), COUNT(DISTINCT name) FROM customers")
    assert "DISTINCT" in row[5]


@pytest.fixture
def filled(market: Connection, server_set: ReplicaSet) -> Iterator[tuple[Connection, Connection]]:
    """The session, and one on a database with the same rows in one place."""
    primary = server_set.primary
    primary.execute("DROP DATABASE IF EXISTS market_all")
    primary.execute("CREATE DATABASE market_all CHARACTER SET utf8mb4")
    for table, columns in TABLES.items():
        primary.execute(f"CREATE TABLE market_all.{table} ({columns})")
    primary.execute("INSERT INTO market_all.regions VALUES (1, 'north'), (2, 'south')")
    with direct(primary, server_set, database="market_all", autocommit=True) as truth:
        for key in range(1, 61):
            name = "NULL" if key % 9 == 0 else repr(["ada", "Ada", "bob ", "émile", "Zoë", ""][key % 6])
            for connection in (market, truth):
                rows(connection, f"INSERT INTO customers VALUES ({key}, {name}, {key % 4 or 'NULL'})")
                for number in range(key % 4):
                    rows(connection, f"INSERT INTO orders VALUES ({number}, {key}, {key}.{number}5)")
        yield market, truth
    primary.execute("DROP DATABASE market_all")


def test_rows_of_all_shards_are_those_of_one(filled: tuple[Connection, Connection]) -> None:
    market, truth = filled
    for sql in SCATTERED:
        ordered = "ORDER BY" in sql and "OVER" not in sql
        with market.cursor() as ours, truth.cursor() as expected:
            expected.execute(sql)
            ours.execute(sql)
            assert ours.description == expected.description, sql
            got, wanted = list(ours.fetchall()), list(expected.fetchall())
            assert (got if ordered else sorted(map(repr, got))) == (wanted if ordered else sorted(map(repr, wanted))), (
                sql
            )


def test_prepared_statements_on_all_shards(filled: tuple[Connection, Connection]) -> None:
    ours, truth = map(Session, filled)
    values: dict[str, list[tuple[int | str | None, ...]]] = {
        **{sql: [()] for sql in SCATTERED},
        "SELECT id, name, ? FROM customers WHERE id BETWEEN ? AND ?": [("x", 5, 20), ("y", 3, None)],
        "SELECT id FROM customers WHERE region = ? ORDER BY id DESC LIMIT ?": [(1, 4), (2, 100), (None, 1)],
        "SELECT SUM(total), COUNT(*) FROM orders WHERE id < ? AND customer_id IN (?, ?, 7)": [(3, 1, 2), (2, 9, 4)],
        "SELECT name, id FROM customers WHERE name = ? ORDER BY name, id": [("ada",), ("émile",), ("",), (None,)],
        "SELECT ?, id, (SELECT MAX(total) FROM orders WHERE customer_id < ?) FROM customers WHERE region IN "
        "(SELECT id FROM orders WHERE total > ? AND customer_id < (SELECT AVG(id) + ? FROM customers)) AND id > ? "
        "ORDER BY id": [("x", 20, 2, 3, 40), (None, 1, 59, -2, 5), (7, 30, 0, 0, 1)],
        "SELECT (SELECT name FROM customers WHERE id = ?) AS a, (SELECT COUNT(*) FROM orders) AS b": [(5,), (None,)],
    }
    for sql, every in values.items():
        assert len(ours.prepare("it", sql)) == len(truth.prepare("it", sql)), sql
        for each in every:
            answers = [session.execute("it", *each) for session in (ours, truth)]
            assert len(answers[0]) == len(answers[1]), (sql, each, answers[0][0])
            # Definitions name the database; those of text are compared above.
            data = [answer[answer[0][0] + 2 : -1] if len(answer) > 1 else answer for answer in answers]
            ordered = "ORDER BY" in sql and "OVER" not in sql
            assert data[0] == data[1] if ordered else sorted(data[0]) == sorted(data[1]), (sql, each)


SCATTERED = [
    "SELECT * FROM customers",
    "SELECT * FROM customers WHERE id IN (1, 2, 3, 4, 5)",
    "SELECT id FROM customers WHERE region = (SELECT MAX(region) FROM customers)",
    "SELECT name, (SELECT COUNT(*) FROM orders) FROM customers WHERE id > (SELECT AVG(id) FROM customers) ORDER BY id",
    "SELECT * FROM orders WHERE customer_id IN (SELECT region FROM customers)",
    "SELECT id, (SELECT region FROM customers WHERE id = 11) AS n FROM customers WHERE EXISTS (SELECT 1 FROM orders)",
    "SELECT id, name FROM customers ORDER BY name, id",
    "SELECT id, name FROM customers ORDER BY name DESC, id DESC LIMIT 7",
    "SELECT id AS n FROM customers ORDER BY n LIMIT 10, 5",
    "SELECT name AS n, id FROM customers ORDER BY region DESC, n, id LIMIT 3 OFFSET 20",
    "SELECT id + 1 AS x FROM customers ORDER BY x DESC",
    "SELECT id FROM customers WHERE id > 1000 ORDER BY id",
    "SELECT id FROM customers ORDER BY id LIMIT 0",
    "SELECT id FROM customers ORDER BY id LIMIT 1000",
    "SELECT COUNT(*) FROM customers",
    "SELECT COUNT(*), COUNT(name), SUM(id), MIN(id), MAX(id), AVG(id), AVG(region) FROM customers",
    "SELECT SUM(total), AVG(total), MIN(total), MAX(total) FROM orders WHERE total > 1e9",
    "SELECT region, COUNT(*) AS n FROM customers GROUP BY region ORDER BY n DESC, region",
    "SELECT SUM(total) s, customer_id FROM orders GROUP BY customer_id HAVING s > 50 ORDER BY s, customer_id",
    "SELECT region, AVG(id) a, MAX(name) FROM customers WHERE name <> '' GROUP BY region ORDER BY region",
    "SELECT region, SUM(id) FROM customers GROUP BY region ORDER BY region LIMIT 1, 2",
    "SELECT DISTINCT region FROM customers ORDER BY region DESC",
    "SELECT DISTINCT region FROM customers LIMIT 10",
    "SELECT c.id, o.total, r.name FROM customers c JOIN orders o ON o.customer_id = c.id "
    "LEFT JOIN regions r ON r.id = c.region ORDER BY o.total, c.id",
    "SELECT c.id, COUNT(o.id) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id",
    "SELECT id, (SELECT SUM(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c",
    "SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 40)",
    "SELECT id FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id) ORDER BY id",
    "SELECT x.n, c.id FROM (SELECT customer_id, COUNT(*) n FROM orders GROUP BY customer_id) x "
    "JOIN customers c ON c.id = x.customer_id",
    "SELECT id, ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY id) FROM orders",
    "WITH big AS (SELECT * FROM orders WHERE total > 20) "
    "SELECT customer_id, total FROM big ORDER BY total, customer_id",
]


@pytest.fixture
def two_servers(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> Iterator[Connection]:
    """A session on ``bank``, whose accounts are on MariaDB and on MySQL, and other tables on MariaDB."""
    with (
        bank(mariadb_set, mysql_set, tmp_path, "single") as settings,
        start_router(settings).connect(database="bank", autocommit=True) as connection,
    ):
        fill(connection)
        yield connection


@pytest.mark.mysql
@pytest.mark.parametrize("begin", ["BEGIN", "START TRANSACTION", "START TRANSACTION READ WRITE;", "SET autocommit = 0"])
def test_a_transaction_is_on_the_shard_it_names_first(two_servers: Connection, begin: str) -> None:
    for first in (1, 2):
        rows(two_servers, begin)
        assert rows(two_servers, "SELECT 1 + 1") == [(2,)]
        rows(two_servers, "SET @unused = 1")
        rows(two_servers, "SAVEPOINT begun")
        rows(two_servers, f"UPDATE accounts SET amount = amount - 10 WHERE id = {first}")
        rows(two_servers, f"UPDATE accounts SET amount = amount + 10 WHERE id = {first + 3}")
        assert "open transaction" in refused(two_servers, f"SELECT amount FROM accounts WHERE id = {first + 2}")
        assert "transaction" in refused(two_servers, "SELECT COUNT(*) FROM accounts")
        assert rows(two_servers, f"SELECT amount FROM accounts WHERE id = {first}") == [(90,)]
        rows(two_servers, "SAVEPOINT a")
        rows(two_servers, "ROLLBACK TO a")
        rows(two_servers, f"UPDATE accounts SET amount = 0 WHERE id = {first}")
        rows(two_servers, "ROLLBACK TO SAVEPOINT a")
        rows(two_servers, "RELEASE SAVEPOINT begun" if begin != "SET autocommit = 0" else "SELECT 1")
        rows(two_servers, "ROLLBACK" if first == 1 else "COMMIT")
        rows(two_servers, "SET autocommit = 1")
    assert amounts(two_servers) == {**dict.fromkeys(ACCOUNTS, 100), 2: 90, 5: 110}


@pytest.mark.mysql
def test_transactions_that_never_reach_a_server(two_servers: Connection) -> None:
    for end in ("COMMIT", "ROLLBACK"):
        rows(two_servers, "BEGIN")
        rows(two_servers, "SELECT 1")
        rows(two_servers, end)
        assert amounts(two_servers)[3] == 100
    rows(two_servers, "BEGIN")
    rows(two_servers, "INSERT INTO notes (text) VALUES ('in the default group')")
    assert "open transaction" in refused(two_servers, "SELECT amount FROM accounts WHERE id = 1")
    rows(two_servers, "ROLLBACK")
    assert rows(two_servers, "SELECT COUNT(*) FROM notes") == [(0,)]


@pytest.mark.mysql
def test_the_insert_id_of_one_group_is_not_asked_in_another(two_servers: Connection) -> None:
    rows(two_servers, "INSERT INTO notes (text) VALUES ('a')")
    rows(two_servers, "INSERT INTO accounts VALUES (10, 1)")
    assert rows(two_servers, "SELECT LAST_INSERT_ID()") == [(1,)]
    rows(two_servers, "UPDATE accounts SET amount = LAST_INSERT_ID(17) WHERE id = 4")
    rows(two_servers, "INSERT INTO notes (text) VALUES ('b')")
    assert rows(two_servers, "SELECT LAST_INSERT_ID()") == [(2,)]
    assert rows(two_servers, "SELECT amount FROM accounts WHERE id = 4") == [(17,)]
