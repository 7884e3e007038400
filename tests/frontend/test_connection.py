"""A client's connection: the same commands whatever the chunks, in order, one at a time, and within limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.errors import MySQLError
from router.frontend.connection import ClientConnection
from router.metrics import Counters
from router.wire.constants import MAX_PAYLOAD
from router.wire.framing import frame
from tests.fakes import FakeTransport, error_of, ok, payloads, query

LIMIT = 1 << 26


class FakeSession:
    """Records commands; ``answer`` runs for each (default: finish at once)."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.frames: list[bytes] = []
        self.commands: list[bytes] = []
        self.file = b""
        self.complete: list[bool] = []
        self.events: list[str] = []
        self.running = False
        self.answer: Callable[[], None] = self.finish

    def finish(self) -> None:
        self.running = False
        self.client.finished()

    def command(self, frames: bytes, payload: bytes | None) -> None:
        assert not self.running, "a second command while the first is in progress"
        self.running = True
        self.frames.append(frames)
        self.commands.append(frames[4:] if payload is None else payload)
        self.answer()

    def paused(self) -> None:
        self.events.append("paused")

    def resumed(self) -> None:
        self.events.append("resumed")

    def file_data(self, data: bytes, complete: bool) -> None:
        self.file += data
        self.complete.append(complete)

    def lost(self) -> None:
        self.events.append("lost")


def connect(limit: int = LIMIT, *, at_once: bool = True) -> tuple[ClientConnection, FakeSession, FakeTransport]:
    """A connection whose session finishes each command at once, or not before it is told."""
    transport = FakeTransport()
    client = ClientConnection(transport, limit, Counters(), now=0.0)
    session = FakeSession(client)
    if not at_once:
        session.answer = lambda: None
    client.start(session)
    return client, session, transport


def feed(client: ClientConnection, data: bytes, cuts: list[int]) -> None:
    """Deliver ``data`` in pieces cut at ``cuts`` (modulo its length)."""
    places = sorted({cut % len(data) for cut in cuts} - {0})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        client.data_received(data[start:end])


# --- commands ---------------------------------------------------------------------------------------------------------

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5)
CUTS = st.lists(st.integers(0, 10_000), max_size=10)


def test_a_whole_command_is_handed_on_as_the_very_bytes_received() -> None:
    client, session, _ = connect()
    data = query("SELECT 1")
    client.data_received(data)
    assert session.frames[0] is data
    assert session.commands == [b"\x03SELECT 1"]


@given(PAYLOADS, CUTS)
def test_commands_are_the_same_in_any_chunks(commands: list[bytes], cuts: list[int]) -> None:
    client, session, transport = connect()
    feed(client, b"".join(frame(payload, 0) for payload in commands), cuts)
    assert session.commands == commands
    assert b"".join(session.frames) == b"".join(frame(payload, 0) for payload in commands)
    assert client.idle
    assert transport.written == b""


@given(PAYLOADS, CUTS)
def test_pipelined_commands_wait_for_their_turn(commands: list[bytes], cuts: list[int]) -> None:
    client, session, _ = connect(at_once=False)
    feed(client, b"".join(frame(payload, 0) for payload in commands), cuts)
    for number in range(1, len(commands) + 1):
        assert session.commands == commands[:number]
        assert not client.idle
        session.finish()
    assert session.commands == commands
    assert client.idle


def test_many_pipelined_commands_do_not_nest() -> None:
    client, session, _ = connect()
    client.data_received(query("SELECT 1") * 5000)
    assert len(session.commands) == 5000


def test_a_long_command_of_several_frames() -> None:
    client, session, _ = connect()
    payload = b"\x03" + b"x" * (MAX_PAYLOAD + 100)
    data = frame(payload, 0)
    for start in range(0, len(data), 1 << 20):
        client.data_received(data[start : start + (1 << 20)])
    assert session.commands == [payload]
    assert session.frames == [data], "what goes to the server is what came"


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from([1, 4, 5, MAX_PAYLOAD, MAX_PAYLOAD + 4, MAX_PAYLOAD + 7, MAX_PAYLOAD + 8]), max_size=5))
@example([MAX_PAYLOAD + 4])
def test_a_command_of_exactly_one_full_frame_has_an_empty_second(cuts: list[int]) -> None:
    client, session, _ = connect()
    payload = b"\x03" + b"x" * (MAX_PAYLOAD - 1)
    feed(client, frame(payload, 0) + query("SELECT 2"), cuts)
    assert session.commands == [payload, b"\x03SELECT 2"]


def test_received_bytes_are_counted() -> None:
    counters = Counters()
    client = ClientConnection(FakeTransport(), LIMIT, counters, now=0.0)
    client.start(FakeSession(client))
    client.data_received(query("SELECT 1"))
    client.data_received(query("SELECT 22")[:3])
    assert counters.client_bytes_in == len(query("SELECT 1")) + 3


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_packet_above_the_limit_ends_the_connection(chunk: int) -> None:
    client, session, transport = connect(limit=100)
    data = query("x" * 100)
    for start in range(0, len(data), chunk):
        client.data_received(data[start : start + chunk])
    assert session.commands == []
    assert error_of(transport.written)[0] == 1153
    assert transport.closed
    assert not transport.aborted, "the client should read why"


def test_a_packet_at_the_limit_is_taken() -> None:
    for chunk in (50, 1000):
        client, session, _ = connect(limit=100)
        data = query("x" * 99)
        for start in range(0, len(data), chunk):
            client.data_received(data[start : start + chunk])
        assert len(session.commands) == 1


def test_a_packet_above_the_limit_is_refused_by_its_header() -> None:
    client, session, transport = connect(limit=1 << 20)
    client.data_received(b"\xff\xff\xff\x00")
    assert error_of(transport.written)[0] == 1153
    assert session.commands == []


def test_frames_of_one_packet_count_together() -> None:
    client, session, transport = connect(limit=MAX_PAYLOAD + 10)
    data = frame(b"\x03" + b"x" * (MAX_PAYLOAD + 10), 0)
    client.data_received(data[: MAX_PAYLOAD + 8])
    assert error_of(transport.written)[0] == 1153
    assert session.commands == []


@pytest.mark.parametrize("chunk", [1, 1000])
def test_a_wrong_sequence_ends_the_connection(chunk: int) -> None:
    client, session, transport = connect()
    data = frame(b"\x0e", 1)
    for start in range(0, len(data), chunk):
        client.data_received(data[start : start + chunk])
    assert error_of(transport.written)[:2] == (1156, "08S01")
    assert transport.closed
    assert session.commands == []


def test_a_wrong_sequence_inside_a_packet() -> None:
    client, session, transport = connect()
    data = bytearray(frame(b"\x03" + b"x" * MAX_PAYLOAD, 0))
    data[MAX_PAYLOAD + 7] = 5
    client.data_received(bytes(data))
    assert error_of(transport.written)[0] == 1156
    assert session.commands == []


def test_an_empty_packet_is_no_command() -> None:
    client, session, transport = connect()
    client.data_received(b"\0\0\0\0")
    assert error_of(transport.written)[0] == 1835
    assert transport.closed
    assert session.commands == []


def test_nothing_is_run_behind_what_was_refused() -> None:
    client, session, transport = connect()
    client.data_received(query("SELECT 1") + frame(b"\x0e", 1) + query("DROP TABLE t"))
    client.data_received(query("DROP TABLE t"))
    assert session.commands == [b"\x03SELECT 1"]
    assert len(payloads(transport.written)) == 1


# --- answers ----------------------------------------------------------------------------------------------------------

REFUSED = MySQLError(1105, "HY000", "no")


def test_an_error_answers_the_command_and_the_next_may_come() -> None:
    client, session, transport = connect(at_once=False)
    client.data_received(query("SELECT 1") + query("SELECT 2"))
    session.running = False
    client.fail(REFUSED)
    assert transport.written == frame(b"\xff\x51\x04#HY000no", 1)
    assert session.commands == [b"\x03SELECT 1", b"\x03SELECT 2"]
    assert not transport.closed


def test_an_error_continues_the_sequence_of_a_long_command() -> None:
    client, session, transport = connect(at_once=False)
    client.data_received(frame(b"\x03" + b"x" * MAX_PAYLOAD, 0))
    session.running = False
    client.fail(REFUSED)
    assert transport.written[3] == 2
    transport.take()
    client.data_received(query("SELECT 1"))
    client.fail(REFUSED)
    assert transport.written[3] == 1


def test_a_final_error_closes_and_drops_what_was_waiting() -> None:
    client, session, transport = connect(at_once=False)
    client.data_received(query("SELECT 1") + query("SELECT 2"))
    client.fail(REFUSED, close=True)
    assert error_of(transport.written)[0] == 1105
    assert transport.closed
    session.running = False
    client.finished()
    assert session.commands == [b"\x03SELECT 1"]


def test_answers_go_straight_to_the_client() -> None:
    client, _, transport = connect()
    client.write(ok())
    assert transport.written == ok()


@pytest.mark.parametrize("how", ["end", "abort"])
def test_nothing_is_run_after_the_end(how: str) -> None:
    client, session, transport = connect(at_once=False)
    client.data_received(query("SELECT 1") + query("SELECT 2"))
    getattr(client, how)()
    assert transport.closed
    assert transport.aborted is (how == "abort")
    session.running = False
    client.finished()
    client.data_received(query("SELECT 3"))
    client.data_received(query("SELECT 4")[:5])
    client.data_received(query("SELECT 4")[5:])
    assert session.commands == [b"\x03SELECT 1"]


def test_an_aborted_client_can_be_written_to() -> None:
    """KILL aborts it while a server still sends its answer; uvloop's transport raises for that."""
    client, _, transport = connect(at_once=False)
    client.data_received(query("SELECT 1"))
    client.abort()
    client.write(ok())
    client.fail(REFUSED)
    assert transport.written == b""


def test_activity_is_noted_without_a_clock() -> None:
    client, session, _ = connect(at_once=False)
    assert client.active
    client.active = False
    client.data_received(query("SELECT 1"))
    session.finish()
    assert client.active


# --- the client is gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_a_loss_is_told_once(error: Exception | None) -> None:
    client, session, _ = connect(at_once=False)
    client.data_received(query("SELECT 1") + query("SELECT 2"))
    client.connection_lost(error)
    client.connection_lost(error)
    assert session.events == ["lost"]
    session.running = False
    client.finished()
    assert session.commands == [b"\x03SELECT 1"]


def test_the_end_of_the_stream_closes() -> None:
    client, _, _ = connect()
    assert not client.eof_received()


# --- back-pressure ----------------------------------------------------------------------------------------------------


def test_a_client_that_sends_ahead_is_stopped_until_its_commands_are_run() -> None:
    client, session, transport = connect(at_once=False)
    client.data_received(query("SELECT 1"))
    chunk = query("x" * 60_000)
    while transport.reading:
        client.data_received(chunk)
        assert len(client._buffer) < 3 << 20, "it was never stopped"
    assert len(client._buffer) > 100_000, "it was stopped at once"
    waiting = len(client._buffer) // len(chunk)
    for _ in range(waiting):
        session.finish()
    assert transport.reading
    session.finish()
    assert client.idle
    assert len(session.commands) == waiting + 1


def test_a_long_command_is_not_stopped_half_way() -> None:
    client, session, transport = connect()
    data = query("x" * (4 << 20))
    for start in range(0, len(data), 1 << 16):
        client.data_received(data[start : start + (1 << 16)])
        assert transport.reading
    assert len(session.commands) == 1


def test_a_client_that_reads_slowly_pauses_its_session() -> None:
    client, session, transport = connect()
    assert transport.high_water is not None
    assert transport.high_water > 0
    client.pause_writing()
    client.resume_writing()
    assert session.events == ["paused", "resumed"]


def test_a_server_that_reads_slowly_pauses_the_client() -> None:
    client, _, transport = connect()
    client.pause_reading()
    client.pause_reading()
    assert not transport.reading
    client.resume_reading()
    assert transport.reading


def test_a_server_that_has_caught_up_does_not_undo_the_stop_for_sending_ahead() -> None:
    client, _, transport = connect(at_once=False)
    client.data_received(query("SELECT 1"))
    while transport.reading:
        client.data_received(query("x" * 60_000))
    size = len(client._buffer)
    client.pause_reading()
    client.resume_reading()
    if transport.reading:
        client.data_received(query("x" * 60_000))
    assert not transport.reading
    assert len(client._buffer) < size + 100_000


# --- LOCAL INFILE -----------------------------------------------------------------------------------------------------

FILE = [b"1,one\n", b"2,two\n" * 5000, b"\x03DROP TABLE t", b"3"]


def file_frames(parts: list[bytes]) -> bytes:
    return b"".join(frame(part, 2 + number) for number, part in enumerate([*parts, b""]))


@given(CUTS, st.lists(st.binary(min_size=1, max_size=50), max_size=4))
def test_a_file_passes_up_to_its_empty_packet(cuts: list[int], parts: list[bytes]) -> None:
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"))
    client.ask_for_file()
    sent = file_frames(parts)
    feed(client, sent + query("SELECT 1"), cuts)
    assert session.file == sent
    assert session.complete[-1] is True
    assert session.complete.count(True) == 1
    assert len(session.commands) == 1
    session.finish()
    assert session.commands[1:] == [b"\x03SELECT 1"]


def test_a_file_that_came_before_it_was_asked_for() -> None:
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t") + file_frames(FILE) + query("SELECT 1"))
    client.ask_for_file()
    assert session.file == file_frames(FILE)
    session.finish()
    assert session.commands[1:] == [b"\x03SELECT 1"]


def test_a_file_in_full_frames() -> None:
    """An empty frame behind a full one belongs to the same packet and does not end the file."""
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA"))
    client.ask_for_file()
    sent = file_frames([b"x" * MAX_PAYLOAD, b"y" * 10])
    for start in range(0, len(sent), 1 << 18):
        client.data_received(sent[start : start + (1 << 18)])
        assert len(client._buffer) < 1 << 19, "a file is passed on, not collected"
    assert session.file == sent


def test_an_empty_file() -> None:
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA"))
    client.ask_for_file()
    client.data_received(frame(b"", 2))
    assert (session.file, session.complete) == (frame(b"", 2), [True])


def test_a_file_is_not_run_when_its_command_has_failed_meanwhile() -> None:
    """Sequence ids come round to 0 after 256 packets: such a packet looks just like a command."""
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA"))
    client.ask_for_file()
    client.data_received(frame(b"1,one\n", 2))
    session.running = False
    client.fail(REFUSED)
    client.data_received(frame(b"\x03DROP TABLE t", 0))
    client.data_received(frame(b"", 1))
    assert len(session.commands) == 1
    client.data_received(query("SELECT 1"))
    assert session.commands[1:] == [b"\x03SELECT 1"]


def test_a_command_behind_the_file_of_a_failed_command_is_run() -> None:
    client, session, _ = connect(at_once=False)
    client.data_received(query("LOAD DATA"))
    client.ask_for_file()
    session.running = False
    client.fail(REFUSED)
    client.data_received(file_frames(FILE) + query("SELECT 1"))
    assert session.commands[1:] == [b"\x03SELECT 1"]


def test_who_watches_hears_how_a_command_ends() -> None:
    told: list[str] = []

    class Watch:
        def failed(self, error: MySQLError) -> None:
            told.append(str(error.code))

        def finished(self) -> None:
            told.append("finished")
            client.watch = None

    client, session, _ = connect(at_once=False)
    client.watch = Watch()
    client.data_received(frame(b"\x0e", 0))
    assert told == []
    session.finish()
    assert told == ["finished"]
    client.watch = Watch()
    client.data_received(frame(b"\x0e", 0))
    client.fail(MySQLError(1234, "HY000", "no"))
    assert told == ["finished", "1234", "finished"]
