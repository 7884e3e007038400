"""What tables there are in a sharded database: tools are told what they would be on one server that has them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct, settings_for
from tests.integration.bank import bank, refused, rows
from tests.integration.twins import Session

SHARDS = ["mall", "mall_b", "mall_c"]
OWN = {
    "notes": "id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(40) COMMENT 'ça va', KEY by_text (text)",
    "Zebras": "id INT PRIMARY KEY, CONSTRAINT positive CHECK (id > 0)",
}
SHARDED = {
    "customers": "id INT UNSIGNED PRIMARY KEY, name VARCHAR(40) NOT NULL DEFAULT 'né' COMMENT 'how; \"it\\'s\" called',"
    " region ENUM('n', 's'), born DATETIME(3), UNIQUE KEY by_region (region, id), CONSTRAINT old CHECK (id > 0)",
    "orders": "id BIGINT, customer_id INT UNSIGNED NOT NULL, total DECIMAL(10,2) DEFAULT 1.50, doc JSON,"
    " PRIMARY KEY (id, customer_id), KEY by_customer (customer_id),"
    " CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE",
    "regions": "id INT PRIMARY KEY, name VARCHAR(40)",
}


@pytest.fixture
def mall(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter], request: Any
) -> Iterator[tuple[RunningRouter, Connection]]:
    """A router for database ``mall``, and a session on one of the same name that has all tables.

    The first shard is the database of that name, or another one.
    """
    same: bool = request.param
    primary = server_set.primary
    shards = SHARDS if same else ["mall_a", *SHARDS[1:]]
    databases = {"mall", "mall_all", *shards}
    for database in databases:
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    for database in ("mall", "mall_all"):
        for table, columns in OWN.items():
            primary.execute(f"CREATE TABLE {database}.{table} ({columns})")
    for database in ("mall_all", *shards):
        for table, columns in SHARDED.items():
            primary.execute(f"CREATE TABLE {database}.{table} ({columns})")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "mall": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": name} for number, name in enumerate(shards)},
            "transactions": "single",
            "tables": {
                "customers": {"shard_by": "id", "function": "hash"},
                "orders": {"shard_by": "customer_id", "with": "customers"},
                "regions": {"broadcast": True},
            },
        }
    }
    router = start_router(settings)
    with direct(primary, server_set, database="mall_all", autocommit=True) as truth:
        yield router, truth
    for database in databases:
        primary.execute(f"DROP DATABASE {database}")


both = pytest.mark.parametrize("mall", [True, False], indirect=True, ids=["same_name", "other_name"])

# Each is asked of both, {db} being the database's name.
ALIKE = [
    "SHOW TABLES",
    "SHOW FULL TABLES",
    "SHOW TABLES FROM {db}",
    "show full tables in `{db}` like '%O%'",
    "SHOW TABLES LIKE '%o%s'",
    r"SHOW TABLES LIKE 'no\_%'",
    "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'",
    "SHOW FULL TABLES FROM {db} WHERE Tables_in_{db} LIKE 'c%' OR Tables_in_{db} = 'notes'",
    "SHOW COLUMNS FROM customers",
    "SHOW FULL COLUMNS FROM `orders` FROM `{db}`",
    "SHOW FULL COLUMNS FROM {db}.orders LIKE 'c%'",
    "SHOW INDEX FROM orders IN {db}",
    "DESCRIBE {db}.customers",
    "DESC customers name",
    "EXPLAIN notes",
    "SHOW CREATE TABLE {db}.customers",
    "SHOW CREATE TABLE orders",
    "SELECT table_name, table_type, table_comment FROM information_schema.tables WHERE table_schema = DATABASE()"
    " ORDER BY table_name",
    "SELECT COUNT(*), COUNT(DISTINCT TABLE_NAME) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{db}'",
    "SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{db}' ORDER BY TABLE_NAME, ORDINAL_POSITION",
    "SELECT * FROM INFORMATION_SCHEMA.STATISTICS s WHERE s.TABLE_SCHEMA = '{db}'"
    " ORDER BY s.TABLE_NAME, s.INDEX_NAME, s.SEQ_IN_INDEX",
    "SELECT * FROM `information_schema`.`KEY_COLUMN_USAGE` WHERE TABLE_SCHEMA = '{db}'"
    " ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
    "SELECT * FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = '{db}'"
    " ORDER BY TABLE_NAME, CONSTRAINT_NAME",
    "SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{db}'",
    "SELECT * FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{db}' ORDER BY CONSTRAINT_NAME",
    # Django
    "SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`,"
    " c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c"
    " WHERE kc.table_schema = DATABASE() AND (kc.referenced_table_schema = DATABASE() OR"
    " kc.referenced_table_schema IS NULL) AND c.table_schema = kc.table_schema AND"
    " c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'orders'"
    " ORDER BY kc.ordinal_position, c.constraint_type, kc.constraint_name",
    # DBeaver, HeidiSQL, TypeORM
    "SELECT information_schema.tables.TABLE_NAME AS n FROM information_schema.tables LEFT JOIN"
    " information_schema.columns c ON c.TABLE_SCHEMA = tables.TABLE_SCHEMA AND c.TABLE_NAME = tables.TABLE_NAME AND"
    " c.ORDINAL_POSITION = 1 WHERE information_schema.tables.TABLE_SCHEMA = '{db}' AND c.COLUMN_NAME = 'id' ORDER BY n",
    "SELECT rc.CONSTRAINT_NAME, kcu.COLUMN_NAME, rc.DELETE_RULE FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE kcu INNER JOIN"
    " INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS rc ON rc.CONSTRAINT_SCHEMA = kcu.CONSTRAINT_SCHEMA AND"
    " rc.TABLE_NAME = kcu.TABLE_NAME AND rc.CONSTRAINT_NAME = kcu.CONSTRAINT_NAME WHERE kcu.TABLE_SCHEMA = '{db}'",
    "SELECT TABLE_SCHEMA, COUNT(*) FROM information_schema.TABLES GROUP BY TABLE_SCHEMA HAVING TABLE_SCHEMA = '{db}'",
    "SELECT GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE"
    " (TABLE_SCHEMA, TABLE_NAME) IN (SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE"
    " TABLE_SCHEMA = '{db}' AND TABLE_NAME = 'orders')",
]


def _asked(connection: Connection, sql: str, name: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("{db}", name))
        found = repr([list(row) for row in cursor.fetchall()]).replace(f"'{name}'", "'DB'")
        heads = [str(each[0]).replace(f"in_{name}", "in_DB") for each in cursor.description or ()]
        return heads, found


@both
def test_tools_see_one_database(mall: tuple[RunningRouter, Connection]) -> None:
    router, truth = mall
    with router.connect(database="mall") as ours:
        for sql in ALIKE:
            assert _asked(ours, sql, "mall") == _asked(truth, sql, "mall_all"), sql
        assert rows(ours, "SELECT DATABASE()") == [("mall",)]


@both
def test_reflection(mall: tuple[RunningRouter, Connection], server_set: ReplicaSet) -> None:
    router, _ = mall
    found = []
    for connection, name in (
        (router.connect(database="mall", autocommit=False), "mall"),
        (direct(server_set.primary, server_set, database="mall_all"), "mall_all"),
    ):
        engine = sqlalchemy.create_engine("mysql+pymysql://", creator=partial(_same, connection))
        inspector = sqlalchemy.inspect(engine)
        found.append({table: repr(_reflected(inspector, table)) for table in inspector.get_table_names()})
        assert inspector.default_schema_name == name
        engine.dispose()
    assert found[0] == found[1]
    assert len(found[0]) == 5


def _same(connection: Connection) -> Connection:
    return connection


def _reflected(inspector: sqlalchemy.Inspector, table: str) -> list[object]:
    return [
        inspector.get_columns(table),
        inspector.get_pk_constraint(table),
        inspector.get_foreign_keys(table),
        inspector.get_indexes(table),
        inspector.get_check_constraints(table),
        inspector.get_table_comment(table),
    ]


@both
def test_prepared_and_inside_transactions(mall: tuple[RunningRouter, Connection]) -> None:
    router, _ = mall
    with router.connect(database="mall", autocommit=False) as ours:
        session = Session(ours)
        answer = session.prepare(
            "it", "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?"
        )
        assert answer[0][:1] == b"\0"
        assert session.execute("it", "mall", "customers")[3].endswith(b"customers")
        rows(ours, "INSERT INTO notes (text) VALUES ('here')")
        assert len(rows(ours, "SHOW TABLES")) == 5
        assert rows(ours, "SELECT text FROM notes") == [("here",)]
        ours.rollback()
        assert rows(ours, "SELECT text FROM notes") == []


@both
def test_sizes_are_those_of_all_shards(mall: tuple[RunningRouter, Connection], server_set: ReplicaSet) -> None:
    router, _ = mall
    with router.connect(database="mall") as ours:
        for key in range(1, 40):
            rows(ours, f"INSERT INTO customers (id) VALUES ({key})")
            if key < 3:
                rows(ours, f"INSERT INTO notes (text) VALUES ({key})")
        expire(server_set)
        status = {row[0]: row for row in rows(ours, "SHOW TABLE STATUS")}
        assert sorted(status) == ["Zebras", "customers", "notes", "orders", "regions"]
        with ours.cursor(DictCursor) as cursor:
            cursor.execute("SHOW TABLE STATUS FROM mall LIKE 'customers'")
            (customers,) = cursor.fetchall()
        assert customers["Rows"] == 39
        assert customers["Data_length"] == 3 * 16384
        assert customers["Avg_row_length"] == 3 * 16384 // 39
        asked = "SELECT SUM(TABLE_ROWS), MAX(DATA_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mall'"
        assert rows(ours, asked) == [(41, 3 * 16384)]


def expire(servers: ReplicaSet) -> None:
    """Have statistics counted anew."""
    for (name,) in servers.primary.execute("SHOW DATABASES LIKE 'mall%'"):
        for (table,) in servers.primary.execute(f"SHOW TABLES FROM {name}"):
            servers.primary.execute(f"ANALYZE TABLE {name}.{table}")


@both
def test_explain_shows_the_plan_of_the_shard(mall: tuple[RunningRouter, Connection]) -> None:
    router, _ = mall
    with router.connect(database="mall") as ours:
        rows(ours, "INSERT INTO customers (id) VALUES (7)")
        explained = rows(ours, "EXPLAIN FORMAT=JSON SELECT * FROM customers WHERE id = 7")
        assert "customers" in explained[0][0]
        assert rows(ours, "EXPLAIN DELETE FROM customers WHERE id = 7")
        assert rows(ours, "SELECT id FROM customers WHERE id = 7") == [(7,)]
        assert rows(ours, "EXPLAIN /*+ router(shard=s1) */ SELECT * FROM customers")
        ((text,),) = rows(ours, "EXPLAIN ROUTE FORMAT=JSON SELECT * FROM customers WHERE id = 7")
        found = json.loads(text)
        assert found["plan"]["placement"] == ["customers: one of literal 1"]
        assert found["steps"][0]["shard"] in ("s0", "s1", "s2")


@both
def test_explain_of_several_shards(mall: tuple[RunningRouter, Connection], server_set: ReplicaSet) -> None:
    router, truth = mall
    with router.connect(database="mall") as ours, ours.cursor() as cursor:
        rows(ours, "INSERT INTO customers (id) VALUES (7)")
        for sql in (
            "EXPLAIN SELECT * FROM customers",
            "EXPLAIN SELECT c.id FROM customers c JOIN orders o ON o.customer_id = c.id ORDER BY c.id LIMIT 3",
            "EXPLAIN FORMAT=JSON SELECT AVG(id) FROM customers",
        ):
            cursor.execute(sql)
            found = [list(row) for row in cursor.fetchall()]
            names = [column[0] for column in cursor.description]
            with truth.cursor() as direct_cursor:
                direct_cursor.execute(sql)
                alone = direct_cursor.fetchall()
                assert names == ["shard", *(column[0] for column in direct_cursor.description)]
            shards = [row[0] for row in found]
            assert shards == sorted(shards)
            assert set(shards) == {"s0", "s1", "s2"}
            assert len(found) == 3 * len(alone)
            assert "JOIN" in sql or all("customers" in str(row) for row in found)
        if server_set.primary.flavor == "mysql":
            ran = rows(ours, "EXPLAIN ANALYZE SELECT COUNT(*) FROM customers")
            assert [row[0] for row in ran] == ["s0", "s1", "s2"]
            assert all("actual time" in row[1] for row in ran)
        else:
            assert {row[0] for row in rows(ours, "ANALYZE SELECT COUNT(*) FROM customers")} == {"s0", "s1", "s2"}
        assert "`transactions: single`" in refused(ours, "EXPLAIN DELETE FROM customers")
        twin = Session(ours)
        twin.prepare("e", "EXPLAIN SELECT * FROM customers WHERE id > ?")
        assert "EXPLAIN of several shards as a prepared statement" in str(twin.execute("e", 3))
        twin.prepare("f", "EXPLAIN SELECT * FROM customers WHERE id = ?")
        assert len(twin.execute("f", 7)) > 3


@both
def test_databases_have_one_name(mall: tuple[RunningRouter, Connection]) -> None:
    router, truth = mall
    hidden = {"mall_a", "mall_b", "mall_c"}
    rows(truth, "CREATE DATABASE IF NOT EXISTS All_First")  # before information_schema
    with router.connect(database="mall") as ours:
        for sql in (
            "SHOW DATABASES",
            "SHOW SCHEMAS LIKE 'mall%'",
            "SHOW DATABASES LIKE 'MALL'",
            "SHOW DATABASES WHERE `Database` LIKE 'm%'",
            "SELECT * FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME",
            "SELECT COUNT(*) FROM information_schema.schemata s WHERE s.schema_name = 'mall'",
        ):
            with ours.cursor() as cursor, truth.cursor() as direct_cursor:
                cursor.execute(sql)
                direct_cursor.execute(sql)
                wanted = [row for row in direct_cursor.fetchall() if hidden.isdisjoint(row)]
                assert list(cursor.fetchall()) == wanted, sql
                assert [each[0] for each in cursor.description] == [each[0] for each in direct_cursor.description]
        assert "DATABASE() beside tables" in refused(ours, "SELECT DATABASE(), id FROM customers WHERE id = 1")
        assert rows(ours, "SELECT DATABASE()") == [("mall",)]
    rows(truth, "DROP DATABASE All_First")


def test_shards_of_both_flavors(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> None:
    with bank(mariadb_set, mysql_set, tmp_path, "single") as settings:
        router = start_router(settings)
        with router.connect(database="bank") as ours:
            assert rows(ours, "SHOW TABLES") == [("accounts",), ("notes",), ("rates",)]
            asked = (
                "SELECT TABLE_NAME, DATA_LENGTH, TEMPORARY FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bank'"
            )
            assert sorted(rows(ours, asked)) == [("accounts", 49152, "N"), ("notes", 16384, "N"), ("rates", 16384, "N")]
            asked = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'bank' AND TABLE_NAME = %s"
            with ours.cursor() as cursor:
                cursor.execute(asked + " ORDER BY ORDINAL_POSITION", ("rates",))
                assert cursor.fetchall() == (("id",), ("rate",), ("at",))
