"""Routing rules of the configuration file: when a statement matches, where it goes."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from router.config.base import Mapping, ShortMapping
from router.config.values import Name, Network, Positive, Seconds

Statement = Literal[
    "select",
    "insert",
    "replace",
    "update",
    "delete",
    "call",
    "do",
    "load_data",
    "ddl",
    "show",
    "explain",
    "set",
    "use",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "xa",
    "lock",
    "unlock",
    "handler",
    "kill",
    "flush",
    "prepare",
    "execute",
    "other",
]


class When(Mapping):
    """Conditions of a rule; all that are given must hold, none given matches every statement."""

    user: Name | None = Field(default=None, description="Name of the user at the router.")
    schema_: Name | None = Field(default=None, alias="schema", description="The session's default database.")
    statement: Statement | None = Field(default=None, description="Kind of statement, from its first word.")
    client: Network | None = Field(default=None, description="Address or network the client comes from.")
    regex: str | None = Field(default=None, description="Python regular expression searched in the statement's text.")
    digest: Name | None = Field(
        default=None,
        description="A statement; matches every statement that differs from it only in literals and spacing.",
    )

    @field_validator("regex")
    @classmethod
    def _must_compile(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"is not a regular expression: {error}") from None
        return pattern


class SendTo(Mapping):
    """Where a rule sends a statement."""

    group: Name | None = Field(default=None, description="Name of a group; default: the one the statement would go to.")
    role: Literal["primary", "replica"] | None = Field(
        default=None, description="Kind of server; default: what the statement would get without the rule."
    )
    max_lag: Seconds | None = Field(
        default=None, description="Only servers that are not further behind; default: the group's `reads.max_lag`."
    )


class Mirror(ShortMapping):
    """Where copies of statements go; may be written as just the group."""

    _short = "group"

    group: Name = Field(description="Name of a group; statements that go there anyway are not copied.")
    percent: Annotated[float, Field(gt=0, le=100)] = Field(
        default=100, description="How many of the statements are copied, drawn at random."
    )
    concurrency: Positive = Field(
        default=16, description="Most copies under way at a time; what exceeds it is dropped, and counted."
    )
    writes: bool = Field(
        default=False,
        description="Copy INSERT, REPLACE, UPDATE and DELETE as well, outside of transactions and not of sharded "
        "tables. Copies may be dropped and overtake each other: this makes load, not a replica.",
    )


class Rule(Mapping):
    """One exception to the default routing: ``reject`` alone, or any of ``send_to``, ``timeout`` and ``mirror``."""

    name: Name = Field(
        default="", description="Name in logs, metrics and `EXPLAIN ROUTE`; default: `rule-1`, `rule-2` …"
    )
    when: When = Field(default=When(), description="Conditions; without any the rule matches every statement.")
    send_to: SendTo | None = Field(default=None, description="Where the statement goes.")
    reject: Name | None = Field(default=None, description="Refuse the statement with this message.")
    timeout: Seconds | None = Field(
        default=None, description="A statement that takes longer is ended on its server, as by KILL QUERY (error 1317)."
    )
    mirror: Mirror | None = Field(
        default=None,
        description="Copies of statements that are proven to be reads go to this group too; what it answers is "
        "dropped. A rule that says nothing else lets the search for a rule go on.",
    )
