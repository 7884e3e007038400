"""Files for LOAD DATA, cut into lines and fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.sql.infile import Format, LineError, Lines

QUOTED = Format(field_end=b",", enclosed=b'"')
Value = bytes | None


def read(content: bytes, format: Format, width: int = 2, piece: int = 1 << 20) -> list[tuple[int, bytes, list[Value]]]:
    """Number, text and values of each line, of a file that comes in pieces."""
    lines = Lines(format, width, "utf8mb4", 1000)
    found = []
    for start in range(0, len(content), piece):
        found += list(lines.feed(content[start : start + piece]))
    found += list(lines.end())
    return [(line.number, line.raw, [lines.value(field) for field in line.fields]) for line in found]


@pytest.mark.parametrize(
    ("content", "format", "values"),
    [
        (b"", Format(), []),
        (b"1\ta\n2\tb", Format(), [[b"1", b"a"], [b"2", b"b"]]),
        (b"\n1\n", Format(), [[b""], [b"1"]]),
        (b"1\ta\tmore\n2", Format(), [[b"1", b"a"], [b"2"]]),
        (b"1\ta\\\nb\n\\N\t\\\\N\n", Format(), [[b"1", b"a\nb"], [None, b"\\N"]]),
        (b"1\ta\\tb\\0\\Z\\x\\\t\n", Format(), [[b"1", b"a\tb\0\x1ax\t"]]),
        (b"1\tend\\", Format(), [[b"1", b"end\\"]]),
        (b'1,"a\nb"\n2,c', QUOTED, [[b"1", b"a\nb"], [b"2", b"c"]]),
        (b'1,"a""b"\n2,"c\\"d"\n', QUOTED, [[b"1", b'a"b'], [b"2", b'c"d']]),
        (b'1,"a"b"\n2,NULL\n"3","NULL"\n', QUOTED, [[b"1", b'a"b'], [b"2", None], [b"3", b"NULL"]]),
        (b'1,"never closed\n2,x', QUOTED, [[b"1", b'"never closed\n2,x']]),
        (b"a,b;;c;;", Format(b",", b"", b"", b";;"), [[b"a", b"b"], [b"c"]]),
        (b"a;b;\nc;\n", Format(b";", b"", b"\\", b";\n"), [[b"a", b"b"], [b"c"]]),
        (b'1,2,"x\ny"\n', QUOTED, [[b"1", b"2"], [b'y"']]),
        (b"a\\N,b\n", Format(b",", b"", b""), [[b"a\\N", b"b"]]),
    ],
)
def test_fields(content: bytes, format: Format, values: list[list[Value]]) -> None:
    found = read(content, format)
    assert [fields for _, _, fields in found] == values
    assert b"".join(raw for _, raw, _ in found) == content
    assert read(content, format, piece=1) == found


def test_lines_that_are_not_read() -> None:
    found = read(b'a,"b\nc"\n1,2\n', Format(b",", b'"', skip=2))
    assert found == [(3, b"1,2\n", [b"1", b"2"])]
    assert read(b"a\\\nb\n1\n", Format(skip=1)) == [(2, b"1\n", [b"1"])]
    assert read(b"a\n", Format(skip=3)) == []


def test_what_cannot_be_told() -> None:
    with pytest.raises(LineError, match="no UTF-8"):
        read(b"\xc3\n1\n", Format(skip=1))
    with pytest.raises(LineError, match="no UTF-8"):
        read(b"1\t2\t\xc3\n", Format())
    with pytest.raises(LineError, match="longer than 1000 bytes"):
        read(b"x" * 1001, Format(), piece=100)
    lines = Lines(Format(skip=1), 2, "latin1", 100)
    assert [line.raw for line in lines.feed(b"\xc3\n1\n2\n")] == [b"1\n", b"2\n"]


@given(st.text(alphabet='a,"\\\nN1', max_size=30), st.integers(1, 5), st.integers(1, 3))
def test_pieces_do_not_matter(text: str, piece: int, width: int) -> None:
    content = text.encode()
    whole = read(content, QUOTED, width)
    assert read(content, QUOTED, width, piece) == whole
    assert b"".join(raw for _, raw, _ in whole) == content
