"""A connection to a server: relays one answer unchanged, and ends itself rather than get out of step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backend.connection import BackendConnection, Capture
from router.errors import ConnectionLost
from router.wire.constants import Capability, ServerStatus
from router.wire.framing import frame
from router.wire.packets import decode_ok
from router.wire.scanner import PREPARE, QUERY, SINGLE
from tests.fakes import (
    AUTOCOMMIT,
    KEY,
    RecordingSink,
    changed,
    eof,
    err,
    new_connection,
    ok,
    payloads,
    prepared,
    query,
    rows,
    wire,
)

MORE = AUTOCOMMIT | int(ServerStatus.MORE_RESULTS_EXISTS)
ANSWERS = {
    "ok": ok(affected_rows=3, last_insert_id=70000),
    "ok with a message": ok(info=b"Rows matched: 1"),
    "error": err(1146, "Table 'x.y' doesn't exist", "42S02"),
    "no rows": rows(),
    "rows": rows([b"1", b"one"], [b"2", b"two"], names=("id", "name")),
    "error among the rows": rows([b"1"])[:-9] + err(1317, "interrupted", "70100", sequence=5),
    "two results": rows([b"1"], status=MORE) + ok(6),
}


def sent(prefix_replies: int = 0, kind: int = QUERY) -> tuple[BackendConnection, RecordingSink]:
    """A connection that has just been sent a command, and the sink of its answer."""
    connection, sink = new_connection(), RecordingSink()
    connection.send(sink, b"command", kind, prefix_replies)
    return connection, sink


def feed(connection: BackendConnection, data: bytes, cuts: list[int]) -> None:
    """Deliver ``data`` in pieces cut at ``cuts`` (modulo its length)."""
    places = sorted({cut % len(data) for cut in cuts} - {0})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        connection.data_received(data[start:end])


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_in_one_chunk_is_handed_on_as_that_very_object(answer: bytes) -> None:
    connection, sink = sent()
    assert wire(connection).take() == b"command"
    connection.data_received(answer)
    assert sink.chunks[0] is answer
    assert sink.events == ["forward", "ended"]
    assert not connection.busy
    assert not connection.closed
    assert connection.bytes_relayed == len(answer)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_byte_by_byte_is_the_same(answer: bytes) -> None:
    connection, sink = sent()
    for at in range(len(answer)):
        assert connection.busy, f"ended after {at} of {len(answer)} bytes"
        connection.data_received(answer[at : at + 1])
    assert sink.data == answer
    assert sink.events == ["forward", "ended"]


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 10_000), max_size=6))
def test_an_answer_in_any_chunks_is_the_same(name: str, cuts: list[int]) -> None:
    answer = ANSWERS[name]
    connection, sink = sent()
    feed(connection, answer, cuts)
    assert sink.data == answer
    assert sink.events == ["forward", "ended"]
    assert connection.bytes_relayed == len(answer)


def test_long_rows_are_forwarded_before_they_are_whole() -> None:
    value = b"v" * 200_000
    row = frame(b"\xfd" + len(value).to_bytes(3, "little") + value, 4)
    answer = rows()[:-9] + row + eof(5)
    connection, sink = sent()
    connection.data_received(answer[:100_000])
    assert len(sink.data) > 99_000, "the server's bytes are held back"
    connection.data_received(answer[100_000:])
    assert sink.data == answer
    assert sink.events[-1] == "ended"


def test_other_shapes_of_answers() -> None:
    connection, sink = sent(kind=SINGLE)
    connection.data_received(frame(b"Uptime: 1  Threads: 2", 1))
    assert sink.events == ["forward", "ended"]


def test_one_command_after_the_other() -> None:
    connection, sink = sent()
    connection.data_received(rows([b"1"]))
    connection.send(sink, b"again")
    connection.data_received(err(1064))
    assert connection.scanner.error is not None
    connection.send(sink, b"and again")
    connection.data_received(ok())
    assert connection.scanner.error is None
    assert sink.data == rows([b"1"]) + err(1064) + ok()
    assert sink.events == ["forward", "ended"] * 3


def test_the_next_command_may_be_sent_from_the_end_of_the_last() -> None:
    connection, sink = sent()
    second = RecordingSink()
    sink.then = lambda it: it.send(second, b"next")
    connection.data_received(ok())
    assert connection.busy
    connection.data_received(rows([b"7"]))
    assert second.events == ["forward", "ended"]
    assert sink.data == ok()


def test_deprecate_eof_is_the_pools_choice() -> None:
    connection = new_connection(("app", int(Capability.DEPRECATE_EOF), False))
    sink = RecordingSink()
    connection.send(sink, b"command")
    # Without the EOF behind the columns, and with an OK at the end.
    answer = rows([b"1"])
    columns, row = answer[: -9 - 6 - 9], answer[-9 - 6 : -9]
    whole = columns + row[:3] + b"\x03" + row[4:] + frame(b"\xfe\0\0\x02\0\0\0", 4)
    connection.data_received(whole)
    assert sink.data == whole
    assert sink.events == ["forward", "ended"]


# --- trackers ---------------------------------------------------------------------------------------------------------

TRACKED = changed({"sql_mode": "ANSI_QUOTES"}, schema="shop")


@given(st.lists(st.integers(0, 10_000), max_size=4))
def test_trackers_are_kept_from_the_client(cuts: list[int]) -> None:
    connection, sink = sent()
    feed(connection, ok(changes=TRACKED, affected_rows=1, info=b"one"), cuts)
    (payload,) = payloads(sink.data)
    packet = decode_ok(payload, 0)
    assert (packet.affected_rows, packet.info, packet.status) == (1, b"one", AUTOCOMMIT)
    assert b"ANSI" not in sink.data
    assert len(connection.scanner.changes) == 1
    assert sink.events == ["forward", "ended"]


def test_a_splice_leaves_its_neighbours_alone() -> None:
    connection, sink = sent()
    first, last = rows([b"1"], status=MORE), ok(8, affected_rows=9)
    connection.data_received(first + ok(6, changes=TRACKED, status=MORE) + ok(7, changes=TRACKED, status=MORE) + last)
    assert sink.data == first + ok(6, status=MORE) + ok(7, status=MORE) + last
    assert len(connection.scanner.changes) == 2


def test_trackers_of_one_answer_are_not_those_of_the_next() -> None:
    connection, sink = sent()
    connection.data_received(ok(changes=TRACKED))
    connection.send(sink, b"next")
    connection.data_received(ok())
    assert connection.scanner.changes == []
    assert sink.data == ok() + ok()


# --- a prefix ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=5), prefix=st.integers(1, 3))
def test_replies_of_the_prefix_are_swallowed(answer: bytes, cuts: list[int], prefix: int) -> None:
    connection, sink = sent(prefix)
    feed(connection, ok(changes=TRACKED) * prefix + answer, cuts)
    assert sink.data == answer
    assert sink.events == ["forward", "ended"]
    assert connection.scanner.changes == [], "what the prefix did is not news"
    assert not connection.closed


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("refused", [0, 1, 2])
@given(cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_a_refused_prefix_ends_the_connection_and_nothing_is_forwarded(
    answer: bytes, refused: int, cuts: list[int]
) -> None:
    replies = [ok(), ok(), ok()]
    replies[refused] = err(1049, "Unknown database 'x'")
    connection, sink = sent(3)
    feed(connection, b"".join(replies) + answer, cuts)
    assert sink.events == ["prefix failed"]
    assert sink.data == b""
    assert sink.refusal == err(1049, "Unknown database 'x'")[4:]
    assert not connection.forwarded
    assert wire(connection).aborted


def test_of_several_refusals_the_first_is_told() -> None:
    connection, sink = sent(2)
    connection.data_received(err(1049) + err(1193) + ok())
    assert sink.refusal == err(1049)[4:]


def test_a_refused_prefix_is_told_only_when_zero_replies_are_owed() -> None:
    connection, sink = sent(1)
    connection.data_received(err(1049))
    assert sink.events == []
    connection.data_received(rows([b"1"])[:-1])
    assert sink.events == []


def test_a_connection_lost_during_the_prefix_has_forwarded_nothing() -> None:
    connection, sink = sent(1)
    connection.data_received(err(1049) + rows([b"1"])[:-1])
    connection.connection_lost(None)
    assert sink.events == ["lost"]
    assert not connection.forwarded


# --- out of step ------------------------------------------------------------------------------------------------------


def test_bytes_from_an_idle_connection_end_it() -> None:
    connection = new_connection()
    connection.data_received(ok())
    assert connection.closed
    assert wire(connection).aborted


def test_bytes_behind_the_end_of_an_answer_end_the_connection() -> None:
    connection, sink = sent()
    connection.data_received(ok() + b"\x01")
    assert connection.closed
    assert wire(connection).aborted
    assert sink.events[-1] == "lost"
    assert "ended" not in sink.events


def test_bytes_right_after_the_end_of_an_answer_end_the_connection() -> None:
    connection, sink = sent()
    connection.data_received(ok())
    connection.data_received(ok())
    assert sink.events == ["forward", "ended"]
    assert connection.closed
    assert wire(connection).aborted


@pytest.mark.parametrize(
    "nonsense",
    [b"\0\0\0\x01", frame(b"\x00\xff", 1), frame(b"\x02what", 1)],
    ids=["empty", "ok", "count"],
)
def test_nonsense_ends_the_connection(nonsense: bytes) -> None:
    connection, sink = sent()
    connection.data_received(nonsense)
    assert sink.events == ["lost"]
    assert wire(connection).aborted


@pytest.mark.parametrize("size", [0, 1, 4, 5, 30])
def test_a_loss_says_whether_anything_was_forwarded(size: int) -> None:
    connection, sink = sent()
    if size:
        connection.data_received(rows([b"1"])[:size])
    connection.connection_lost(ConnectionResetError("reset by peer"))
    assert sink.events[-1] == "lost"
    assert connection.forwarded is bool(sink.data)
    assert isinstance(sink.error, ConnectionLost)
    assert "reset by peer" in str(sink.error)


def test_what_was_forwarded_before_does_not_count_for_the_next_command() -> None:
    connection, sink = sent()
    connection.data_received(ok())
    connection.send(sink, b"next")
    connection.connection_lost(None)
    assert not connection.forwarded
    assert "closed the connection" in str(sink.error)


def test_a_loss_is_told_once() -> None:
    connection, sink = sent()
    connection.data_received(ok() + b"\x01")
    connection.connection_lost(None)
    assert sink.events.count("lost") == 1


def test_the_end_of_the_stream_closes_the_transport() -> None:
    connection, _ = sent()
    assert not connection.eof_received()


# --- closing ----------------------------------------------------------------------------------------------------------


def test_close_is_silent() -> None:
    connection, sink = sent()
    connection.close()
    connection.connection_lost(None)
    assert sink.events == []
    assert wire(connection).aborted


def test_quit_says_goodbye_when_idle() -> None:
    connection = new_connection()
    connection.quit()
    assert wire(connection).written == frame(b"\x01", 0)
    assert wire(connection).closed
    assert not wire(connection).aborted
    assert connection.closed


def test_quit_says_nothing_while_a_reply_is_owed() -> None:
    connection, sink = sent()
    wire(connection).take()
    connection.quit()
    assert wire(connection).written == b""
    assert wire(connection).aborted
    assert sink.events == []


@pytest.mark.parametrize(
    "end",
    [lambda it: None, BackendConnection.close, BackendConnection.quit, lambda it: it.data_received(ok())],
    ids=["by the server", "close", "quit", "out of step"],
)
@pytest.mark.parametrize("busy", [False, True])
def test_the_end_is_told_once_whoever_ended_it(end: Callable[[BackendConnection], None], busy: bool) -> None:
    connection = sent()[0] if busy else new_connection()
    gone: list[BackendConnection] = []
    connection.when_closed(gone.append)
    end(connection)
    assert gone == [], "the transport is still there"
    connection.connection_lost(None)
    connection.connection_lost(None)
    assert gone == [connection]
    assert connection.closed


def test_the_sink_hears_of_a_loss_before_the_pool() -> None:
    connection, sink = sent()
    connection.when_closed(lambda it: sink.events.append("gone"))
    connection.connection_lost(None)
    assert sink.events == ["lost", "gone"]


# --- back-pressure and files ------------------------------------------------------------------------------------------


def test_back_pressure_reaches_the_sink_of_the_command_in_progress() -> None:
    connection, sink = sent()
    connection.pause_writing()
    connection.resume_writing()
    assert sink.events == ["pause", "resume"]
    connection.data_received(ok())
    connection.pause_writing()
    connection.resume_writing()
    assert sink.events == ["pause", "resume", "forward", "ended"]


def test_a_request_for_a_file_and_what_follows() -> None:
    connection, sink = sent()
    request = frame(b"\xfb/tmp/data.csv", 1)
    connection.data_received(request)
    assert sink.data == request
    assert sink.events == ["forward", "file"]
    assert connection.busy
    wire(connection).take()
    connection.write(frame(b"1,2\n", 2) + frame(b"", 3))
    assert wire(connection).take() == frame(b"1,2\n", 2) + frame(b"", 3)
    connection.scanner.file_sent()
    connection.data_received(ok(4, affected_rows=1))
    assert sink.data == request + ok(4, affected_rows=1)
    assert sink.events == ["forward", "file", "forward", "ended"]


# --- Capture ----------------------------------------------------------------------------------------------------------


class Answers:
    """What a ``Capture`` reports."""

    def __init__(self) -> None:
        self.done: list[tuple[bytes, bytes | None]] = []
        self.lost: list[ConnectionLost] = []
        self.capture = Capture(lambda payload, error: self.done.append((payload, error)), self.lost.append)


def test_capture_collects_the_whole_answer() -> None:
    connection, answers = new_connection(), Answers()
    connection.send(answers.capture, query("SELECT 1"))
    answer = rows([b"1"])
    connection.data_received(answer[:20])
    assert answers.done == []
    connection.data_received(answer[20:])
    assert answers.done == [(answer, None)]


def test_capture_gives_the_error() -> None:
    connection, answers = new_connection(), Answers()
    connection.send(answers.capture, query("SELECT 1"))
    connection.data_received(err(1205))
    assert answers.done == [(err(1205), err(1205)[4:])]


def test_capture_tells_of_a_loss() -> None:
    connection, answers = new_connection(), Answers()
    connection.send(answers.capture, query("SELECT 1"))
    connection.connection_lost(None)
    assert (len(answers.lost), answers.done) == (1, [])


def test_capture_is_told_of_a_refused_prefix() -> None:
    """Whoever waits for the answer must hear that it will not come."""
    connection, answers = new_connection(), Answers()
    connection.send(answers.capture, query("SET a = 1") + query("SET b = 2"), prefix_replies=1)
    connection.data_received(err(1193, "Unknown system variable 'a'") + ok())
    assert connection.closed
    assert len(answers.lost) + len(answers.done) == 1
    if answers.done:
        assert answers.done[0][1] is not None


def test_capture_sends_no_files() -> None:
    connection, answers = new_connection(), Answers()
    connection.send(answers.capture, query("SELECT 1"))
    connection.data_received(frame(b"\xfb/etc/passwd", 1))
    assert connection.closed
    assert (len(answers.lost), answers.done) == (1, [])


def test_a_capture_without_interest_in_losses() -> None:
    connection = new_connection()
    connection.send(Capture(lambda payload, error: None), query("SELECT 1"))
    connection.connection_lost(None)
    assert connection.closed


def test_new_connections_are_of_no_schema() -> None:
    connection = new_connection(KEY)
    assert (connection.schema, connection.busy, connection.closed) == (None, False, False)


# --- a wait in front --------------------------------------------------------------------------------------------------

WAITED = rows([b"1"])
IN_VAIN = err(1690, "DOUBLE value is out of range")


def waiting(*replies: bytes, prefix: int = 2, kind: int = QUERY) -> tuple[BackendConnection, RecordingSink]:
    """What became of a command behind a wait and perhaps others."""
    connection, sink = new_connection(), RecordingSink()
    connection.send(sink, b"commands", kind, prefix, waits=True)
    connection.data_received(b"".join(replies))
    return connection, sink


def test_a_wait_is_swallowed_as_any_other() -> None:
    connection, sink = waiting(WAITED, ok(), rows([b"5"]))
    assert (sink.events[-1], sink.data) == ("ended", rows([b"5"]))
    assert not connection.behind


def test_behind_a_wait_in_vain_the_connection_is_as_good_as_before() -> None:
    connection, sink = waiting(IN_VAIN, ok(), rows([b"5"]))
    assert (sink.events, sink.data) == (["prefix failed"], b"")
    assert connection.behind
    assert not connection.closed
    sink = RecordingSink()
    connection.send(sink, b"command")
    connection.data_received(rows([b"6"]))
    assert (sink.data, connection.behind) == (rows([b"6"]), False)


def test_what_fails_besides_ends_the_connection() -> None:
    for replies in ((IN_VAIN, err(1193)), (WAITED, err(1193))):
        connection, sink = waiting(*replies, rows([b"5"]))
        assert sink.events == ["prefix failed"]
        assert connection.closed
        assert not connection.behind


def test_a_statement_that_nobody_knows_would_stay_prepared() -> None:
    connection, _ = waiting(IN_VAIN, prepared(7), prefix=1, kind=PREPARE)
    assert connection.behind
    assert connection.closed
