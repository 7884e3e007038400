"""The configuration as the planner sees it: immutable, compiled, replaced as a whole on reload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from router.config.models import Group, RouterConfig
from router.config.rules import Rule
from router.config.values import is_within
from router.planner.layout import sharded_schema
from router.planner.plan import Mirror, Role
from router.planner.tables import Definition, ShardedSchema
from router.sql.fingerprint import digest_text
from router.sql.lexer import LexMode

# Schema → table in lower case → definition.
Definitions = Mapping[str, Mapping[str, Definition]]


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group of servers; ``reads_from`` is replicas, primary or any.

    ``shares_transactions``: those that only read may run on replicas.
    """

    name: str
    reads_from: str
    shares_transactions: bool = False


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user's rights: ``schemas`` None means all."""

    schemas: frozenset[str] | None
    read_only: bool


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A compiled rule. Conditions that are None always hold; ``regex`` is searched in the statement as latin-1 text.

    ``timeout``: seconds.
    """

    name: str
    user: str | None
    schema: str | None
    statement: str | None
    client: IPv4Network | IPv6Network | None
    regex: re.Pattern[str] | None
    digest: str | None
    group: str | None
    role: Role | None
    reject: str | None
    timeout: float | None = None
    max_lag: float | None = None
    mirror: Mirror | None = None

    @property
    def only_mirrors(self) -> bool:
        """Whether the search goes on behind it: it says nothing but that copies are sent."""
        says = (self.group, self.role, self.reject, self.timeout, self.max_lag)
        return self.mirror is not None and all(each is None for each in says)

    def from_client(self, client: str | None) -> bool:
        """Whether a client at this address is meant; None is a unix socket, which no network contains."""
        if self.client is None:
            return True
        if client is None:
            return False
        return is_within(client, (self.client,))


@dataclass(frozen=True, slots=True)
class Catalog:
    """Groups, users, the place of each database, and rules in their order.

    ``default_group``, the first of the file, takes what names no database with a place. ``generation`` counts reloads.
    ``sharded`` are the schemas with shards.
    """

    generation: int
    default_group: str
    groups: Mapping[str, GroupEntry]
    users: Mapping[str, UserEntry]
    schemas: Mapping[str, str]
    rules: tuple[RuleEntry, ...]
    sharded: Mapping[str, ShardedSchema]

    @classmethod
    def build(cls, config: RouterConfig, generation: int, definitions: Definitions | None = None) -> Catalog:
        """Compile a valid configuration, with the table ``definitions`` of sharded schemas that are known."""
        known = definitions or {}
        return cls(
            generation=generation,
            default_group=next(iter(config.groups)),
            groups={name: _entry(name, group) for name, group in config.groups.items()},
            users={
                name: UserEntry(None if user.schemas is None else frozenset(user.schemas), user.read_only)
                for name, user in config.users.items()
            },
            schemas={name: schema.group for name, schema in config.schemas.items() if schema.group is not None},
            rules=tuple(_compile(rule) for rule in config.rules),
            sharded={
                name: sharded_schema(name, schema, known.get(name, {}))
                for name, schema in config.schemas.items()
                if schema.shards
            },
        )

    def group_of(self, schema: str | None) -> str:
        """The group where a database lives; the default group for those without a place."""
        if schema is None:
            return self.default_group
        return self.schemas.get(schema, self.default_group)


def _entry(name: str, config: Group) -> GroupEntry:
    reads = config.reads
    shares = reads.read_only_transactions == "replicas" and reads.from_ != "primary" and reads.consistency != "strong"
    return GroupEntry(name, reads.from_, shares)


def _compile(rule: Rule) -> RuleEntry:
    when, send_to, mirror = rule.when, rule.send_to, rule.mirror
    role = send_to.role if send_to is not None else None
    return RuleEntry(
        name=rule.name,
        user=when.user,
        schema=when.schema_,
        statement=when.statement,
        client=when.client,
        regex=None if when.regex is None else re.compile(when.regex),
        digest=None if when.digest is None else digest_text(when.digest.encode(), LexMode()),
        group=None if send_to is None else send_to.group,
        role=None if role is None else Role(role),
        reject=rule.reject,
        timeout=rule.timeout,
        max_lag=None if send_to is None else send_to.max_lag,
        mirror=None if mirror is None else Mirror(rule.name, **dict(mirror)),
    )
