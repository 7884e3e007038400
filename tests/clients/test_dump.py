"""A dump taken through the router is the dump of the server, and loads through the router."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet, SandboxUnavailable, mysql97
from tests.fix_router import RunningRouter, settings_for

SCHEMA = [
    "CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) CHARACTER SET utf8mb4, born DATE,"
    " balance DECIMAL(12, 2), photo BLOB, tags SET('a', 'b', 'c'), note TEXT, KEY (name)) DEFAULT CHARSET = utf8mb4",
    "INSERT INTO customers (name, born, balance, photo, tags, note) VALUES"
    " ('Zoë 🐬', '1970-01-01', 1234567.89, x'00FF1A5C27', 'a,c', 'it''s; \\\\ \"quoted\"\\n'),"
    " (NULL, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO customers (name) SELECT CONCAT('copy ', a.id, b.id) FROM customers a, customers b",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer INT, FOREIGN KEY (customer) REFERENCES customers (id))",
    "INSERT INTO orders VALUES (1, 1), (2, 1)",
    "CREATE VIEW names AS SELECT id, name FROM customers",
    "CREATE TRIGGER no_debts BEFORE INSERT ON orders FOR EACH ROW SET NEW.customer = IFNULL(NEW.customer, 1)",
    "CREATE PROCEDURE count_customers() SELECT count(*) FROM customers",
]


def dump_command(flavor: str) -> list[str]:
    """The dump program of the server's own family."""
    try:
        program = [shutil.which("mariadb-dump") or ""] if flavor == "mariadb" else mysql97().mysqldump
    except SandboxUnavailable as unavailable:
        program, reason = [""], str(unavailable)
    else:
        reason = "mariadb-dump is not installed"
    if not program[0]:
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must have it", pytrace=False)
        pytest.skip(reason)
    options = ["--skip-dump-date", "--skip-comments", "--single-transaction", "--routines", "--triggers"]
    if flavor == "mysql":
        options.append("--set-gtid-purged=OFF")  # loading it would need more rights than an application has
    return [*program, *options]


def run(command: list[str], port: int, password: str, database: str, text: bytes | None = None) -> bytes:
    options = ["--protocol=tcp", "-h127.0.0.1", f"-P{port}", "-uapp", f"-p{password}"]
    done = subprocess.run(
        [command[0], *command[1:], *options, database], input=text, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_round_trip(
    server_set: ReplicaSet, tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    command = dump_command(server_set.flavor)
    client = [shutil.which("mariadb") or "mariadb"]
    primary = server_set.primary
    primary.execute("SET GLOBAL log_bin_trust_function_creators = 1")
    for name in ("dump_from", "dump_to"):
        primary.execute(f"DROP DATABASE IF EXISTS {name}")
        primary.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    router = start_router(settings_for(server_set, tmp_path))
    server_set.wait_for_replicas()
    with router.connect(database="dump_from") as connection:
        for sql in SCHEMA:
            connection.query(sql)
    server_set.wait_for_replicas()
    password = server_set.app_password
    truth = run(command, primary.port, password, "dump_from")
    ours = run(command, router.port, password, "dump_from")
    assert ours == truth
    assert b"Zo\xc3\xab \xf0\x9f\x90\xac" in ours
    run(client, router.port, password, "dump_to", ours)
    server_set.wait_for_replicas()
    assert run(command, router.port, password, "dump_to") == truth
    primary.execute("DROP DATABASE dump_from")
    primary.execute("DROP DATABASE dump_to")
