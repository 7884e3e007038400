"""Routing rules of the configuration file: when a statement matches, where it goes."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from router.config.base import Mapping
from router.config.values import Name, Network, Seconds

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


class Rule(Mapping):
    """One exception to the default routing: ``reject`` alone, or ``send_to``, ``timeout`` or both."""

    name: Name = Field(
        default="", description="Name in logs, metrics and `EXPLAIN ROUTE`; default: `rule-1`, `rule-2` …"
    )
    when: When = Field(default=When(), description="Conditions; without any the rule matches every statement.")
    send_to: SendTo | None = Field(default=None, description="Where the statement goes.")
    reject: Name | None = Field(default=None, description="Refuse the statement with this message.")
    timeout: Seconds | None = Field(
        default=None, description="A statement that takes longer is ended on its server, as by KILL QUERY (error 1317)."
    )
