"""The shape of the configuration file: one class per mapping, attribute names are the keys of the file.

Descriptions here become the JSON schema, the reference page and the editor's tooltips. A key that is a Python word or a
pydantic method has a trailing underscore as an attribute (``reads.from`` is ``from_``). Checks that need more than one
key live in ``checks.py``, sharding in ``sharding.py``, rules in ``rules.py``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from router.config.base import Mapping, ShortMapping
from router.config.rules import Rule
from router.config.sharding import Schema
from router.config.values import (
    Address,
    AddressField,
    Bytes,
    FileName,
    MaxLag,
    Name,
    Network,
    NonNegative,
    Positive,
    Seconds,
    Url,
    Workers,
)
from router.errors import Problem

# Keys that are understood but that this version does not act on yet. Whoever sets one is told so by `router check` and
# in the log: nothing a user writes is ignored in silence. `*` stands for one name or list position; a key may carry
# `=value` to mean all values but that one. Remove a line when the code acts on its key.
NOT_YET: dict[str, str] = {}


class ListenerTls(Mapping):
    """TLS towards clients."""

    certificate: FileName | None = Field(default=None, description="PEM file with the certificate and its chain.")
    key: FileName | None = Field(default=None, description="PEM file with the private key (without a pass phrase).")
    client_ca: FileName | None = Field(
        default=None,
        description="PEM file of authorities; when given, a client must show a certificate signed by one of them.",
    )
    mode: Literal["disabled", "preferred", "required"] = Field(
        default="preferred",
        description="`preferred` offers TLS, `required` refuses clients without it, `disabled` turns it off.",
    )


class Listener(ShortMapping):
    """An address that clients connect to; may be written as just the address."""

    _short = "address"

    address: AddressField = Field(description='`host:port`, `"[v6]:port"` or `unix:/path`.')
    tls: ListenerTls | None = Field(
        default=None, description="TLS towards clients; without it, connections are not encrypted."
    )
    proxy_protocol: list[Network] = Field(
        default=[],
        description="Networks, such as the load balancer's, whose connections all begin with a PROXY header (v1, v2).",
    )


class AdminUser(Mapping):
    """Somebody who may use the admin interfaces."""

    password: SecretStr = Field(description="The password, usually `${env:NAME}` or `${file:/run/secrets/name}`.")


class Admin(Mapping):
    """Interfaces for operators."""

    http: AddressField = Field(
        default=Address("127.0.0.1", 8307),
        description="Where `/metrics`, `/livez`, `/readyz`, the API for operators and the web console are served over"
        " HTTP.",
    )
    mysql: AddressField | None = Field(
        default=None,
        description="Where tables, SHOW and commands for operators are served over the MySQL protocol, such as"
        " `127.0.0.1:6307`; see `admin.md`. Not set: nowhere.",
    )
    users: dict[Name, AdminUser] = Field(
        default={},
        description="Who may use them; required when an admin address can be reached from other machines. Without it"
        " whoever reaches them may: over the MySQL protocol by any name, without a password.",
    )

    @property
    def passwords(self) -> dict[str, str]:
        """By name, in clear."""
        return {name: user.password.get_secret_value() for name, user in self.users.items()}


class Limits(Mapping):
    """Bounds on what clients may use."""

    max_connections: Positive = Field(
        default=10_000, description="Clients connected at the same time; more get error 1040."
    )
    max_allowed_packet: Bytes = Field(
        default=64 * 2**20, description="Largest statement or parameter accepted from a client, in bytes."
    )
    connect_timeout: Seconds = Field(default=5.0, description="Time a client has to finish its login.")
    idle_timeout: Seconds = Field(default=8 * 3600.0, description="Clients silent for longer are disconnected.")
    digests: NonNegative = Field(
        default=1000,
        description="Kinds of statements (digest, user, database, route) whose counts and times are kept; 0: none.",
    )
    drain_timeout: Seconds = Field(
        default=30.0, description="Time running transactions get to finish when the router is told to stop."
    )
    takeover_timeout: Seconds = Field(
        default=3600.0,
        description="Time clients may stay with this router after another one has taken over (`router --takeover`).",
    )


class Logging(Mapping):
    """What is logged, and how."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json`: one object per line; `console`: for people; `auto`: console on a terminal, else json.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level logged."
    )
    slow_query: Seconds | None = Field(
        default=None,
        description="Log statements that take longer, as their digest (without values); not set: none are logged.",
    )
    examples: bool = Field(
        default=False, description="Keep one statement of every digest as it was sent. It may hold personal data."
    )


class Tracing(Mapping):
    """Spans of statements for a collector of OpenTelemetry. Needs the extra `otel`."""

    endpoint: Url = Field(
        default="http://127.0.0.1:4318",
        description="Where the collector takes OTLP over HTTP; `/v1/traces` is added.",
    )
    sample: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The part of the statements that is recorded, where the client does not say itself, by a "
        "`traceparent`, whether its trace is; `0`: those of recorded traces only.",
    )
    headers: dict[Name, SecretStr] = Field(
        default={}, description="Headers for the collector, such as `Authorization`; usually `${env:NAME}`."
    )
    service_name: Name = Field(default="router", description="What the spans are of: `service.name`.")


class Server(ShortMapping):
    """One MySQL or MariaDB server; may be written as just its address."""

    _short = "address"

    address: AddressField = Field(description='`host:port`, `"[v6]:port"` or `unix:/path`.')
    name: Name = Field(
        default_factory=lambda known: str(known["address"]),
        description="Name in logs, metrics and `EXPLAIN ROUTE`; default: the address.",
    )
    role: Literal["primary", "replica", "auto"] = Field(
        default="auto", description="`auto` asks the server (read_only, replication status) at every monitor interval."
    )
    weight: NonNegative = Field(default=1, description="Share of the reads; 0 takes none unless nobody else can.")
    zone: Name | None = Field(default=None, description="Where it stands; see the router's own `zone`.")


class ServerTls(Mapping):
    """TLS towards the servers."""

    mode: Literal["disabled", "preferred", "required"] = Field(
        default="preferred", description="`preferred` uses TLS when the server offers it, `required` insists on it."
    )
    ca: FileName | None = Field(
        default=None, description="PEM file of the authorities that sign the servers' certificates."
    )
    verify: Literal["none", "ca", "full"] = Field(
        default="none",
        description="`ca` checks the certificate, `full` also the host name. Default: `full` when `ca` is given.",
    )
    certificate: FileName | None = Field(
        default=None, description="PEM file with the router's own certificate, if servers ask."
    )
    key: FileName | None = Field(default=None, description="PEM file with the key of `certificate`.")

    @model_validator(mode="before")
    @classmethod
    def _verify_with_ca(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("ca") is not None and data.get("verify") is None:
            return {**data, "verify": "full"}
        return data


class Monitor(Mapping):
    """How the servers' health and roles are watched."""

    user: Name | None = Field(default=None, description="Account for the probes; default: the first user of the file.")
    password: SecretStr | None = Field(default=None, description="Password of the monitor account.")
    interval: Seconds = Field(
        default=1.0,
        description="Time between two probes of a server; while there is no primary, 100 ms for a minute.",
    )
    timeout: Seconds = Field(default=3.0, description="A server that does not answer a probe in this time fails it.")
    heartbeat: str | None = Field(
        default=None,
        pattern=r"^[^.]+\.[^.]+$",
        description="`schema.table` whose column `ts` the primary sets to its time again and again (pt-heartbeat): how "
        "far a replica is behind, where the account may not ask for the replication status.",
    )


class Pool(Mapping):
    """Connections to each server of the group."""

    max_connections: Positive = Field(default=50, description="Most connections to one server.")
    min_idle: NonNegative = Field(
        default=0, description="Idle connections that are kept; others are closed after a minute."
    )
    queue_timeout: Seconds = Field(
        default=5.0, description="Longest wait for a free connection before the client gets an error."
    )
    max_age: Seconds = Field(default=3600.0, description="Connections older than this are replaced when they are idle.")


class Reads(Mapping):
    """Where reads go that are proven to be read-only."""

    from_: Literal["replicas", "primary", "any"] = Field(
        default="replicas",
        alias="from",
        description="Servers that answer reads; the primary does while no replica can.",
    )
    consistency: Literal["eventual", "session", "global", "strong"] = Field(
        default="session",
        description="What a read must see: its own `session`'s writes (by GTID; a replica that does not have them is "
        "waited for, up to half a second), `global`: any write through this router, `strong`: all, from the primary; "
        "`eventual`: whatever is there.",
    )
    max_lag: MaxLag = Field(
        default=10.0,
        description="Replicas further behind take no reads until they are at half of it, nor do those whose "
        "replication does not run; `any`: all do. Hints and rules may ask for less.",
    )
    read_only_transactions: Literal["primary", "replicas"] = Field(
        default="primary",
        description="Where transactions run that are declared READ ONLY (or whose session is) and begin with a proven "
        "read. On `replicas` they stay on one for their whole life, and may only read there: FOR UPDATE, GET_LOCK and "
        "routines are refused.",
    )
    balance: Literal["least_busy", "round_robin", "fastest"] = Field(
        default="least_busy",
        description="How a server is chosen among several: the one with the fewest statements in progress; in turn; or "
        "the one that answers the probes soonest, by what is in progress there. Weights count in all of them.",
    )


class Group(Mapping):
    """A replica set: one primary and any number of replicas that hold the same data."""

    servers: list[Server] = Field(description="The servers; each is an address or a mapping.")
    tls: ServerTls = Field(default=ServerTls(), description="TLS towards the servers.")
    monitor: Monitor = Field(default=Monitor(), description="Health and role probes.")
    pool: Pool = Field(default=Pool(), description="Connections to each server.")
    reads: Reads = Field(default=Reads(), description="Where reads go.")
    failover_timeout: Seconds = Field(default=10.0, description="Longest wait for a server that can take a statement.")


class BackendCredential(Mapping):
    """How a user is logged in to the servers."""

    user: Name | None = Field(default=None, description="Account on the servers; default: the same name.")
    password: SecretStr | None = Field(default=None, description="Its password; default: the same password.")


class User(Mapping):
    """Somebody who may log in to the router."""

    password: SecretStr | None = Field(
        default=None, description="The password, usually `${env:NAME}` or `${file:/path}`."
    )
    password_hash: SecretStr | None = Field(
        default=None,
        description="Instead of `password`: a stored hash, native `*…`, caching_sha2_password `$A$…` or MariaDB's "
        "ed25519 key (43 characters), in quotes. "
        "Needs `backend.password`, because nobody can log in to a server with a hash.",
    )
    backend: BackendCredential | None = Field(default=None, description="Account on the servers; default: the same.")
    schemas: list[Name] | None = Field(default=None, description="Databases the user may use; default: all.")
    default_schema: Name | None = Field(default=None, description="Database chosen when the client names none.")
    hosts: list[Network] | None = Field(default=None, description="Networks the user may come from; default: any.")
    tls: Literal["preferred", "required"] = Field(
        default="preferred", description="`required` refuses logins in clear text."
    )
    max_connections: Positive | None = Field(
        default=None, description="Most connections of this user; default: no own limit."
    )
    read_only: bool = Field(default=False, description="Refuse statements that are not proven to be reads.")
    transaction_replay: Bytes | None = Field(
        default=None,
        description="Run a transaction again on the next primary when its server is lost before COMMIT, and go on if "
        "every answer is what it was; this many bytes of its statements are kept, such as `1MiB`. Not set: the client "
        "gets error 1213 and repeats it. For tables with transactions only.",
    )

    def server_login(self, name: str) -> tuple[str, SecretStr]:
        """The account that the user called ``name`` in the file has on the servers."""
        account, password = name, self.password
        if self.backend is not None:
            account = self.backend.user or name
            password = self.backend.password or self.password
        return account, password if password is not None else SecretStr("")


class RouterConfig(Mapping):
    """The whole configuration file."""

    listeners: list[Listener] = Field(
        default=[Listener(address=Address("127.0.0.1", 3307))], description="Addresses clients connect to."
    )
    admin: Admin = Field(default=Admin(), description="Interfaces for operators.")
    workers: Workers = Field(
        default=1,
        description="Processes that serve clients; `auto` is the number of cores. Each has its part of"
        " `max_connections` of pools, users and `limits`; see `how-to/workers.md`.",
    )
    zone: Name | None = Field(
        default=None,
        description="Where this router stands, such as `${env:ZONE}`: of the servers that may read, those in its zone "
        "do while one of them has a connection to spare.",
    )
    limits: Limits = Field(default=Limits(), description="Bounds on what clients may use.")
    logging: Logging = Field(default=Logging(), description="What is logged, and how.")
    tracing: Tracing | None = Field(
        default=None, description="Spans of statements for OpenTelemetry; not set: none. See `how-to/tracing.md`."
    )
    groups: dict[Name, Group] = Field(description="Replica sets by name.")
    users: dict[Name, User] = Field(description="Who may log in to the router, by name.")
    schemas: dict[Name, Schema] = Field(
        default={},
        description="What clients see as databases. Needed only to place databases on several groups, or to shard: "
        "with one group every database of it is visible under its own name.",
    )
    rules: list[Rule] = Field(default=[], description="Exceptions to the default routing; the first that matches wins.")

    # Filled by the loader: what it had to say about a file that it accepted.
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @field_validator("rules", mode="before")
    @classmethod
    def _name_rules(cls, data: Any) -> Any:
        if not isinstance(data, list):
            return data
        return [
            {**rule, "name": f"rule-{number}"} if isinstance(rule, dict) and not rule.get("name") else rule
            for number, rule in enumerate(data, start=1)
        ]
