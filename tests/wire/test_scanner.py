"""ResponseScanner: where a response ends, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ProtocolError
from router.wire.codec import push_lenenc_bytes, push_lenenc_int
from router.wire.framing import frame
from router.wire.scanner import CURSOR, PREPARE, QUERY, ROWS, SINGLE, ResponseScanner

AUTOCOMMIT = 0x0002
MORE = 0x0008
EXISTS = 0x0040
CHANGED = 0x4000


def ok(status: int = AUTOCOMMIT, affected: int = 0, insert_id: int = 0, tail: bytes = b"", header: int = 0) -> bytes:
    return (
        bytes([header])
        + push_lenenc_int(affected)
        + push_lenenc_int(insert_id)
        + status.to_bytes(2, "little")
        + b"\x03\x00"
        + tail
    )


def eof(status: int = AUTOCOMMIT, warnings: int = 0) -> bytes:
    return b"\xfe" + warnings.to_bytes(2, "little") + status.to_bytes(2, "little")


ERR = b"\xff\x28\x04#42000nonsense"
COLUMN = b"\x03def" + b"\x00" * 20
ROW = b"\x011\x03abc"


def framed(*payloads: bytes) -> bytes:
    """One frame each, sequence ids from 1."""
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([(number + 1) & 0xFF]) + payload
        for number, payload in enumerate(payloads)
    )


def scan(
    data: bytes, kind: int = QUERY, *, deprecate_eof: bool = False, chunk: int = 0, optional: bool = False
) -> tuple[ResponseScanner, bytes]:
    """Feed everything in chunks as the relay does; returns the scanner and what was forwarded."""
    scanner = ResponseScanner()
    scanner.optional = optional
    scanner.start(kind, deprecate_eof)
    forwarded = b""
    rest = b""
    chunk = chunk or len(data)
    for start in range(0, len(data), chunk):
        piece = rest + data[start : start + chunk]
        end = scanner.feed(piece)
        at = 0
        for first, last, replacement in scanner.splices:
            forwarded += piece[at:first] + replacement
            at = last
        forwarded += piece[at:end]
        rest = piece[end:]
        if scanner.done:
            assert start + chunk >= len(data), "done before the end of the response"
            assert rest == b""
    return scanner, forwarded


RESPONSES = {
    "ok": (framed(ok(affected=3, insert_id=300)), QUERY, False),
    "err": (framed(ERR), QUERY, False),
    "rows": (framed(b"\x02", COLUMN, COLUMN, eof(), ROW, ROW, b"\xfb\xfb", eof(warnings=2)), QUERY, False),
    "rows, OK at the end": (framed(b"\x02", COLUMN, COLUMN, ROW, ROW, ok(header=0xFE)), QUERY, True),
    "no rows": (framed(b"\x01", COLUMN, eof(), eof()), QUERY, False),
    "300 columns": (framed(b"\xfc\x2c\x01", *[COLUMN] * 300, eof(), ROW, eof()), QUERY, False),
    "error in the middle of rows": (framed(b"\x01", COLUMN, eof(), ROW, ERR), QUERY, False),
    "OK with a text at the end": (framed(b"\x01", COLUMN, ROW, ok(header=0xFE, tail=b"\x05hello")), QUERY, True),
    "two results": (framed(b"\x01", COLUMN, eof(), ROW, eof(MORE), ok()), QUERY, False),
    "OK, then error": (framed(ok(MORE), ERR), QUERY, False),
    "two results, OK at the end": (
        framed(b"\x01", COLUMN, ROW, ok(MORE, header=0xFE), b"\x01", COLUMN, ok(header=0xFE)),
        QUERY,
        True,
    ),
    "prepared": (
        framed(b"\x00\x07\x00\x00\x00\x02\x00\x01\x00\x00\x00\x00", COLUMN, eof(), COLUMN, COLUMN, eof()),
        PREPARE,
        False,
    ),
    "prepared, no EOF": (
        framed(b"\x00\x07\x00\x00\x00\x02\x00\x01\x00\x00\x00\x00", COLUMN, COLUMN, COLUMN),
        PREPARE,
        True,
    ),
    "prepared, nothing to describe": (framed(b"\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), PREPARE, False),
    "prepare refused": (framed(ERR), PREPARE, False),
    "cursor opened": (framed(b"\x01", COLUMN, eof(AUTOCOMMIT | EXISTS)), CURSOR, False),
    "cursor not opened": (framed(b"\x01", COLUMN, eof(), ROW, eof()), CURSOR, False),
    "a cursor inside a procedure": (
        framed(b"\x01", COLUMN, eof(AUTOCOMMIT | EXISTS | MORE), ROW, eof(AUTOCOMMIT | EXISTS | MORE), ok()),
        QUERY,
        False,
    ),
    "fetched": (framed(ROW, ROW, eof()), ROWS, False),
    "statistics": (framed(b"Uptime: 12  Threads: 1"), SINGLE, False),
    "set option": (framed(eof()), QUERY, False),
    "set option, OK": (framed(ok(header=0xFE)), QUERY, True),
}


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 4, 5, 7, 11])
def test_the_end_is_found_and_every_byte_passes(name: str, chunk: int) -> None:
    data, kind, deprecate_eof = RESPONSES[name]
    scanner, forwarded = scan(data, kind, deprecate_eof=deprecate_eof, chunk=chunk)
    assert scanner.done
    assert forwarded == data


def test_what_an_ok_says() -> None:
    scanner, _ = scan(framed(ok(affected=3, insert_id=70_000)))
    assert (scanner.affected_rows, scanner.last_insert_id, scanner.status, scanner.warnings) == (3, 70_000, 2, 3)
    assert scanner.ended_in_ok
    assert not scanner.has_rows


def test_what_an_error_says() -> None:
    scanner, _ = scan(framed(b"\x01", COLUMN, eof(), ROW, ERR))
    assert scanner.error == ERR
    assert scanner.has_rows


def test_what_a_result_says() -> None:
    scanner, _ = scan(framed(b"\x01", COLUMN, eof(), ROW, eof(warnings=7)))
    assert (scanner.warnings, scanner.ended_in_ok) == (7, False)


def test_the_statement_id_is_kept() -> None:
    scanner, _ = scan(RESPONSES["prepared"][0], PREPARE)
    assert scanner.statement_id == 7


def test_trackers_are_kept_and_taken_out_of_the_packet() -> None:
    blob = b"\x02\x011"
    data = framed(ok(AUTOCOMMIT | CHANGED, affected=1, tail=push_lenenc_bytes(b"info") + push_lenenc_bytes(blob)))
    for chunk in (0, 1, 6):
        scanner, forwarded = scan(data, chunk=chunk)
        assert scanner.changes == [blob]
        assert forwarded == framed(ok(AUTOCOMMIT, affected=1, tail=push_lenenc_bytes(b"info")))
        assert scanner.status == AUTOCOMMIT


def test_trackers_without_info_leave_nothing_behind() -> None:
    data = framed(ok(AUTOCOMMIT | CHANGED, tail=b"\x00" + push_lenenc_bytes(b"\x02\x011")))
    _, forwarded = scan(data)
    assert forwarded == framed(ok(AUTOCOMMIT))


def test_trackers_of_every_result_are_kept() -> None:
    first = ok(AUTOCOMMIT | CHANGED | MORE, tail=b"\x00" + push_lenenc_bytes(b"\x02\x011"))
    second = ok(AUTOCOMMIT | CHANGED, tail=b"\x00" + push_lenenc_bytes(b"\x01\x02\x01x"))
    scanner, forwarded = scan(framed(first, second))
    assert scanner.changes == [b"\x02\x011", b"\x01\x02\x01x"]
    assert forwarded == framed(ok(AUTOCOMMIT | MORE), ok(AUTOCOMMIT))


def test_a_client_that_tracks_gets_the_default_trackers_and_no_others() -> None:
    def variable(name: bytes, value: bytes) -> bytes:
        return b"\x00" + push_lenenc_bytes(push_lenenc_bytes(name) + push_lenenc_bytes(value))

    schema = b"\x01" + push_lenenc_bytes(push_lenenc_bytes(b"shop"))
    charset = variable(b"character_set_client", b"latin1")
    others = variable(b"sql_mode", b"ANSI"), b"\x02\x011", b"\x05" + push_lenenc_bytes(b"T_______")
    scanner = ResponseScanner()
    scanner.tracking = True
    for kept in ((schema, charset), ()):
        blob = others[0] + b"".join(kept[:1]) + others[1] + b"".join(kept[1:]) + others[2]
        status = AUTOCOMMIT | CHANGED
        scanner.start(QUERY, False)
        scanner.feed(framed(ok(status, tail=push_lenenc_bytes(b"info") + push_lenenc_bytes(blob))))
        ((_, _, copy),) = scanner.splices
        tail = push_lenenc_bytes(b"info")
        if kept:
            assert copy == framed(ok(status, tail=tail + push_lenenc_bytes(b"".join(kept))))
        else:
            assert copy == framed(ok(AUTOCOMMIT, tail=tail))
        assert scanner.changes == [blob]
        assert scanner.status == AUTOCOMMIT


def test_bytes_behind_the_end_are_left() -> None:
    scanner = ResponseScanner()
    scanner.start(QUERY, False)
    data = framed(ok())
    assert scanner.feed(data + b"next") == len(data)
    assert scanner.done


def test_a_response_may_begin_in_the_middle_of_a_chunk() -> None:
    scanner = ResponseScanner()
    scanner.start(QUERY, False)
    data = framed(ok())
    assert scanner.feed(b"before" + data, 6) == 6 + len(data)


@pytest.mark.parametrize("first", [b"\x00", b"\xfe", b"\xff", b"\xfb", b"\x01"])
@pytest.mark.parametrize("extra", [0, 1, 5])
def test_rows_over_16_mib_pass(first: bytes, extra: int) -> None:
    """The continuation of a long row may begin with any byte, an EOF's among them."""
    value = b"\xfe" + (0xFFFFFF + extra).to_bytes(8, "little")
    row = value + b"x" * (0xFFFFFF - len(value)) + first * extra
    head = framed(b"\x01", COLUMN, eof())
    data = head + frame(row, 4) + framed(eof())
    scanner, forwarded = scan(data, chunk=1 << 18)
    assert scanner.done
    assert forwarded == data


def test_rows_of_several_full_frames_pass() -> None:
    """The last frame of a long row may look like an EOF."""
    row = b"\xfe" + (2 * 0xFFFFFF - 9 + 5).to_bytes(8, "little") + b"x" * (2 * 0xFFFFFF - 9) + eof()
    data = framed(b"\x01", COLUMN, eof()) + frame(row, 4) + framed(eof())
    for chunk in (1 << 18, 0xFFFFFF + 4):
        scanner, forwarded = scan(data, chunk=chunk)
        assert scanner.done
        assert forwarded == data


@pytest.mark.parametrize("name", [b"/tmp/x.csv", b""])
def test_the_server_asks_for_a_file(name: bytes) -> None:
    scanner = ResponseScanner()
    scanner.start(QUERY, False)
    request = framed(b"\xfb" + name)
    assert scanner.feed(request) == len(request)
    assert scanner.local_infile
    assert not scanner.done
    scanner.file_sent()
    scanner.feed(framed(ok(affected=2)))
    assert scanner.done
    assert scanner.affected_rows == 2


@pytest.mark.parametrize(
    "data",
    [
        framed(b""),
        framed(b"\x00"),
        framed(b"\x00\x00\x00\x02"),
        framed(b"\xfe\x00"),
        framed(b"\x02\x02"),
        framed(b"\x01", COLUMN, b"\x05hello"),
        framed(ok(CHANGED, tail=b"\x00\x50ab")),
        framed(b"\x00\xfe\x01"),
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    scanner = ResponseScanner()
    scanner.start(QUERY, False)
    with pytest.raises(ProtocolError):
        scanner.feed(data)


@given(st.binary(max_size=400), st.sampled_from([QUERY, PREPARE, ROWS, SINGLE]), st.booleans(), st.integers(1, 50))
def test_noise_ends_in_a_protocol_error_or_not_at_all(data: bytes, kind: int, deprecate: bool, chunk: int) -> None:
    scanner = ResponseScanner()
    scanner.start(kind, deprecate)
    rest = b""
    try:
        for start in range(0, len(data), chunk):
            piece = rest + data[start : start + chunk]
            end = scanner.feed(piece)
            assert 0 <= end <= len(piece)
            rest = piece[end:]
            if scanner.done or scanner.local_infile:
                return
    except ProtocolError:
        return


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=30), st.integers(1, 97))
def test_any_rows_in_any_chunks(values: list[bytes], chunk: int) -> None:
    rows = [push_lenenc_bytes(value) for value in values]
    data = framed(b"\x01", COLUMN, eof(), *rows, eof())
    scanner, forwarded = scan(data, chunk=chunk)
    assert scanner.done
    assert forwarded == data


@pytest.mark.parametrize("chunk", [0, 1, 3, 7])
@pytest.mark.parametrize(
    ("row", "binary", "expected"),
    [
        (b"\x0219", False, b"\x06123457"),
        (b"\0\0\x13\0\0\0", True, b"\0\0" + (123457).to_bytes(4, "little")),
        (b"\0\0\x13\0\0\0\0\0\0\0", True, b"\0\0" + (123457).to_bytes(8, "little")),
        (b"\x0219", False, b"\x02-1"),
        (b"\0\0\x13\0\0\0\0\0\0\0", True, b"\0\0" + b"\xff" * 8),
    ],
)
def test_a_number_of_ours_in_the_only_row(row: bytes, binary: bool, expected: bytes, chunk: int) -> None:
    number = -1 if expected[-2:] in (b"-1", b"\xff\xff") else 123457
    data = framed(b"\x01", COLUMN, eof(), row, eof())
    scanner = ResponseScanner()
    scanner.start(CURSOR, deprecate_eof=False)
    scanner.substitute, scanner.binary = number, binary
    forwarded, rest = b"", b""
    for at in range(0, len(data), chunk or len(data)):
        piece = rest + data[at : at + (chunk or len(data))]
        end = scanner.feed(piece)
        rest = piece[end:]
        position = 0
        for start, stop, replacement in scanner.splices:
            forwarded += piece[position:start] + replacement
            position = stop
        forwarded += piece[position:end]
    assert scanner.done
    assert forwarded == framed(b"\x01", COLUMN, eof(), expected, eof())
    assert scanner.substitute is None


@pytest.mark.parametrize("deprecate_eof", [False, True])
@pytest.mark.parametrize("chunk", [0, 1, 3])
@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("columns", [2, 300])
def test_definitions_may_be_left_out(deprecate_eof: bool, chunk: int, follow: bool, columns: int) -> None:
    between = [] if deprecate_eof else [eof()]
    last = ok(header=0xFE) if deprecate_eof else eof()
    more = ok(AUTOCOMMIT | MORE, header=0xFE) if deprecate_eof else eof(AUTOCOMMIT | MORE)
    head = push_lenenc_int(columns) + bytes([follow])
    definitions = [COLUMN] * columns if follow else []
    result = [head, *definitions, *between, ROW, ROW]
    data = framed(*result, more, *result, last)
    scanner, forwarded = scan(data, deprecate_eof=deprecate_eof, chunk=chunk, optional=True)
    assert scanner.done
    assert scanner.has_rows
    assert forwarded == data
    prepared = b"\0\1\0\0\0" + columns.to_bytes(2, "little") + b"\1\0" + b"\0\0\0" + bytes([follow])
    definitions = [COLUMN] * (columns + 1) if follow else []
    data = framed(prepared, *definitions, *between, *between)
    scanner, forwarded = scan(data, PREPARE, deprecate_eof=deprecate_eof, chunk=chunk, optional=True)
    assert scanner.done
    assert forwarded == data
    assert scanner.parameters == 1


@pytest.mark.parametrize(("optional", "head"), [(False, b"\2\1"), (True, b"\2\1\1"), (True, b"\xfc\2\0")])
def test_a_column_count_is_as_long_as_agreed(optional: bool, head: bytes) -> None:
    with pytest.raises(ProtocolError):
        scan(framed(head, COLUMN, COLUMN, eof(), eof()), optional=optional)


@pytest.mark.parametrize("deprecate_eof", [False, True])
@pytest.mark.parametrize("chunk", [0, 1, 3, 7, 20, 50])
def test_rows_are_counted_whatever_the_chunks(chunk: int, deprecate_eof: bool) -> None:
    large = b"\xfc\x00\x01" + b"x" * 256
    rows = [ROW, large, b"\xfb", ROW]
    between = [] if deprecate_eof else [eof()]
    last = ok(header=0xFE, tail=b"\x00") if deprecate_eof else eof()
    scanner, _ = scan(framed(b"\x01", COLUMN, *between, *rows, last), deprecate_eof=deprecate_eof, chunk=chunk)
    assert scanner.rows == 4
    scanner.start(QUERY, deprecate_eof)
    assert scanner.rows == 0


def test_rows_of_several_results_are_counted_together() -> None:
    first = [b"\x01", COLUMN, eof(), ROW, ROW, eof(AUTOCOMMIT | MORE)]
    scanner, _ = scan(framed(*first, b"\x01", COLUMN, eof(), ROW, eof()))
    assert scanner.rows == 3


def test_an_eof_behind_an_ok_is_no_ok() -> None:
    parts = [ok(AUTOCOMMIT | MORE), b"\x01", COLUMN, eof(), ROW, eof()]
    scanner, _ = scan(framed(*parts))
    assert not scanner.ended_in_ok


@pytest.mark.parametrize("chunk", [0, 1, 9, 50])
def test_the_flag_of_trackers_is_taken_out_of_every_eof(chunk: int) -> None:
    """As MariaDB sets it in every result of a transaction."""
    flagged, plain = eof(AUTOCOMMIT | CHANGED, 5), eof(AUTOCOMMIT, 5)
    more, plain_more = eof(AUTOCOMMIT | CHANGED | MORE, 5), eof(AUTOCOMMIT | MORE, 5)
    scanner, forwarded = scan(
        framed(b"\x01", COLUMN, flagged, ROW, more, b"\x01", COLUMN, flagged, flagged), chunk=chunk
    )
    assert forwarded == framed(b"\x01", COLUMN, plain, ROW, plain_more, b"\x01", COLUMN, plain, plain)
    assert scanner.done
    assert (scanner.status, scanner.warnings, scanner.rows) == (AUTOCOMMIT, 5, 1)


# Runs of rows of one length, which are looked at together: how many, their length, and the first byte of the last.
RUNS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40), st.sampled_from([0, 1, 0xFB, 0xFD])), max_size=6)


@given(
    RUNS,
    st.sampled_from([eof(), eof(AUTOCOMMIT | CHANGED), ERR, eof(AUTOCOMMIT | MORE)]),
    st.integers(1, 700),
    st.booleans(),
)
def test_rows_of_one_length_are_as_many_and_end_where_they_end(
    runs: list[tuple[int, int, int]], last: bytes, chunk: int, whole: bool
) -> None:
    rows: list[bytes] = []
    for count, length, first in runs:
        rows += [b"\x07" * length] * (count - 1) + [bytes([first]) + b"\xfe" * (length - 1)]
    # What looks like the next row, but is of the next result or of nobody, is not taken for one.
    behind = [b"\x01", COLUMN, eof(), *rows[-1:], eof()] if last[3:4] and last[3] & MORE and last[0] == 0xFE else []
    data = framed(b"\x01", COLUMN, eof(), *rows, last, *behind)
    scanner, forwarded = scan(data, chunk=0 if whole else chunk)
    assert scanner.done
    assert scanner.rows == len(rows) + len(behind[3:-1])
    assert (scanner.error == ERR) is (last == ERR)
    if not last.endswith(b"\x40"):
        assert forwarded == data


def test_a_packet_of_the_length_of_the_rows_before_it_may_be_none() -> None:
    for last in (ERR, ok(header=0xFE, tail=b"\0" * 30)):
        rows = [b"\x01" + b"x" * (len(last) - 1)] * 100
        scanner, forwarded = scan(framed(b"\x01", COLUMN, *rows, last), deprecate_eof=True)
        assert (scanner.done, scanner.rows, scanner.error) == (True, 100, ERR if last is ERR else None)
        assert forwarded == framed(b"\x01", COLUMN, *rows, last)


def test_rows_whose_lengths_differ_by_multiples_of_256() -> None:
    rows = [b"\x01" * length for length in (*[9] * 20, 265, *[9] * 20, 65545, *[265] * 20, 9)]
    scanner, forwarded = scan(data := framed(b"\x01", COLUMN, eof(), *rows, eof()))
    assert (scanner.done, scanner.rows) == (True, len(rows))
    assert forwarded == data
