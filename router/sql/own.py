"""The router's own variable: ``@@router_gtid``, what a session has written and its reads must therefore see."""

from __future__ import annotations

import re

NAME = "router_gtid"
# Cheap to look for, and found in hardly any statement.
_MENTION = re.compile(rb"router_gtid", re.IGNORECASE)
_ASK = re.compile(rb"\s*+SELECT\s*+@@(?:SESSION\s*+\.\s*+)?router_gtid\s*+;?\s*+", re.IGNORECASE)
_TELL = re.compile(
    rb"\s*+SET\s++(?:SESSION\s++|@@(?:SESSION\s*+\.\s*+)?)?router_gtid\s*+:?=\s*+(?:'([^'\\]*)'|\"([^\"\\]*)\")\s*+;?\s*+",
    re.IGNORECASE,
)


def asks_gtid(sql: bytes) -> bool:
    """Whether the statement is ``SELECT @@router_gtid``."""
    return _MENTION.search(sql) is not None and _ASK.fullmatch(sql) is not None


def told_gtid(sql: bytes) -> str | None:
    """The value in ``SET @@router_gtid = '…'``; None for any other statement."""
    found = _TELL.fullmatch(sql) if _MENTION.search(sql) is not None else None
    return None if found is None else (found[1] or found[2] or b"").decode("utf-8", "replace")
