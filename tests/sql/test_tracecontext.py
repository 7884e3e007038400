"""Traceparents in comments: which are taken."""

from __future__ import annotations

import pytest

from router.sql.tracecontext import TraceParent, in_comment, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b9c7c989f97918e1"
VALUE = f"00-{TRACE}-{SPAN}-01"
COMMENT = f"/*traceparent='{VALUE}'*/"


def test_a_value() -> None:
    assert parse_traceparent(VALUE.encode()) == TraceParent(int(TRACE, 16), int(SPAN, 16), True)
    for flags, sampled in (("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)):
        found = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}".encode())
        assert found is not None
        assert found.sampled is sampled
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings".encode()) is not None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        VALUE.upper(),
        VALUE + "-more",
        VALUE + " ",
        VALUE[:-1],
        VALUE.replace("-", ""),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"cc-{TRACE}-{SPAN}-01x",
        f"00-{TRACE}g-{SPAN}-01",
    ],
)
def test_what_is_no_value(value: str) -> None:
    assert parse_traceparent(value.encode()) is None


@pytest.mark.parametrize(
    "comment",
    [
        COMMENT,
        COMMENT + " ",
        COMMENT + " ;\n",
        f"/*action='%2Fparam*d',framework='x',traceparent='{VALUE}',tracestate='congo%3Dt61'*/",
        f"/* traceparent = '{VALUE}' */",
        f"/*traceparent={VALUE}*/",
    ],
)
def test_in_a_comment_at_the_end(comment: str) -> None:
    for sql in ("SELECT 1", "SELECT 'a' FROM t WHERE id = 1 ", "SELECT `/*` FROM t", "SELECT '/*' /* x */"):
        text = (sql + comment).encode()
        assert in_comment(text) == VALUE.encode()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        f"{COMMENT} SELECT 1",
        f"SELECT 1 {COMMENT} + 1",
        f"SELECT 1 /*!{COMMENT[2:]}",
        f"SELECT 1 /*M!{COMMENT[2:]}",
        f"SELECT 1 /*+{COMMENT[2:]}",
        "SELECT 1 /*route='x'*/",
        "SELECT 1 /*mytraceparent='00-x'*/",
        f"SELECT 1 {COMMENT[:-2]}",
        "SELECT 1 /*/",
        "*/",
        "",
    ],
)
def test_nowhere_else(sql: str) -> None:
    assert in_comment(sql.encode()) is None
