"""What people do with the command line client, MariaDB's or MySQL's: the same options, the same output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.clients.ways import Step, Way, connect_options, lines, outcome_of, run_program

CONTENT = """
CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8,2), made DATETIME(3), raw BLOB);
INSERT INTO t (name, price, made, raw) VALUES ('one', 1.5, '2026-01-02 03:04:05.678', x'00ff27'),
 ('🐬 ü', NULL, NULL, NULL);
DELIMITER //
CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT name FROM t ORDER BY id; END//
CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.made = '2026-01-01'; END//
DELIMITER ;
CREATE VIEW names AS SELECT name FROM t;
"""
SCRIPT = """
SELECT DATABASE(), CURRENT_USER();
SELECT * FROM t ORDER BY id;
SHOW TABLES;
DESCRIBE t;
SHOW CREATE TABLE t;
CALL two();
SET @x = 5;
SELECT @x * 2;
BEGIN;
INSERT INTO t (name) VALUES ('three');
SELECT LAST_INSERT_ID(), ROW_COUNT();
ROLLBACK;
SELECT COUNT(*) FROM names;
SELECT CAST('12abc' AS SIGNED);
SHOW WARNINGS;
USE information_schema
SELECT DATABASE();
"""
CHANGING = re.compile(r"^(Connection id|TCP port|Uptime|Threads|Current user|SSL|TLS)\b.*$|^--------------$")
# Rows in so many statements, with a time behind the count of each.
TIMES = re.compile(r"\([\d.]+ sec\)")


class Client:
    """One of the two programs."""

    def __init__(self, command: Sequence[str], *options: str) -> None:
        self.command = list(command)
        self.options = options

    def run(self, way: Way, *arguments: str, script: str = "", password: str | None = None) -> tuple[int, str, str]:
        """Run it with the arguments, the script on its standard input."""
        command = [*self.command, *connect_options(way, password=password), *self.options]
        command += ["--default-character-set=utf8mb4", *arguments]
        code, output, errors = outcome_of(run_program(command, stdin=script.encode()))
        return code, TIMES.sub("(time)", output), errors.replace(str(way.port), "PORT")


def statements(client: Client, way: Way) -> Iterator[Step]:
    """Scripts as batch, as tables, quickly, vertically, with errors and in spite of them."""
    yield "content", client.run(way, way.database, script=CONTENT)
    way.settle()
    for options in (
        [],
        ["--table"],
        ["--quick", "--skip-column-names"],
        ["--vertical", "--unbuffered"],
        ["--xml"],
        ["--html"],
        ["-vvv", "--show-warnings"],
        ["--no-auto-rehash", "--column-type-info", "--binary-as-hex"],
    ):
        yield " ".join(options), client.run(way, *options, way.database, script=SCRIPT)
    for sql in (
        "SELECT 1 AS one",
        "SELECT 1; SELECT 'two' AS b; SELECT * FROM nowhere; SELECT 3",
        "SELEC 1",
        "CALL two()",
    ):
        yield sql, client.run(way, "--execute", sql, way.database)
        yield f"--force {sql}", client.run(way, "--force", "--execute", sql, way.database)
    yield (
        "a batch with an error",
        client.run(way, way.database, script="SELECT 1;\nSELECT * FROM nowhere;\nSELECT 3;\n"),
    )


def logins(client: Client, way: Way) -> Iterator[Step]:
    """What must be refused, encryption, and the status."""
    yield "no database", client.run(way, "-e", "SELECT DATABASE(); SELECT * FROM t")
    yield "wrong password", client.run(way, "-e", "SELECT 1", password="wrong")
    yield "no password", client.run(way, "-e", "SELECT 1", password="")
    yield "unknown database", client.run(way, "-e", "SELECT 1", "no_such_database")
    yield "autocommit off", client.run(way, "--init-command=SET autocommit=0", "-e", "SELECT @@autocommit")
    code, output, errors = client.run(way, way.database, script="\\s\n")
    assert way.database in output
    assert f"TCP port:\t\t{way.port}" in output
    yield "status", (code, [line for line in lines(output) if not CHANGING.match(line)], errors)


def sources(client: Client, directory: Path, way: Way) -> Iterator[Step]:
    """Files read by the client: scripts, and data for LOAD DATA LOCAL INFILE."""
    script, data = directory / "script.sql", directory / "data.csv"
    script.write_text("".join(f"INSERT INTO d VALUES ({n}, 'line {n}');\n" for n in range(100)), encoding="utf-8")
    data.write_text("".join(f"{n},row {n} 🐬\n" for n in range(1000, 20_000)), encoding="utf-8")
    load = f"LOAD DATA LOCAL INFILE '{data}' INTO TABLE d FIELDS TERMINATED BY ','"
    yield "create", client.run(way, way.database, "-e", "CREATE TABLE d (id INT PRIMARY KEY, v VARCHAR(40))")
    yield "source", client.run(way, way.database, script=f"source {script}\n")
    yield "backslash", client.run(way, "--force", way.database, script=f"\\. {script}\n")
    yield "infile", client.run(way, "--local-infile=1", "-vv", way.database, "-e", load)
    yield "not allowed", client.run(way, "--local-infile=0", way.database, "-e", load)
    way.settle()
    rows = client.run(way, way.database, "-e", "SELECT COUNT(*), SUM(id), MAX(v) FROM d")
    assert "19100" in rows[1]
    yield "rows", rows


def large(client: Client, way: Way) -> Iterator[Step]:
    """A hundred thousand rows, as they come and all at once, and a value of some megabytes."""
    digits = "SELECT 0 AS n" + "".join(f" UNION ALL SELECT {n}" for n in range(1, 10))
    sql = (
        f"WITH d AS ({digits}) "
        "SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS id, REPEAT('é', 20) AS v "
        "FROM d a, d b, d c, d d, d e ORDER BY id"
    )
    for option in ("--quick", "--skip-quick"):
        code, output, errors = client.run(way, option, way.database, "-e", sql)
        assert output.count("\n") == 100_001, errors
        yield option, (code, output, errors)
    yield (
        "long",
        client.run(
            way, "--max-allowed-packet=64M", "-e", f"SELECT '{'x' * (1 << 16)}' AS v, REPEAT('y', 20000000) AS w"
        ),
    )


def commands(client: Client, way: Way) -> Iterator[Step]:
    """Commands of the client itself, and the names of columns that it asks for to complete them."""
    script = "\\u information_schema\nSELECT DATABASE();\n\\u no_such_database\nSELECT DATABASE();\n"
    yield "use", client.run(way, "--force", way.database, script=script)
    yield "auto-rehash", client.run(way, "--auto-rehash", way.database, script="SELECT 1;\n\\#\nSELECT 2;\n")
    yield "delimiter", client.run(way, way.database, script="delimiter $$\nSELECT 1; SELECT 2 $$\nSELECT 3 $$\n")
    yield "charset", client.run(way, way.database, script="charset latin1\nSELECT @@character_set_client;\n")
    yield "vertical", client.run(way, way.database, script="SELECT 1 AS a, NULL AS b\\G\nWARNINGS;\nSELECT 1/0;\n")
    yield "ping", client.run(way, "--reconnect", way.database, "-e", "SELECT 1")


SCENARIOS = (statements, logins, large, commands)
