"""The shape of the file: defaults, attribute names, and a description on every key."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from router.config.models import NOT_YET, RouterConfig, User
from router.config.reference import json_schema
from router.config.values import Address

SMALLEST: dict[str, Any] = {"groups": {"main": {"servers": ["10.0.0.1:3306"]}}, "users": {"app": {"password": "x"}}}


def test_defaults() -> None:
    config = RouterConfig.model_validate(SMALLEST)
    assert [str(listener.address) for listener in config.listeners] == ["127.0.0.1:3307"]
    assert str(config.admin.http) == "127.0.0.1:8307"
    assert (config.admin.mysql, config.workers, config.schemas, config.rules) == (None, 1, {}, [])
    assert config.limits.model_dump() == {
        "max_connections": 10_000,
        "max_allowed_packet": 2**26,
        "connect_timeout": 5.0,
        "idle_timeout": 28800.0,
        "digests": 1000,
        "drain_timeout": 30.0,
        "takeover_timeout": 3600.0,
    }
    group = config.groups["main"]
    assert group.pool.model_dump() == {"max_connections": 50, "min_idle": 0, "queue_timeout": 5.0, "max_age": 3600.0}
    assert (group.reads.from_, group.reads.consistency, group.reads.max_lag) == ("replicas", "session", 10.0)
    assert (group.tls.mode, group.tls.verify, group.monitor.interval, group.failover_timeout) == (
        "preferred",
        "none",
        1.0,
        10.0,
    )


def test_a_server_is_named_by_its_address() -> None:
    servers = [
        "db:1",
        {"address": "[FD00::0:1]:2"},
        {"name": "c", "address": "unix:/s", "role": "primary", "weight": 3},
    ]
    config = RouterConfig.model_validate({**SMALLEST, "groups": {"main": {"servers": servers}}})
    assert [(server.name, server.role, server.weight) for server in config.groups["main"].servers] == [
        ("db:1", "auto", 1),
        ("[fd00::1]:2", "auto", 1),
        ("c", "primary", 3),
    ]
    assert config.groups["main"].servers[2].address == Address(path="/s")


def test_the_whole_user() -> None:
    user = User.model_validate(
        {
            "password": "p",
            "backend": {"user": "b"},
            "schemas": ["shop"],
            "default_schema": "shop",
            "hosts": ["10.0.0.0/8", "::1"],
            "tls": "required",
            "max_connections": 5,
            "read_only": True,
        }
    )
    assert user.hosts == [ip_network("10.0.0.0/8"), ip_network("::1")]
    assert (user.schemas, user.default_schema, user.tls, user.max_connections) == (["shop"], "shop", "required", 5)
    assert user.read_only


@pytest.mark.parametrize(
    ("user", "login"),
    [
        ({"password": "p"}, ("app", "p")),
        ({"password": "p", "backend": {"user": "b"}}, ("b", "p")),
        ({"password": "p", "backend": {"password": "q"}}, ("app", "q")),
        ({"password_hash": "h", "backend": {"user": "b", "password": "q"}}, ("b", "q")),
        ({"password_hash": "h"}, ("app", "")),
    ],
)
def test_login_on_the_servers(user: dict[str, object], login: tuple[str, str]) -> None:
    name, password = User.model_validate(user).server_login("app")
    assert (name, password.get_secret_value()) == login
    assert isinstance(password, SecretStr)


def test_verification_follows_the_authority() -> None:
    def verify(tls: dict[str, str]) -> str:
        group = {"servers": ["a:1"], "tls": tls}
        return RouterConfig.model_validate({**SMALLEST, "groups": {"main": group}}).groups["main"].tls.verify

    assert verify({}) == "none"
    assert verify({"ca": "ca.pem"}) == "full"
    assert verify({"ca": "ca.pem", "verify": "ca"}) == "ca"


def test_secrets_do_not_print() -> None:
    config = RouterConfig.model_validate(
        {
            "groups": {"main": {"servers": ["a:1"], "monitor": {"user": "m", "password": "hunter2"}}},
            "users": {
                "app": {"password": "hunter2", "backend": {"password": "hunter2"}},
                "b": {"password_hash": "hunter2"},
            },
            "admin": {"users": {"ops": {"password": "hunter2"}}},
        }
    )
    assert "hunter2" not in repr(config) + str(config) + str(config.model_dump()) + config.model_dump_json()


def test_every_mapping_is_closed_and_fixed() -> None:
    for model in all_models(RouterConfig, {}).values():
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen") is True, model
    with pytest.raises(ValidationError):
        RouterConfig.model_validate(SMALLEST).workers = 2


def test_every_key_has_a_description() -> None:
    for model in all_models(RouterConfig, {}).values():
        assert model.__doc__
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert field.description.endswith((".", "…")), f"{model.__name__}.{name}"


def test_keys_not_acted_on_exist() -> None:
    schema = json_schema()
    for pattern, text in NOT_YET.items():
        assert text
        node = schema
        for step in pattern.partition("=")[0].split("."):
            node = children(schema, node)[step]


def children(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The properties of a schema node, or its items under ``*``."""
    if "$ref" in node:
        return children(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    if "properties" in node:
        return dict(node["properties"])
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            return {"*": node[key]}
    found: dict[str, Any] = {}
    for part in node.get("anyOf", []):
        found |= children(schema, part)
    return found


def all_models(annotation: Any, found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Every model that can be reached from an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation.__name__ not in found:
            found[annotation.__name__] = annotation
            for field in annotation.model_fields.values():
                all_models(field.annotation, found)
        return found
    for part in getattr(annotation, "__args__", ()):
        all_models(part, found)
    return found
