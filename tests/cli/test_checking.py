"""`router check`, `router explain`, `router schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from router import cli
from tests.cli.ground import ENVIRON, GOOD, ROOT, router
from tests.config.certificates import write_certificate

SHARDED = """
groups: {main: {servers: ["h:1"]}, g0: {servers: ["h:2"]}, g1: {servers: ["h:3"]}}
users: {app: {password: x, default_schema: shop}}
schemas:
  shop:
    group: main
    shards: {s0: {group: g0}, s1: {group: g1}}
    tables:
      users: {shard_by: mail, lookup: {table: mails, from: mail, to: shard}}
      orders: {shard_by: customer_id, function: mod}
"""


def test_check_says_ok(good: Path) -> None:
    for arguments in (["check", str(good)], ["check", "--config", str(good)], ["--config", str(good), "check"]):
        result = router(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"{good}: ok: 1 group, 2 servers, 1 user; listens on 127.0.0.1:3307\n"
    assert router("check", env={"ROUTER_CONFIG": str(good)}).returncode == 0


def test_check_prints_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD + "wokers: 1\nlimits: {max_connections: no}\n")
    result = router("check", str(path))
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.splitlines() == [
        f"{path}:3:1: wokers: unknown key; did you mean 'workers'?",
        f"{path}:4:27: limits.max_connections: 'no' must be a whole number",
    ]


def test_check_warns_of_what_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(GOOD + "zone: nowhere\n")
    result = router("check", str(path))
    assert result.returncode == 0
    assert result.stderr.startswith(f"{path}:3:7: warning: zone: no server is in zone 'nowhere'")


def test_schema() -> None:
    document = json.loads(router("schema").stdout)
    assert document["required"] == ["groups", "users"]
    assert router("schema", "--markdown").stdout.startswith("# Configuration reference\n")
    assert router("schema", "--admin").stdout.startswith("# The admin interface over the MySQL protocol\n")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_accepted(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    for name in ("server", "client-ca", "db-ca"):
        write_certificate(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    copy = tmp_path / path.name
    copy.write_text(text)
    result = router("check", str(copy), env=ENVIRON)
    assert (result.returncode, result.stderr) == (0, ""), "an example that warns would teach what does not work"
    assert ": ok: " in result.stdout


def test_explain(good: Path) -> None:
    read = router("explain", "--config", str(good), "SELECT id FROM shop.orders WHERE id = 7")
    assert (read.returncode, read.stderr) == (0, "")
    heading, row = read.stdout.splitlines()
    assert heading.split() == ["step", "server", "role", "shard", "sql", "reason"]
    assert " replica " in row
    for statement in ("SELECT id FROM shop.orders WHERE id = 7 FOR UPDATE", "DELETE FROM shop.orders"):
        assert " primary " in router("explain", "--config", str(good), statement).stdout
    assert (
        router("explain", "--config", str(good), "-", stdin="SELECT id FROM shop.orders WHERE id = 7").stdout
        == read.stdout
    )
    pasted = router("explain", "--config", str(good), "EXPLAIN ROUTE SELECT id FROM shop.orders WHERE id = 7")
    assert " replica " in pasted.stdout


def test_explain_as_json(good: Path) -> None:
    result = router("explain", "--config", str(good), "--json", "INSERT INTO shop.orders VALUES (1)")
    assert "primary" in json.dumps(json.loads(result.stdout))


def test_explain_follows_rules_user_and_client(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(
        GOOD.replace("{app: ", "{bob: {password: y}, app: ")
        + "rules:\n  - {name: mine, when: {user: app, client: 10.0.0.0/8}, send_to: {role: primary}}\n"
    )
    statement = "SELECT id FROM shop.orders WHERE id = 7"
    config = ("--config", str(path))
    assert " replica " in router("explain", *config, statement).stdout, "bob is the first user"
    assert " replica " in router("explain", *config, "--user", "app", statement).stdout
    matched = router("explain", *config, "--user", "app", "--client", "10.1.2.3", statement)
    assert " primary " in matched.stdout
    assert "mine" in matched.stdout
    result = router("explain", *config, "--user", "eve", statement)
    assert result.returncode == 2
    assert "there is no user 'eve'" in result.stderr


def test_explain_of_sharded_tables(tmp_path: Path) -> None:
    config, tables = tmp_path / "routes.yaml", tmp_path / "tables.sql"
    config.write_text(SHARDED)
    text = "CREATE TABLE {0} (mail VARCHAR(60) PRIMARY KEY, shard VARCHAR(20));"
    tables.write_text(
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT);" + text.format("mails") + text.format("users")
    )

    def explain(sql: str, *options: str) -> tuple[str, str]:
        result = CliRunner().invoke(cli.app, ["explain", "--config", str(config), *options, sql])
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    sql = "SELECT * FROM orders WHERE customer_id = 7"
    said, warned = explain(sql)
    assert "not known" in said
    assert "the columns of shop.orders, shop.users are not known here" in warned
    given = ("--tables", str(tables))
    said, warned = explain(sql, *given)
    assert said.splitlines()[1].split()[:4] == ["1", "group", "g1", "replica"]
    assert warned == ""
    said, _ = explain("SELECT AVG(id) FROM orders", *given)
    assert [line.split()[2] for line in said.splitlines()[1:]] == ["g0", "g1"]
    assert "SUM( id )" in said
    said, _ = explain("SELECT * FROM users WHERE mail = 'a'", *given)
    assert "users: one of literal 1" in said
    said, _ = explain(sql, *given, "--json")
    assert [step["shard"] for step in json.loads(said)["steps"]] == ["s1"]
    tables.write_text("CREATE TABLE t LIKE u")
    result = CliRunner().invoke(cli.app, ["explain", "--config", str(config), *given, sql])
    assert (result.exit_code, "lists no columns" in result.stderr or "not understood" in result.stderr) == (1, True)
