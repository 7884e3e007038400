"""The comment behind a statement, where tools say whose it is: ``SELECT 1 /*route='%2Fcart'*/`` (sqlcommenter)."""

from __future__ import annotations

from collections.abc import Sequence

# What such a comment has room in, from the statement's end. Bytes.
TAIL = 2048
_BEHIND = b"; \t\r\n\f\v"


def last_comment(sql: bytes) -> bytes | None:
    """A plain comment behind which nothing comes, without its first byte; None if there is none.

    The text alone is looked at: it may still be inside a literal.
    """
    end = len(sql)
    start = sql.rfind(b"/*", max(0, end - TAIL))
    if start < 0:
        return None
    comment = sql[start + 1 :].rstrip(_BEHIND)
    # What is left may be executed, or is a hint.
    if comment[1:2] in (b"!", b"+", b"M") or len(comment) < 3 or comment.find(b"*/", 1) != len(comment) - 2:
        return None
    return comment


def idle_end(sql: bytes, key: Sequence[bytes | None]) -> int:
    """How many bytes at the end of a statement are that comment, and nothing that means anything.

    ``key`` is its fingerprint. 0 where it is not certain to be a comment.
    """
    comment = last_comment(sql)
    if b"/*!" in sql or b"/*M!" in sql:
        return 0  # other comments may be inside of those
    # The last piece that stays is the very comment: not one that begins before it, and nothing inside a literal.
    if comment is None or len(key) < 4 or key[-3] != b"/" or key[-2] != comment:
        return 0
    behind = key[-1] or b""
    return 1 + len(comment) + len(behind) if behind.count(b";") < 2 else 0
