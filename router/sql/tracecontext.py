"""Of which trace a statement is a part: ``traceparent``, as a comment behind the statement gives it.

sqlcommenter puts it there: ``SELECT 1 /*route='%2Fcart',traceparent='00-<trace>-<parent>-01'*/``. The value is that of
the HTTP header of the same name (W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.sql.comments import last_comment

NAME = b"traceparent"

_VALUE = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?",
    re.DOTALL,
)
_PAIR = re.compile(rb"[*,\s]traceparent\s*=\s*'?([0-9a-f-]+)")
_SAMPLED = 0x01


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The client's span that a statement belongs to, and whether the trace is being recorded."""

    trace_id: int
    span_id: int
    sampled: bool


def parse_traceparent(value: bytes) -> TraceParent | None:
    """None for what is none: that is as if nothing had been sent."""
    match = _VALUE.fullmatch(value)
    if match is None or (match["version"] == b"00" and match["more"] is not None):
        return None
    return TraceParent(int(match[2], 16), int(match[3], 16), bool(int(match[4], 16) & _SAMPLED))


def in_comment(sql: bytes) -> bytes | None:
    """The traceparent in a comment at the end of a statement."""
    comment = last_comment(sql)
    pair = None if comment is None else _PAIR.search(comment)
    return None if pair is None else pair[1]
