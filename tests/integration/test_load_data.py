"""LOAD DATA LOCAL of sharded tables, compared with one server that gets the same file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from router.planner.sharding import Mod
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, direct
from tests.integration.bank import ACCOUNTS, bank, fill, rows
from tests.integration.spread import outcome, spread

SHARDS = ["port_0", "port_1", "port_2"]
TRUTH = "port_all"
TABLES = {
    "ships": "id BIGINT PRIMARY KEY, name VARCHAR(40), tons DECIMAL(10,2), seen DATETIME(6) DEFAULT NOW(6)",
    "calls": "name VARCHAR(20) COLLATE utf8mb4_bin, n INT, note TEXT, PRIMARY KEY (name, n)",
    "flags": "id INT PRIMARY KEY, name VARCHAR(20)",
    "counts": "n INT AUTO_INCREMENT PRIMARY KEY, ship BIGINT",
}


@dataclass
class Port:
    """The sharded database, and the one that has all rows."""

    ours: Connection
    truth: Connection
    path: Path

    def load(self, content: bytes, statement: str) -> list[tuple[Any, ...]]:
        """Load a file on both sides; ``{}`` of the statement is its name."""
        self.path.write_bytes(content)
        return [outcome(each, statement.format(self.path)) for each in (self.ours, self.truth)]

    def same(self, content: bytes, statement: str) -> None:
        """Both must say the same, and have the same rows, each on its shard."""
        ours, truth = self.load(content, statement)
        assert ours == truth, statement
        self.compare()

    def compare(self) -> None:
        for table in TABLES:
            wanted = self.rows(TRUTH, table)
            parts = [self.rows(database, table) for database in SHARDS]
            if table == "flags":
                assert parts == [wanted] * len(SHARDS)
                continue
            assert sorted(chain(*parts)) == sorted(wanted)
            if table == "ships":
                for number, part in enumerate(parts):
                    assert all(Mod(len(SHARDS)).shard((int(row[0]),)) == number for row in part)

    def rows(self, database: str, table: str) -> list[tuple[str, ...]]:
        """All rows; without the columns that say when they were written."""
        columns = {"ships": "id, name, tons"}.get(table, "*")
        return [
            tuple(map(str, row)) for row in rows(self.truth, f"SELECT {columns} FROM {database}.{table} ORDER BY 1, 2")
        ]


@pytest.fixture(scope="module")
def harbour(server_set: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRouter]:
    """Three shards on one server, a database for all rows there, and a router."""
    server_set.primary.execute("SET GLOBAL local_infile = 1")
    tables: dict[str, dict[str, Any]] = {
        "ships": {"shard_by": "id", "function": "mod"},
        "calls": {"shard_by": "name", "function": "hash"},
        "counts": {"shard_by": "ship", "function": "mod"},
        "flags": {"broadcast": True},
    }
    with spread(server_set, tmp_path_factory.mktemp("port"), "port", SHARDS, TRUTH, TABLES, tables) as settings:
        router = RunningRouter(settings)
        router.password = server_set.app_password
        with router:
            yield router


@pytest.fixture
def port(server_set: ReplicaSet, harbour: RunningRouter, tmp_path: Path) -> Iterator[Port]:
    """Sessions on both sides; the tables are empty, and emptied afterwards."""
    with (
        harbour.connect(database="port", local_infile=True) as ours,
        direct(server_set.primary, server_set, database=TRUTH, autocommit=True, local_infile=True) as truth,
    ):
        yield Port(ours, truth, tmp_path / "file.txt")
    with closing(server_set.primary.root()) as connection:
        for table in (f"{database}.{table}" for database in (*SHARDS, TRUTH) for table in TABLES):
            if rows(connection, f"SELECT 1 FROM {table} LIMIT 1"):
                rows(connection, f"TRUNCATE {table}")


SHIPS = "LOAD DATA LOCAL INFILE '{}' INTO TABLE ships"
CALLS = "LOAD DATA LOCAL INFILE '{}' INTO TABLE calls"
QUOTED = " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"


@pytest.mark.parametrize(
    ("content", "statement"),
    [
        (b"1\tone\t1.5\n2\ttwo\t2\n3\tthree\t3\n", SHIPS + " (id, name, tons)"),
        (b"1\tone\t1.5\n2\ttwo\t2\n3\tthree\t3", SHIPS + " (id, name, tons)"),
        (b"", SHIPS),
        (b"1\tone\n2\n3\tthree\t4\t5\t6\n", SHIPS + " (id, name)"),
        (b"1\tone\r\n2\ttwo\r\n", SHIPS + " LINES TERMINATED BY '\\r\\n' (id, name)"),
        (b"1\tone\r\n2\ttwo\r\n", SHIPS + " (id, name)"),
        (b"id,name\n1,one\n2,two\n", SHIPS + QUOTED + " IGNORE 1 LINES (id, name)"),
        (b'id,"na\nme"\n1,one\n2,two\n', SHIPS + QUOTED + " IGNORE 2 LINES (id, name)"),
        (b'1,"one\nmore, ""quoted"""\n"2",two\n3,"th\\"ree"', SHIPS + QUOTED + " (id, name)"),
        (b'1,"one\n2,two\n', SHIPS + QUOTED + " (id, name)"),
        (b'1,"one"x\n2,tw"o\n3,""\n', SHIPS + QUOTED + " (id, name)"),
        (b'1,NULL\n2,"NULL"\n3,\\N\n4,"\\N"\n', SHIPS + QUOTED + " (id, name)"),
        (b"1\tone\\\ntwo\n2\tt\\two\n3\t\\N\n4\t\\\\N\n5\tback\\", SHIPS + " (id, name)"),
        (b"one;1|two\\;;2|", SHIPS + " FIELDS TERMINATED BY ';' LINES TERMINATED BY '|' (name, id)"),
        (b"1;;one||2;;tw;o||3;;t|w||", SHIPS + " FIELDS TERMINATED BY ';;' LINES TERMINATED BY '||' (id, name)"),
        (b"1;one;\n2;two;\n", SHIPS + " FIELDS TERMINATED BY ';' LINES TERMINATED BY ';\\n' (id, name)"),
        (b"1\\one\n2\\two\n", SHIPS + " FIELDS TERMINATED BY 0x5C ESCAPED BY '' (id, name)"),
        ("1\tzoë\n2\t日本\n3\t🚢\n".encode(), SHIPS + " CHARACTER SET utf8mb4 (id, name)"),
        ("1\tzoë\n2\tça\n".encode("latin-1"), SHIPS + " CHARACTER SET latin1 (id, name)"),
        ("zoë\t1\nZOË\t2\n日本\t3\n".encode(), CALLS + " (name, n)"),
        ("zoë\t1\tx\nabc\t2\n".encode("latin-1"), CALLS + " CHARACTER SET latin1"),
        (b"9007199254740993\tbig\n9007199254740994\tbig\n-3\tsmall\n+4\tplus\n", SHIPS + " (id, name)"),
        (b"1\tone\n1\tagain\n4\tfour\n", SHIPS + " (id, name)"),
        (b"1\tone\n1\tagain\n4\tfour\n", SHIPS.replace("INTO", "REPLACE INTO") + " (id, name)"),
        (b"1\tone\n1\tagain\n4\tfour\n", SHIPS.replace("INTO", "IGNORE INTO") + " (id, name)"),
        (
            b"1\tone\t5x\n2\ttwo\t6\n5\tmuch too long for the column, as everybody can see here\n",
            SHIPS + " (id, name, tons)",
        ),
        (b"1\tone\n2\ttwo\n", SHIPS.replace("ships", "flags")),
        (b"1\tone\n1\ttwo\n", SHIPS.replace("INTO TABLE ships", "REPLACE INTO TABLE flags")),
        (b"5\t1\n6\t2\n7\t3\n", SHIPS.replace("ships", "counts")),
    ],
)
def test_files(port: Port, content: bytes, statement: str) -> None:
    port.same(content, statement)
    port.same(content, statement)


def test_what_can_be_in_a_file(port: Port) -> None:
    chance = random.Random(7)
    signs = ["1", "2", "33", "a", "\\", "\\", "\n", "\n", "\t", "\t", ",", ",", '"', '"', "N", "\r\n", "ü", "\\N", " "]
    formats = ["", QUOTED, " FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY ''", " LINES TERMINATED BY '\\r\\n'"]
    loaded = 0
    for number in range(150):
        content = "".join(chance.choice(signs) for _ in range(chance.randint(0, 40)))
        # The key is whatever stands first; what has no certain shard is refused.
        statement = "LOAD DATA LOCAL INFILE '{}' REPLACE INTO TABLE calls" + chance.choice(formats)
        statement += chance.choice([" IGNORE 1 LINES", ""]) + chance.choice([" (name, n)", " (name, note)", ""])
        for connection in (port.ours, port.truth):
            rows(connection, "DELETE FROM calls")
        ours, truth = port.load(content.encode(), statement)
        if ours[0] == "error" and ours[1] in (1526, 1235):
            assert all(not port.rows(database, "calls") for database in SHARDS), (number, content)
            continue
        # Of several errors, another one may be met first, and the number of the row is the shard's.
        assert ours == truth or ours[0] == truth[0] == "error", (number, content, statement)
        port.compare()
        loaded += 1
    assert loaded > 60


def test_a_large_file(port: Port) -> None:
    port.same(
        b"".join(b"%d\tship number %d\t%d\n" % (n, n, n % 97) for n in range(40_000)), SHIPS + " (id, name, tons)"
    )
    assert rows(port.truth, f"SELECT COUNT(DISTINCT seen) FROM {SHARDS[0]}.ships") == [(1,)]


@pytest.mark.parametrize(
    ("content", "statement", "code", "words"),
    [
        (b"1\tone\nx\ttwo\n", SHIPS + " (id, name)", 1526, "line 2 of the file cannot be loaded"),
        (b"1\tone\n\n", SHIPS + " (id, name)", 1526, "line 2 of the file"),
        (b"one\nthree\t3\n", SHIPS + " (name, id)", 1526, "line 1 of the file cannot be loaded: it has no field"),
        (b"\\N\tone\n", SHIPS + " (id, name)", 1526, "there is no shard for id = NULL"),
        (b"0\t4\n", SHIPS.replace("ships", "counts"), 1526, "no value to 'n'"),
        (b"1\n", SHIPS.replace("ships", "counts") + " (ship)", 1235, "'n', which each shard would count for itself"),
        (b"", SHIPS + " (name)", 1235, "LOAD DATA without a field for 'id', which decides the shard"),
        (b"", SHIPS + " (id, @name)", 1235, "user variables"),
        (b"", SHIPS + " (id) SET name = 'x'", 1235, "SET"),
        (b"", SHIPS + " CHARACTER SET gbk", 1235, "character set gbk"),
        (b"", SHIPS.replace("LOCAL ", ""), 1235, "LOAD DATA without LOCAL"),
        (b"", SHIPS.replace("ships", "ships PARTITION (p0)"), 1235, "PARTITION"),
        (b"", SHIPS + " FIELDS TERMINATED BY ''", 1235, "without an end of their own"),
        (b"", SHIPS + " LINES STARTING BY 'x'", 1235, "LINES STARTING BY"),
    ],
)
def test_what_is_refused(port: Port, content: bytes, statement: str, code: int, words: str) -> None:
    error, *_ = port.load(content, statement)
    assert error[:2] == ("error", code)
    assert words in error[2]
    assert all(not port.rows(database, "ships") for database in SHARDS)
    assert rows(port.ours, "SELECT COUNT(*) FROM ships") == [(0,)], "the session goes on"


def test_errors_of_servers(port: Port) -> None:
    ours, truth = port.load(b"1\tone\n", SHIPS + " (id, nothing)")
    assert ours == truth
    assert ours[1] == 1054
    assert rows(port.ours, "SELECT COUNT(*) FROM ships") == [(0,)]


def test_inside_a_transaction(port: Port) -> None:
    for connection in (port.ours, port.truth):
        rows(connection, "BEGIN")
        rows(connection, "INSERT INTO ships (id, name) VALUES (100, 'first')")
    ours, truth = port.load(b"1\tone\n2\ttwo\n", SHIPS + " (id, name)")
    assert ours == truth
    (refused, _) = port.load(b"7\tseven\nx\ttwo\n", SHIPS + " (id, name)")
    assert refused[1] == 1526
    assert rows(port.ours, "SELECT id FROM ships ORDER BY id") == [(1,), (2,), (100,)]
    rows(port.ours, "COMMIT")
    rows(port.truth, "ROLLBACK")
    assert [row[0] for row in chain(*(port.rows(database, "ships") for database in SHARDS))] == ["1", "100", "2"]
    rows(port.ours, "BEGIN")
    port.load(b"5\tfive\n", SHIPS + " (id, name)")
    rows(port.ours, "ROLLBACK")
    assert rows(port.ours, "SELECT COUNT(*) FROM ships") == [(3,)]


def test_a_client_that_goes_away(port: Port) -> None:
    port.path.write_bytes(b"".join(b"%d\tx\n" % n for n in range(200_000)))
    connection = port.ours
    connection._execute_command(3, (SHIPS + " (id, name)").format(port.path).encode())
    assert connection._read_packet()._data[:1] == b"\xfb"
    connection.write_packet(b"1\tone\n2\ttwo\n3\tthree\n")
    connection._force_close()
    assert all(not port.rows(database, "ships") for database in SHARDS)


def test_over_servers_of_both_flavors(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> None:
    path = tmp_path / "file.txt"
    for servers in (mariadb_set, mysql_set):
        servers.primary.execute("SET GLOBAL local_infile = 1")
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        router = start_router(settings)
        with router.connect(database="bank", local_infile=True) as ours:
            fill(ours)
            path.write_bytes(b"".join(b"%d\t%d\n" % (key, key) for key in range(100, 3100)))
            found = outcome(ours, f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE accounts")
            assert found == (3000, b"2Records: 3000  Deleted: 0  Skipped: 0  Warnings: 0", 0), "with its length"
            wanted = [(3000 + len(ACCOUNTS), sum(range(100, 3100)) + 100 * len(ACCOUNTS))]
            assert rows(ours, "SELECT COUNT(*), SUM(amount) FROM accounts") == wanted
