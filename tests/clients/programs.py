"""Scenarios written in other languages: programs that print what they saw as lines of JSON, ``[label, text]``.

Each gets the way and ``statements``, a file with one statement of SQL a line, which makes two tables with every column
type at its extremes, so that no program has to write them in its own language.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from router.sandbox import Flavor
from tests.clients.ways import Scenario, Step, Way, missing, printed_steps, program, run_program

INSTALL_TIMEOUT = 110.0
COLUMNS = """id INT AUTO_INCREMENT PRIMARY KEY, tiny TINYINT, utiny TINYINT UNSIGNED, flag BOOLEAN, small SMALLINT,
    usmall SMALLINT UNSIGNED, medium MEDIUMINT, umedium MEDIUMINT UNSIGNED, n INT, un INT UNSIGNED, big BIGINT,
    ubig BIGINT UNSIGNED, filled INT(6) ZEROFILL, price DECIMAL(30,10), exact DECIMAL(65,30), f FLOAT,
    d DOUBLE, day DATE, t TIME(6), t0 TIME, dt DATETIME(6), dt0 DATETIME,
    ts TIMESTAMP(3) NULL, y YEAR, c CHAR(10), v VARCHAR(80), b BINARY(4),
    vb VARBINARY(300), tt TINYTEXT, mt MEDIUMTEXT, lt LONGTEXT, tb TINYBLOB, lb LONGBLOB, e ENUM('a','b','é'),
    s SET('x','y','z'), bit1 BIT(1), bits BIT(12), bit64 BIT(64), doc JSON, latin VARCHAR(20) CHARACTER SET latin1,
    cs VARCHAR(20) COLLATE utf8mb4_bin, place GEOMETRY"""
OWN_COLUMNS: Mapping[Flavor, str] = {
    "mariadb": "uid UUID, six INET6",
    "mysql": "vec VECTOR(2)",
}
LOWEST: Mapping[str, str] = {
    "tiny": "-128",
    "utiny": "0",
    "flag": "FALSE",
    "small": "-32768",
    "usmall": "0",
    "medium": "-8388608",
    "umedium": "0",
    "n": "-2147483648",
    "un": "0",
    "big": "-9223372036854775808",
    "ubig": "0",
    "filled": "7",
    "price": "-12345678901234567890.0123456789",
    "exact": f"-{'9' * 35}.{'9' * 30}",
    "f": "-3.4e38",
    "d": "-1.7976931348623157e308",
    "day": "'1000-01-01'",
    "t": "'-838:59:58.999999'",
    "t0": "'-838:59:59'",
    "dt": "'1000-01-01 00:00:00.000001'",
    "dt0": "'1000-01-01 00:00:00'",
    "ts": "'1970-01-02 00:00:01.001'",
    "y": "1901",
    "c": "''",
    "v": "''",
    "b": "''",
    "vb": "''",
    "tt": "''",
    "mt": "''",
    "lt": "''",
    "tb": "''",
    "lb": "''",
    "e": "'a'",
    "s": "''",
    "bit1": "0",
    "bits": "0",
    "bit64": "0",
    "doc": "'null'",
    "latin": "''",
    "cs": "''",
    "place": "ST_GeomFromText('POINT(0 0)')",
}
HIGHEST: Mapping[str, str] = {
    "tiny": "127",
    "utiny": "255",
    "flag": "TRUE",
    "small": "32767",
    "usmall": "65535",
    "medium": "8388607",
    "umedium": "16777215",
    "n": "2147483647",
    "un": "4294967295",
    "big": "9223372036854775807",
    "ubig": "18446744073709551615",
    "filled": "123456789",
    "price": "12345678901234567890.0123456789",
    "exact": f"{'9' * 35}.{'9' * 30}",
    "f": "1.5",
    "d": "2.2250738585072014e-308",
    "day": "'9999-12-31'",
    "t": "'22:59:58.999999'",
    "t0": "'23:59:59'",
    "dt": "'9999-12-31 23:59:59.999999'",
    "dt0": "'2026-02-28 23:59:59'",
    "ts": "'2038-01-19 03:14:07.999'",
    "y": "2155",
    "c": "'ten chars.'",
    "v": "'emoji 🐬 ''quoted'' \"twice\" back\\\\slash %s ? :name 100% line\\n nul\\0 \\Z'",
    "b": "x'00ff275c'",
    "vb": f"x'{bytes(range(256)).hex()}'",
    "tt": "REPEAT('t', 255)",
    "mt": "REPEAT('é', 40000)",
    "lt": "REPEAT('ü🐬', 30000)",
    "tb": "REPEAT(x'00', 251)",
    "lb": f"REPEAT(x'{bytes(range(256)).hex()}', 300)",
    "e": "'é'",
    "s": "'x,z'",
    "bit1": "1",
    "bits": "4095",
    "bit64": "18446744073709551615",
    "doc": """'{"a": [1, 2.5, null, "🐬"], "b": {}}'""",
    "latin": "'häß'",
    "cs": "'Ä ä '",
    "place": "ST_GeomFromText('LINESTRING(0 0, 1 1, 2 -5)')",
}
OWN_VALUES: Mapping[Flavor, Mapping[str, str]] = {
    "mariadb": {"uid": "'123e4567-e89b-12d3-a456-426655440000'", "six": "'2001:db8::ff00:42:8329'"},
    "mysql": {"vec": "STRING_TO_VECTOR('[1.5, -2]')"},
}


def statements(flavor: Flavor) -> list[str]:
    """Table ``types`` with a row of NULLs, one of the lowest and one of the highest values; table ``zero``."""
    columns = " ".join(f"{COLUMNS}, {OWN_COLUMNS[flavor]}".split())
    rows: list[Mapping[str, str]] = [{"id": "1"}, LOWEST, {**HIGHEST, **OWN_VALUES[flavor]}]
    return [
        f"CREATE TABLE types ({columns})",
        *(f"INSERT INTO types ({', '.join(row)}) VALUES ({', '.join(row.values())})" for row in rows),
        "CREATE TABLE zero (id INT PRIMARY KEY, day DATE, dt DATETIME(3), ts TIMESTAMP NULL, y YEAR, t TIME)",
        "SET sql_mode = ''",
        "INSERT INTO zero VALUES (1, '0000-00-00', '0000-00-00', '0000-00-00', '0000', '0:0:0'),"
        " (2, '2026-00-00', '2026-11-00', NULL, 1970, '-0:0:1')",
        "SET sql_mode = DEFAULT",
    ]


def told(way: Way, directory: Path, **more: Any) -> dict[str, Any]:
    """All that a program has to know: the way's fields and the place of the file with the statements."""
    file = directory / f"{way.flavor}.sql"
    file.write_text("".join(f"{sql}\n" for sql in statements(way.flavor)), encoding="utf-8")
    fields = {field.name: getattr(way, field.name) for field in dataclasses.fields(way) if field.name != "settle"}
    return {**fields, "statements": str(file), **more}


def running(
    command: Sequence[str], directory: Path, *, environment: Mapping[str, str] | None = None, **more: Any
) -> Scenario:
    """The scenario that ``command`` plays when it is given the way as JSON in its last argument."""

    def scenario(way: Way) -> Iterator[Step]:
        argument = json.dumps(told(way, directory, **more))
        yield from output_of([*command, argument], environment)

    return scenario


def output_of(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Step]:
    """The steps a program prints; that it ends well is one more condition."""
    done = run_program(command, environment={"TZ": "UTC", **(environment or {})})
    yield from printed_steps(done.stdout.decode("utf-8", "replace"))
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4000:]


def build(command: Sequence[str], directory: Path, seconds: float, environment: Mapping[str, str] | None = None) -> str:
    """Run a build tool; what it complains about, or nothing when it is content."""
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end in {seconds:g} s"
    return "" if done.returncode == 0 else f"{' '.join(command[:3])}: {(done.stdout + done.stderr).strip()[-800:]}"


def install_node_packages(directory: Path, *after: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """What ``package-lock.json`` says, without running anybody's scripts, then ``after``; not twice for one lock."""
    lock_file, done = directory / "package-lock.json", directory / "node_modules" / ".installed"
    locked = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    with lock_file.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text(encoding="ascii") == locked:
            return
        install = [program("npm"), "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
        for command, variables in [(install, None), *((command, environment) for command in after)]:
            if problem := build(command, directory, INSTALL_TIMEOUT, variables):
                missing(problem)
        done.write_text(locked, encoding="ascii")
