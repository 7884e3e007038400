"""The loader: everything wrong at once, at the right place, and no secret in any message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.config.loader import load, loads, warnings
from router.config.models import NOT_YET
from router.errors import ConfigError

SMALLEST = """\
groups:
  main:
    servers:
      - 10.0.0.1:3306
      - 10.0.0.2:3306
users:
  app: {password: "${env:APP_PASSWORD}"}
"""


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loads(text, "routes.yaml", environ or {})
    assert str(raised.value).splitlines() == [str(problem) for problem in raised.value.problems]
    return str(raised.value).splitlines()


def test_the_smallest_file() -> None:
    config = loads(SMALLEST, "routes.yaml", {"APP_PASSWORD": "s3cret"})
    assert [str(server.address) for server in config.groups["main"].servers] == ["10.0.0.1:3306", "10.0.0.2:3306"]
    password = config.users["app"].password
    assert password is not None
    assert password.get_secret_value() == "s3cret"
    assert warnings(config) == []


def test_everything_wrong_is_told_at_once_with_its_place() -> None:
    text = """\
groups:
  main:
    servers:
      - 10.0.0.1
      - {address: 10.0.0.2:3306, rol: replica}
      - {address: 10.0.0.3:99999, role: replca, weight: true}
      - weight: 2
    pool: {max_connection: 3, queue_timeout: 5x, max_connections: 0}
    reads: []
  other:
    servers: []
users:
  app: {password: 123}
  bob: {password_hash: "*123"}
  eve: {hosts: [10.0.0.1/8, foo], read_only: perhaps}
  1: {password: x}
rules:
  - when: {regex: "(", user: evve}
    send_to: {group: man}
  - nothing
wokers: 2
listeners: [0.0.0.0:3307, "0.0.0.0:3307"]
limits: fast
"""
    assert problems(text) == [
        "routes.yaml:4:9: groups.main.servers.0.address: '10.0.0.1' must be host:port, [v6]:port or unix:/path "
        "(the port is missing)",
        "routes.yaml:5:34: groups.main.servers.1.rol: unknown key; did you mean 'role'?",
        "routes.yaml:6:19: groups.main.servers.2.address: '10.0.0.3:99999' has a port above 65535",
        "routes.yaml:6:41: groups.main.servers.2.role: 'replca' must be 'primary', 'replica' or 'auto'; "
        "did you mean 'replica'?",
        "routes.yaml:6:57: groups.main.servers.2.weight: 'true' must be a whole number",
        "routes.yaml:7:9: groups.main.servers.3.address: is required",
        "routes.yaml:8:12: groups.main.pool.max_connection: unknown key; did you mean 'max_connections'?",
        "routes.yaml:8:46: groups.main.pool.queue_timeout: '5x' must be a duration such as 500ms, 5s, 1m or 8h "
        "(a bare number is seconds)",
        "routes.yaml:8:67: groups.main.pool.max_connections: '0' must be at least 1",
        "routes.yaml:9:5: groups.main.reads: must be a mapping of keys",
        "routes.yaml:11:5: groups.other.servers: a group needs at least one server",
        "routes.yaml:13:19: users.app.password: must be text; put it in quotes",
        "routes.yaml:14:9: users.bob.password_hash: needs backend.password too: "
        "the router cannot log in to the servers with a hash",
        "routes.yaml:14:24: users.bob.password_hash: is neither a native hash (* and 40 hexadecimal digits) nor a "
        "caching_sha2_password hash ($A$005$ and 63 characters) nor an ed25519 key "
        "(43 characters); `router hash-password` makes one",
        "routes.yaml:15:17: users.eve.hosts.0: '10.0.0.1/8' has bits set outside its mask; 10.0.0.0/8 is the network",
        "routes.yaml:15:29: users.eve.hosts.1: 'foo' must be an address or a network such as 10.0.0.0/8 "
        "(host names are not looked up)",
        "routes.yaml:15:46: users.eve.read_only: 'perhaps' must be true or false",
        "routes.yaml:16:3: users.1: names must be text; quote it",
        "routes.yaml:18:19: rules.0.when.regex: '(' is not a regular expression: missing ), unterminated subpattern "
        "at position 0",
        "routes.yaml:20:5: rules.1: must be a mapping of keys",
        "routes.yaml:21:1: wokers: unknown key; did you mean 'workers'?",
        "routes.yaml:22:27: listeners.1.address: 0.0.0.0:3307 is already used by listeners.0.address",
        "routes.yaml:23:9: limits: must be a mapping of keys",
    ]


def test_checks_run_on_what_is_left() -> None:
    text = (
        SMALLEST + 'schemas: {shop: {group: mian}}\nlogging: {level: loud}\nrules: [{when: {user: ap}, reject: "x"}]\n'
    )
    assert problems(text, {"APP_PASSWORD": "x"}) == [
        "routes.yaml:8:25: schemas.shop.group: there is no group 'mian'; did you mean 'main'?",
        "routes.yaml:9:18: logging.level: 'loud' must be 'debug', 'info', 'warning' or 'error'",
        "routes.yaml:10:23: rules.0.when.user: there is no user 'ap'; did you mean 'app'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("groups: {m: {servers: [a:1]}}\n", ["routes.yaml:1:1: users: is required"]),
        ("x: 1\n", ["users: is required", "groups: is required", "x: unknown key"]),
        ("groups: {m: {servers: [a:1]}}\nusers: {a: }\n", ["users.a: must be a mapping of keys"]),
        ("groups: {m: {servers: }}\nusers: {a: {password: x}}\n", ["routes.yaml:1:14: groups.m.servers: is required"]),
        ("groups: {m: {servers: [a:1]}}\nusers: {'': {password: x}}\n", ["users.: names must not be empty"]),
        ("groups: {m: {servers: [a:1]}}\nusers: {a: {password: x, schemas: s}}\n", ["users.a.schemas: must be a list"]),
    ],
)
def test_missing_things(text: str, expected: list[str]) -> None:
    found = problems(text)
    assert len(found) == len(expected)
    for part in expected:
        assert any(part in line for line in found), found


def test_a_broken_part_does_not_cast_doubt_on_others() -> None:
    """No follow-up complaints: a user whose password is refused does have one, a refused listener may have had TLS."""
    text = """\
listeners: [{address: 0.0.0.0:1, tls: {mode: maybe}}]
admin: {http: 0.0.0.0:2, users: {ops: {password: 5}}}
groups: {m: {servers: [{address: nowhere}], pool: {min_idle: 60, max_connections: many}}}
users:
  app: {password: 1, tls: required}
  bob: {password_hash: "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", backend: {password: 2}}
  eve: {password: x, schemas: [1], default_schema: a}
rules: [{when: {user: eve}, send_to: {role: leader}}]
"""
    assert [re.sub(r"^\S+ (\S+):.*", r"\1", line) for line in problems(text)] == [
        "listeners.0.tls.mode",
        "admin.users.ops.password",
        "groups.m.servers.0.address",
        "groups.m.pool.max_connections",
        "users.app.password",
        "users.bob.backend.password",
        "users.eve.schemas.0",
        "rules.0.send_to.role",
    ]


def test_secrets_are_never_shown() -> None:
    """Wherever a secret is put by mistake, messages show the reference and not its value."""
    reference = '"${env:SECRET}"'
    text = f"""\
listeners: [{reference}]
admin: {{http: {reference}}}
workers: {reference}
limits: {{max_connections: {reference}, idle_timeout: {reference}, max_allowed_packet: {reference}}}
logging: {{level: {reference}}}
groups:
  main:
    servers: [{reference}, {{address: {reference}, role: {reference}, weight: {reference}}}]
    tls: {{ca: {reference}}}
    pool: {reference}
users:
  app: {{password_hash: {reference}, hosts: [{reference}], read_only: {reference}}}
  bob: {reference}
rules:
  - {{when: {{regex: {reference}, statement: {reference}, client: {reference}}}, send_to: {{role: {reference}}}}}
"""
    found = problems(text, {"SECRET": "(hunter2"})
    assert len(found) == 22
    assert "hunter2" not in "\n".join(found)
    assert "'${env:SECRET}' must be host:port" in found[0]


def test_secrets_in_the_file_are_never_shown() -> None:
    users = "{app: {password: [hunter2]}, bob: hunter2, eve: {password_hash: hunter2}}"
    text = f"groups: {{m: {{servers: [a:1]}}}}\nusers: {users}\n"
    found = problems(text)
    assert len(found) == 4
    assert "hunter2" not in "\n".join(found)


def test_long_values_are_cut() -> None:
    (line,) = problems(SMALLEST + f"logging: {{level: {'x' * 500}}}\n", {"APP_PASSWORD": "x"})
    assert "'" + "x" * 60 + "…' must be" in line


def test_a_missing_variable_is_the_only_complaint_about_its_value() -> None:
    assert problems(SMALLEST) == [
        "routes.yaml:7:19: users.app.password: environment variable APP_PASSWORD is not set "
        "(${env:APP_PASSWORD:-default} gives a default)"
    ]


def test_numbers_may_come_from_the_environment() -> None:
    text = SMALLEST + 'limits: {max_connections: "${env:N}", idle_timeout: "${env:N}s"}\nworkers: "${env:W:-1}"\n'
    config = loads(text, "routes.yaml", {"APP_PASSWORD": "x", "N": "7"})
    assert (config.limits.max_connections, config.limits.idle_timeout, config.workers) == (7, 7.0, 1)


def test_empty_keys_mean_the_default() -> None:
    config = loads(SMALLEST + "rules:\nschemas:\nlimits:\nlisteners:\n", "routes.yaml", {"APP_PASSWORD": "x"})
    assert (config.rules, config.schemas, config.limits.max_connections, len(config.listeners)) == ([], {}, 10_000, 1)


def test_rules_are_numbered() -> None:
    text = SMALLEST + "rules: [{reject: a}, {name: own, reject: b}, {reject: c}]\n"
    config = loads(text, "routes.yaml", {"APP_PASSWORD": "x"})
    assert [rule.name for rule in config.rules] == ["rule-1", "own", "rule-3"]


def test_warnings_name_keys_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NOT_YET, "logging.slow_query", "nobody reads the log")
    text = """\
groups: {main: {servers: [10.0.0.1:3306]}}
users: {app: {password: x}}
logging: {slow_query: 1s}
"""
    config = loads(text, "routes.yaml", {})
    assert [str(warning) for warning in warnings(config)] == [
        "routes.yaml:3:11: logging.slow_query: is accepted but not yet acted on: nobody reads the log",
    ]


def test_a_zone_without_servers_is_doubted() -> None:
    text = """\
zone: ${env:ZONE}
groups: {main: {servers: [{address: a:1, zone: eu-west-1a}, {address: b:1, zone: eu-west-1b}, c:1]}}
users: {app: {password: x}}
"""
    config = loads(text, "routes.yaml", {"ZONE": "eu-west-1a"})
    assert config.zone == "eu-west-1a"
    assert warnings(config) == []
    (warning,) = warnings(loads(text, "routes.yaml", {"ZONE": "eu-west-1"}))
    assert str(warning).startswith("routes.yaml:1:7: zone: no server is in zone 'eu-west-1', so reads go to all alike")


def test_files_start_at_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("s3cret\n")
    (tmp_path / "ca.pem").write_text("")
    path = tmp_path / "routes.yaml"
    path.write_text("groups: {m: {servers: [a:1], tls: {ca: ca.pem}}}\nusers: {app: {password: '${file:pw}'}}\n")
    config = load(path, {})
    assert config.groups["m"].tls.ca == tmp_path / "ca.pem"
    password = config.users["app"].password
    assert password is not None
    assert password.get_secret_value() == "s3cret"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml:1:1: cannot be read: No such file or directory"):
        load(tmp_path / "nope.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin1.yaml").write_bytes(b"users: {\xe9: x}")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "latin1.yaml")


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("\ufeff" + SMALLEST, encoding="utf-8")
    assert load(path, {"APP_PASSWORD": "x"}).groups


def test_did_you_mean_knows_every_level() -> None:
    text = SMALLEST + (
        "admin: {htp: x, users: {ops: {pasword: x}}}\n"
        "listeners: [{address: a:1, tls: {mod: x}}]\n"
        "schemas: {s: {group: main, tables: {t: {shard_byy: x, lookup: {form: x}}}}}\n"
        "rules: [{reject: x, when: {usr: x, schem: y}, nme: z}]\n"
    )
    found = "\n".join(problems(text, {"APP_PASSWORD": "x"}))
    for word in ("http", "password", "mode", "shard_by", "from", "user", "schema", "name"):
        assert f"unknown key; did you mean '{word}'?" in found
