"""Checks of a configuration that need more than one key: names that must exist, keys that exclude each other.

Every check yields all it finds. The loader runs them even when parts of the file were refused, on what is left of it;
that is why the names of groups and schemas come from the file as written and not from the models.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from router.config.findings import Finding, Loc, did_you_mean
from router.config.models import RouterConfig, User
from router.config.rules import Mirror, Rule
from router.config.shard_checks import check_schema_shards
from router.config.values import Address
from router.wire.ed25519 import parse_ed25519
from router.wire.scramble import parse_sha2_crypt

# RFC 9110, section 5.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_NATIVE_HASH = re.compile(r"\*[0-9A-Fa-f]{40}\Z")


@dataclass(frozen=True, slots=True)
class Names:
    """Names that the file defines, whether or not their contents are valid."""

    groups: frozenset[str]
    schemas: frozenset[str]
    users: frozenset[str]


def check(config: RouterConfig, names: Names) -> Iterator[Finding]:
    """Everything that is wrong with a configuration whose single values are right."""
    yield from _listeners(config)
    yield from _admin(config)
    yield from _groups(config)
    for name, user in config.users.items():
        yield from _user(("users", name), user, config, names)
    yield from _schemas(config, names)
    yield from _rules(config, names)
    yield from _workers(config)
    yield from _tracing(config)


def doubts(config: RouterConfig) -> Iterator[Finding]:
    """What is allowed, and perhaps not what is meant."""
    zones = {server.zone for group in config.groups.values() for server in group.servers if server.zone is not None}
    if config.zone is not None and config.zone not in zones:
        hint = did_you_mean(config.zone, zones)
        yield Finding(("zone",), f"no server is in zone '{config.zone}', so reads go to all alike{hint}")
    if config.workers == 1:
        return
    for name, group in config.groups.items():
        if group.reads.consistency == "global":
            message = "with several workers, which do not know each other's writes, all reads go to the primary"
            yield Finding(("groups", name, "reads", "consistency"), message)


def _workers(config: RouterConfig) -> Iterator[Finding]:
    """Each worker has its own part of a pool."""
    if not isinstance(config.workers, int):
        return
    for name, group in config.groups.items():
        if group.pool.max_connections < config.workers:
            message = f"must be at least workers ({config.workers}): each has its own connections"
            yield Finding(("groups", name, "pool", "max_connections"), message)


def _tracing(config: RouterConfig) -> Iterator[Finding]:
    """The libraries are an extra; they are looked for, not loaded."""
    if config.tracing is None:
        return
    if not (_is_installed("opentelemetry.sdk") and _is_installed("opentelemetry.exporter.otlp.proto.http")):
        message = "needs the extra otel, which is not installed: pip install 'mysql-query-router[otel]'"
        yield Finding(("tracing",), message, at_key=True)
    for name, value in config.tracing.headers.items():
        if not _HEADER.fullmatch(name):
            yield Finding(("tracing", "headers", name), "is not the name of a header", at_key=True)
        elif not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            yield Finding(("tracing", "headers", name), "is not the value of a header")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False  # what it is in is not there, either


def _listeners(config: RouterConfig) -> Iterator[Finding]:
    if not config.listeners:
        yield Finding(("listeners",), "at least one listener is needed")
    places: list[tuple[Loc, Address]] = []
    for index, listener in enumerate(config.listeners):
        loc: Loc = ("listeners", index)
        places.append(((*loc, "address"), listener.address))
        tls = listener.tls
        if tls is None or tls.mode == "disabled":
            continue
        if tls.certificate is None or tls.key is None:
            yield Finding((*loc, "tls"), "needs both certificate and key (or mode: disabled)")
        else:
            yield from _certificate((*loc, "tls"), tls.certificate, tls.key)
    places.append((("admin", "http"), config.admin.http))
    if config.admin.mysql is not None:
        places.append((("admin", "mysql"), config.admin.mysql))
    seen: dict[str, Loc] = {}
    for loc, address in places:
        first = seen.setdefault(str(address), loc)
        if first != loc and address.port != 0:
            yield Finding(loc, f"{address} is already used by {'.'.join(map(str, first))}", depends=(first,))


def _certificate(loc: Loc, certificate: Path, key: Path) -> Iterator[Finding]:
    def refuse_pass_phrase() -> str:
        raise ValueError("the key has a pass phrase")  # without this, OpenSSL would ask on the terminal

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, refuse_pass_phrase)
    except (OSError, ValueError) as error:
        yield Finding(loc, f"certificate and key cannot be used: {error}")


def _admin(config: RouterConfig) -> Iterator[Finding]:
    for key, address in (("http", config.admin.http), ("mysql", config.admin.mysql)):
        if address is not None and not address.is_loopback and not config.admin.users:
            message = "can be reached from other machines: admin.users is required, or use 127.0.0.1"
            yield Finding(("admin", key), message, depends=(("admin", "users"),))
    for name, user in config.admin.users.items():
        if not user.password.get_secret_value():
            yield Finding(("admin", "users", name, "password"), "must not be empty")


def _groups(config: RouterConfig) -> Iterator[Finding]:
    if not config.groups:
        yield Finding(("groups",), "at least one group is needed", at_key=True)
    for name, group in config.groups.items():
        loc: Loc = ("groups", name, "servers")
        if not group.servers:
            yield Finding(loc, "a group needs at least one server", at_key=True)
        primary: str | None = None
        names: set[str] = set()
        addresses: set[str] = set()
        for index, server in enumerate(group.servers):
            if server.role == "primary":
                if primary is not None:
                    yield Finding((*loc, index, "role"), f"a group has one primary, and '{primary}' already is it")
                primary = primary or server.name
            if str(server.address) in addresses:
                yield Finding((*loc, index, "address"), f"{server.address} is listed twice in this group")
            elif server.name in names:
                yield Finding((*loc, index, "name"), f"two servers of this group are called '{server.name}'")
            if server.address.port == 0:
                yield Finding((*loc, index, "address"), "port 0 cannot be connected to")
            addresses.add(str(server.address))
            names.add(server.name)
        if group.pool.min_idle > group.pool.max_connections:
            loc = ("groups", name, "pool")
            yield Finding((*loc, "min_idle"), "must not exceed max_connections", depends=(loc,))
        if (group.tls.certificate is None) != (group.tls.key is None):
            yield Finding(("groups", name, "tls"), "certificate and key belong together")
        elif group.tls.certificate is not None and group.tls.key is not None:
            yield from _certificate(("groups", name, "tls"), group.tls.certificate, group.tls.key)
        if group.monitor.password is not None and group.monitor.user is None:
            yield Finding(("groups", name, "monitor"), "a password needs a user")


def _user(loc: Loc, user: User, config: RouterConfig, names: Names) -> Iterator[Finding]:
    yield from _passwords(loc, user)
    if names.schemas:
        for index, schema in enumerate(user.schemas or []):
            if schema not in names.schemas:
                yield Finding(
                    (*loc, "schemas", index), f"there is no schema '{schema}'{did_you_mean(schema, names.schemas)}"
                )
    default = user.default_schema
    if default is not None:
        allowed = names.schemas if user.schemas is None else frozenset(user.schemas)
        if (allowed or user.schemas is not None) and default not in allowed:
            message = f"'{default}' is not a schema of this user{did_you_mean(default, allowed)}"
            yield Finding((*loc, "default_schema"), message, depends=((*loc, "schemas"),))
    if user.tls == "required" and not any(
        listener.address.is_unix or (listener.tls is not None and listener.tls.mode != "disabled")
        for listener in config.listeners
    ):
        message = "no listener offers TLS (listeners.*.tls), so this user could never log in"
        yield Finding((*loc, "tls"), message, depends=(("listeners",),))


def _passwords(loc: Loc, user: User) -> Iterator[Finding]:
    if user.password is None and user.password_hash is None:
        yield Finding(loc, "needs password or password_hash")
    if user.password is not None and user.password_hash is not None:
        yield Finding((*loc, "password_hash"), "give either password or password_hash, not both", at_key=True)
    if user.password is not None and not user.password.get_secret_value():
        yield Finding((*loc, "password"), "must not be empty")
    if user.password_hash is None:
        return
    if not is_password_hash(user.password_hash.get_secret_value()):
        yield Finding(
            (*loc, "password_hash"),
            "is neither a native hash (* and 40 hexadecimal digits) nor a caching_sha2_password hash "
            "($A$005$ and 63 characters) nor an ed25519 key (43 characters); `router hash-password` makes one",
        )
    if user.backend is None or user.backend.password is None:
        yield Finding(
            (*loc, "password_hash"),
            "needs backend.password too: the router cannot log in to the servers with a hash",
            at_key=True,
            depends=((*loc, "backend"),),
        )


def is_password_hash(text: str) -> bool:
    """Whether ``text`` has the form of a stored native or caching_sha2_password hash, or of an ed25519 key."""
    if _NATIVE_HASH.match(text):
        return True
    for parse in (parse_sha2_crypt, parse_ed25519):
        try:
            parse(text)
        except ValueError:
            continue
        return True
    return False


def _unknown_group(loc: Loc, group: str, names: Names) -> Iterator[Finding]:
    if group not in names.groups:
        yield Finding(loc, f"there is no group '{group}'{did_you_mean(group, names.groups)}")


def _schemas(config: RouterConfig, names: Names) -> Iterator[Finding]:
    if len(names.groups) > 1 and not names.schemas:
        yield Finding(
            ("groups",), "with several groups, `schemas` must say which databases live in which group", at_key=True
        )
    for name, schema in config.schemas.items():
        loc: Loc = ("schemas", name)
        if schema.group is None:
            yield Finding(loc, "needs a group, for tables that are not spread over shards")
        if schema.group is not None:
            yield from _unknown_group((*loc, "group"), schema.group, names)
        for shard_name, shard in schema.shards.items():
            yield from _unknown_group((*loc, "shards", shard_name, "group"), shard.group, names)
        yield from check_schema_shards(loc, schema)


def _rules(config: RouterConfig, names: Names) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, rule in enumerate(config.rules):
        loc: Loc = ("rules", index)
        if rule.name in seen:
            yield Finding((*loc, "name"), f"two rules are called '{rule.name}'")
        seen.add(rule.name)
        others = [rule.send_to, rule.timeout, rule.mirror]
        if rule.reject is None and all(each is None for each in others):
            yield Finding(loc, "needs one of send_to, reject, timeout and mirror")
        if rule.reject is not None and any(each is not None for each in others):
            yield Finding((*loc, "reject"), "goes with none of send_to, timeout and mirror", at_key=True)
        if rule.mirror is not None:
            yield from _mirror(loc, rule, rule.mirror, names)
        if rule.send_to is not None:
            if rule.send_to.group is None and rule.send_to.role is None:
                yield Finding((*loc, "send_to"), "needs a group, a role or both")
            if rule.send_to.group is not None:
                yield from _unknown_group((*loc, "send_to", "group"), rule.send_to.group, names)
        for key, value, known in (
            ("user", rule.when.user, names.users),
            ("schema", rule.when.schema_, names.schemas),
        ):
            if value is not None and known and value not in known:
                yield Finding((*loc, "when", key), f"there is no {key} '{value}'{did_you_mean(value, known)}")


def _mirror(loc: Loc, rule: Rule, mirror: Mirror, names: Names) -> Iterator[Finding]:
    yield from _unknown_group((*loc, "mirror", "group"), mirror.group, names)
    same = rule.send_to is not None and rule.send_to.group == mirror.group
    if same or names.groups == {mirror.group}:
        why = "where the rule sends the statement itself" if same else "the only group"
        yield Finding((*loc, "mirror"), f"'{mirror.group}' is {why}: a copy goes to another one", at_key=True)
