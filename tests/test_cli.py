"""The command line, in a process of its own where exit codes and speed matter."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import typing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from router import cli, log
from router.config.checks import is_password_hash
from router.wire.scramble import check_sha2_crypt, native_hash
from tests.config.certificates import write_certificate

ROOT = Path(__file__).parents[1]
GOOD = "groups: {main: {servers: [10.0.0.1:3306, 10.0.0.2:3306]}}\nusers: {app: {password: x}}\n"
# What the examples take from their environment.
ENVIRON = {
    "APP_PASSWORD": "app-secret",
    "REPORTING_PASSWORD": "reporting-secret",
    "MONITOR_PASSWORD": "monitor-secret",
    "OPS_PASSWORD": "ops-secret",
    "SERVER_PASSWORD": "server-secret",
}


def router(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "router", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        timeout=60,
        check=False,
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(GOOD)
    return path


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


@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["explain", "SELECT 1"]])
def test_every_command_refuses_a_bad_file_and_wants_one(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("groups: 1\n")
    result = router(*command[:1], "--config", str(path), *command[1:])
    assert result.returncode == 78
    assert "groups: must be a mapping of names" in result.stderr
    result = router(*command[:1], "--config", str(tmp_path / "none.yaml"), *command[1:])
    assert result.returncode == 78
    assert "cannot be read: No such file or directory" in result.stderr
    result = router(*command)
    assert result.returncode == 2
    assert "--config" in result.stderr


def test_wrong_usage() -> None:
    assert router("--nonsense").returncode == 2
    assert router("nonsense").returncode == 2
    assert router("hash-password", "--plugin", "md5").returncode == 2


def test_operations_need_names_and_a_router(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        path = tmp_path / "routes.yaml"
        path.write_text(f"{GOOD}admin: {{http: '127.0.0.1:{nobody.getsockname()[1]}'}}\n")
        for words, status, text in (
            (["server", "drain", "db1"], 2, "Give GROUP/SERVER"),
            (["server", "drain", "main/db1", "--timeout", "soon"], 2, "'soon' must be a duration"),
            (["server", "list"], 1, "no router answers at 127.0.0.1:"),
            (["group", "pause"], 1, "no router answers at 127.0.0.1:"),
        ):
            result = router("--config", str(path), *words)
            assert (result.returncode, result.stdout) == (status, "")
            assert text in result.stderr


def test_version_and_help_are_quick() -> None:
    assert router("--version").stdout.startswith("router ")
    took = []
    for _ in range(3):
        started = time.perf_counter()
        result = router("--help")
        took.append(time.perf_counter() - started)
        assert result.returncode == 0
    for word in ("run", "check", "explain", "schema", "hash-password", "demo", "server", "group", "ROUTER_CONFIG"):
        assert word in result.stdout
    # The budget is 0.3 s on a quiet machine; what must not happen is that somebody imports sqlglot for it.
    assert min(took) < 1.0, took
    heavy = ("pydantic", "sqlglot", "asyncio", "aiohttp", "rich", "structlog", "ruamel")
    code = f"import sys, router.cli; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert loaded.stdout == "[]\n"


def test_schema() -> None:
    document = json.loads(router("schema").stdout)
    assert document["required"] == ["groups", "users"]
    assert router("schema", "--markdown").stdout.startswith("# Configuration reference\n")
    assert router("schema", "--admin").stdout.startswith("# The admin interface over the MySQL protocol\n")


def test_hash_password() -> None:
    result = router("hash-password", stdin="pässword\n")
    stored = result.stdout.strip()
    assert is_password_hash(stored)
    assert check_sha2_crypt(stored, "pässword".encode())
    assert stored != router("hash-password", stdin="pässword\n").stdout.strip(), "every hash has its own salt"
    result = router("hash-password", "--plugin", "mysql_native_password", stdin="x")
    assert result.stdout.strip() == "*" + native_hash(b"x").hex().upper()
    assert is_password_hash(result.stdout.strip())
    result = router("hash-password", "--plugin", "ed25519", stdin="foo")
    assert result.stdout.strip() == "vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4TI"
    assert is_password_hash(result.stdout.strip())


def test_hash_password_takes_no_argument_and_no_empty_password() -> None:
    assert router("hash-password", "hunter2").returncode == 2
    result = router("hash-password", stdin="\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert "empty" in result.stderr


def test_hash_password_asks_twice_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["one", "two"]
    monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    with pytest.raises(typer.Exit) as raised:
        cli._ask_password()
    assert raised.value.exit_code == 1
    answers[:] = ["one", "one"]
    assert cli._ask_password() == "one"


def test_options_before_the_command_count_and_those_after_it_win(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD)
    assert router("--config", str(other), "check", "--config", str(good)).stdout.startswith(f"{good}: ok")


def test_log_options_are_those_of_the_log() -> None:
    assert typing.get_args(cli.Format) == typing.get_args(log.Format)
    assert typing.get_args(cli.Level) == typing.get_args(log.Level)


def test_no_locals_in_tracebacks() -> None:
    """typer's pretty tracebacks print local variables, passwords among them."""
    assert cli.app.pretty_exceptions_enable is False


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


def test_runner_matches_the_console_script(good: Path) -> None:
    result = CliRunner().invoke(cli.app, ["check", str(good)])
    assert result.exit_code == 0


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


def test_import_proxysql(tmp_path: Path) -> None:
    source = tmp_path / "admin.sql"
    source.write_text(
        "INSERT INTO mysql_servers (hostgroup_id, hostname) VALUES (1, 'db1');\n"
        "INSERT INTO mysql_users (username, password, default_hostgroup) VALUES ('app', 'secret', 1);\n"
    )
    result = router("import", "proxysql", str(source))
    assert (result.returncode, result.stderr) == (0, "")
    assert "secret" not in result.stdout
    converted = tmp_path / "routes.yaml"
    converted.write_text(result.stdout)
    assert router("check", str(converted), env={"APP_PASSWORD": "secret"}).returncode == 0
    source.write_text(source.read_text() + "INSERT INTO scheduler (id) VALUES (1);")
    result = router("import", "proxysql", str(source))
    assert (result.returncode, result.stderr) == (
        1,
        f"{source}:3: todo: table scheduler (1 rows) is not carried over\n",
    )
    result = router("import", "proxysql", str(tmp_path / "none"))
    assert (result.returncode, result.stdout) == (1, "")
    assert "cannot be read" in result.stderr


def test_import_mycat(tmp_path: Path) -> None:
    (tmp_path / "server.xml").write_text('<r><user name="app"><property name="password">secret</property></user></r>')
    (tmp_path / "schema.xml").write_text(
        '<r><schema name="shop" dataNode="dn"/><dataNode name="dn" dataHost="h" database="shop"/><dataHost name="h" balance="1">'
        '<writeHost host="m" url="db1:3306" user="root" password="secret"/></dataHost></r>'
    )
    result = router("import", "mycat", str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert "secret" not in result.stdout
    (tmp_path / "schema.xml").write_text("<r>")
    result = router("import", "mycat", str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "schema.xml:1: is not XML" in result.stderr
    assert "is no folder" in router("import", "mycat", str(tmp_path / "none")).stderr
