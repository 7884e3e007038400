"""Checks of values against each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from router.config.checks import Names, check, is_password_hash
from router.config.models import RouterConfig
from tests.config.certificates import write_certificate

NATIVE = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
SHA2 = "$A$005$" + "s" * 20 + "x" * 43


def messages(changes: dict[str, Any]) -> list[str]:
    """What is said about the smallest configuration with ``changes``."""
    raw: dict[str, Any] = {"groups": {"main": {"servers": ["a:1"]}}, "users": {"app": {"password": "x"}}, **changes}
    config = RouterConfig.model_validate(raw)
    names = Names(frozenset(config.groups), frozenset(config.schemas), frozenset(config.users))
    return [f"{'.'.join(map(str, finding.loc))}: {finding.message}" for finding in check(config, names)]


def group(**keys: Any) -> dict[str, Any]:
    return {"groups": {"main": {"servers": ["a:1"], **keys}}}


def user(**keys: Any) -> dict[str, Any]:
    return {"users": {"app": keys}}


BACKEND = {"password": "x"}
TWO_GROUPS = {"a": {"servers": ["a:1"]}, "b": {"servers": ["b:1"]}}
SEVERAL = {"groups": TWO_GROUPS, "schemas": {"shop": {"group": "a"}, "blog": {"group": "b"}}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"listeners": ["0.0.0.0:3307", "unix:/x", "127.0.0.1:0", "127.0.0.1:0"]},
        {"admin": {"http": "0.0.0.0:8307", "users": {"ops": {"password": "x"}}}},
        {"admin": {"http": "unix:/run/admin.sock"}},
        {"workers": 4},
        {"workers": "auto"},
        {"tracing": {}},
        {"tracing": {"endpoint": "https://[::1]:4318/otlp/", "sample": 0, "headers": {"x-team": "a b"}}},
        user(password_hash=NATIVE, backend=BACKEND),
        user(password_hash=SHA2, backend=BACKEND),
        user(password="x", schemas=["anything"], default_schema="anything"),
        user(password="x", default_schema="anything"),
        {**SEVERAL, **user(password="x", schemas=["shop"], default_schema="shop")},
        {**SEVERAL, "rules": [{"when": {"user": "app", "schema": "shop"}, "send_to": {"group": "b"}}]},
        {"rules": [{"reject": "no"}, {"send_to": {"role": "replica"}}]},
        {"listeners": ["unix:/x"], **user(password="x", tls="required")},
        group(servers=[{"address": "a:1", "role": "primary"}, {"address": "b:1", "role": "replica"}, "c:1"]),
        {"groups": {"a": {"servers": ["a:1"]}, "b": {"servers": ["a:1"]}}, "schemas": {"s": {"group": "a"}}},
    ],
)
def test_right(changes: dict[str, Any]) -> None:
    assert messages(changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"workers": 4, **group(pool={"max_connections": 3})},
            "groups.main.pool.max_connections: must be at least workers (4): each has its own connections",
        ),
        (
            {"schemas": {"shop": {"shards": {"s0": {"group": "main"}}}}},
            "schemas.shop: needs a group, for tables that are not spread over shards",
        ),
        ({"listeners": []}, "listeners: at least one listener is needed"),
        (
            {"tracing": {"headers": {"not a name": "x"}}},
            "tracing.headers.not a name: is not the name of a header",
        ),
        ({"tracing": {"headers": {"x": "a\nb"}}}, "tracing.headers.x: is not the value of a header"),
        (
            {"listeners": ["a:1", "b:1", "a:1"]},
            "listeners.2.address: a:1 is already used by listeners.0.address",
        ),
        (
            {"listeners": ["127.0.0.1:8307"]},
            "admin.http: 127.0.0.1:8307 is already used by listeners.0.address",
        ),
        (
            {"admin": {"mysql": "127.0.0.1:8307"}},
            "admin.mysql: 127.0.0.1:8307 is already used by admin.http",
        ),
        (
            {"listeners": [{"address": "a:1", "tls": {"mode": "required"}}]},
            "listeners.0.tls: needs both certificate and key (or mode: disabled)",
        ),
        (
            {"admin": {"http": "0.0.0.0:8307"}},
            "admin.http: can be reached from other machines: admin.users is required, or use 127.0.0.1",
        ),
        (
            {"admin": {"mysql": "10.0.0.1:6307"}},
            "admin.mysql: can be reached from other machines: admin.users is required, or use 127.0.0.1",
        ),
        ({"admin": {"users": {"ops": {"password": ""}}}}, "admin.users.ops.password: must not be empty"),
        ({"groups": {}}, "groups: at least one group is needed"),
        (group(servers=[]), "groups.main.servers: a group needs at least one server"),
        (
            group(servers=[{"address": "a:1", "role": "primary"}, {"address": "b:1", "role": "primary"}]),
            "groups.main.servers.1.role: a group has one primary, and 'a:1' already is it",
        ),
        (group(servers=["a:1", "a:1"]), "groups.main.servers.1.address: a:1 is listed twice in this group"),
        (
            group(servers=[{"address": "a:1", "name": "x"}, {"address": "b:1", "name": "x"}]),
            "groups.main.servers.1.name: two servers of this group are called 'x'",
        ),
        (group(servers=["a:0"]), "groups.main.servers.0.address: port 0 cannot be connected to"),
        (
            group(pool={"min_idle": 5, "max_connections": 4}),
            "groups.main.pool.min_idle: must not exceed max_connections",
        ),
        (group(tls={"certificate": "c.pem"}), "groups.main.tls: certificate and key belong together"),
        (group(monitor={"password": "x"}), "groups.main.monitor: a password needs a user"),
        (user(), "users.app: needs password or password_hash"),
        (user(password=""), "users.app.password: must not be empty"),
        (
            user(password="x", password_hash=NATIVE, backend=BACKEND),
            "users.app.password_hash: give either password or password_hash, not both",
        ),
        (
            user(password_hash=NATIVE),
            "users.app.password_hash: needs backend.password too: the router cannot log in to the servers with a hash",
        ),
        (
            {**SEVERAL, **user(password="x", schemas=["shpo"])},
            "users.app.schemas.0: there is no schema 'shpo'; did you mean 'shop'?",
        ),
        (
            user(password="x", schemas=["a"], default_schema="b"),
            "users.app.default_schema: 'b' is not a schema of this user (known: a)",
        ),
        (
            user(password="x", schemas=[], default_schema="b"),
            "users.app.default_schema: 'b' is not a schema of this user",
        ),
        (
            {**SEVERAL, **user(password="x", default_schema="shpo")},
            "users.app.default_schema: 'shpo' is not a schema of this user; did you mean 'shop'?",
        ),
        (
            user(password="x", tls="required"),
            "users.app.tls: no listener offers TLS (listeners.*.tls), so this user could never log in",
        ),
        (
            {"groups": TWO_GROUPS},
            "groups: with several groups, `schemas` must say which databases live in which group",
        ),
        ({"schemas": {"shop": {}}}, "schemas.shop: needs a group, for tables that are not spread over shards"),
        (
            {"schemas": {"shop": {"group": "mian"}}},
            "schemas.shop.group: there is no group 'mian'; did you mean 'main'?",
        ),
        ({"rules": [{"when": {"user": "app"}}]}, "rules.0: needs one of send_to, reject, timeout and mirror"),
        (
            {"rules": [{"send_to": {"role": "primary"}, "reject": "no"}]},
            "rules.0.reject: goes with none of send_to, timeout and mirror",
        ),
        (
            {**SEVERAL, "rules": [{"mirror": "a", "reject": "no"}]},
            "rules.0.reject: goes with none of send_to, timeout and mirror",
        ),
        (
            {**SEVERAL, "rules": [{"mirror": {"group": "x", "percent": 10}}]},
            "rules.0.mirror.group: there is no group 'x' (known: a, b)",
        ),
        (
            {**SEVERAL, "rules": [{"mirror": "a", "send_to": {"group": "a"}}]},
            "rules.0.mirror: 'a' is where the rule sends the statement itself: a copy goes to another one",
        ),
        ({"rules": [{"mirror": "main"}]}, "rules.0.mirror: 'main' is the only group: a copy goes to another one"),
        ({"rules": [{"send_to": {}}]}, "rules.0.send_to: needs a group, a role or both"),
        ({"rules": [{"send_to": {"group": "x"}}]}, "rules.0.send_to.group: there is no group 'x' (known: main)"),
        ({"rules": [{"name": "a", "reject": "x"}] * 2}, "rules.1.name: two rules are called 'a'"),
        (
            {"rules": [{"when": {"user": "apq"}, "reject": "x"}]},
            "rules.0.when.user: there is no user 'apq'; did you mean 'app'?",
        ),
        (
            {**SEVERAL, "rules": [{"when": {"schema": "shpo"}, "reject": "x"}]},
            "rules.0.when.schema: there is no schema 'shpo'; did you mean 'shop'?",
        ),
    ],
)
def test_wrong(changes: dict[str, Any], expected: str) -> None:
    assert messages(changes) == [expected]


@pytest.mark.parametrize("gone", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_tracing_needs_its_extra(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{gone}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, gone, None)
    assert messages({}) == []
    assert messages({"tracing": {}}) == [
        "tracing: needs the extra otel, which is not installed: pip install 'mysql-query-router[otel]'"
    ]


def test_a_shard_needs_its_group() -> None:
    assert messages({"schemas": {"shop": {"group": "main", "shards": {"s0": {"group": "mian"}}}}}) == [
        "schemas.shop.shards.s0.group: there is no group 'mian'; did you mean 'main'?",
    ]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (NATIVE, True),
        (NATIVE.lower(), True),
        (SHA2, True),
        ("$A$005$" + "\x01\n" * 10 + "x" * 43, True),
        ("vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4TI", True),
        (NATIVE[:-1], False),
        (NATIVE[1:], False),
        (NATIVE + "\n", False),
        (SHA2[:-1], False),
        (SHA2 + "x", False),
        ("$5$" + "x" * 60, False),
        ("", False),
    ],
)
def test_hashes(text: str, right: bool) -> None:
    assert is_password_hash(text) is right
    said = messages(user(password_hash=text, backend=BACKEND))
    assert (said == []) is right
    assert not text or text not in "".join(said)


def test_certificates_must_be_usable(tmp_path: Path) -> None:
    def tls(key: str) -> dict[str, str]:
        return {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / key)}

    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    write_certificate(tmp_path / "other.pem", tmp_path / "other-key.pem")
    write_certificate(tmp_path / "locked.pem", tmp_path / "locked-key.pem", b"pass phrase")
    assert (
        messages({"listeners": [{"address": "a:1", "tls": tls("key.pem")}], **user(password="x", tls="required")}) == []
    )
    assert messages(group(tls=tls("key.pem"))) == []
    for key in ("other-key.pem", "locked-key.pem", "cert.pem"):
        (said,) = messages({"listeners": [{"address": "a:1", "tls": tls(key)}]})
        assert said.startswith("listeners.0.tls: certificate and key cannot be used: ")
        (said,) = messages(group(tls=tls(key)))
        assert said.startswith("groups.main.tls: certificate and key cannot be used: ")
