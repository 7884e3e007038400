"""Finds where one response of a server ends, without decoding its rows.

A response is relayed as it arrives; all the router needs to know is where it ends and what its last packet says.
``ResponseScanner`` walks packet headers, looks at the first byte of each packet, and reads only OK, EOF and ERR
packets. It is fed chunks of any size and says up to which byte a chunk may go on to the client.

Shapes (MySQL internals manual, "Text Resultset", "COM_STMT_PREPARE Response"; MariaDB protocol documentation)::

    QUERY     OK | ERR | LOCAL INFILE request, then OK | columns [EOF] rows (EOF | OK) – again while MORE_RESULTS
    PREPARE   statement head, parameter definitions [EOF], column definitions [EOF]
    ROWS      rows or definitions until EOF/OK (COM_STMT_FETCH, COM_FIELD_LIST)
    SINGLE    one packet of any content (COM_STATISTICS)
    CURSOR    as QUERY, but a result may end behind its column definitions: the rows are fetched later

With CLIENT_OPTIONAL_RESULTSET_METADATA a byte behind the column count, or at the end of a statement's head, says
whether the definitions follow; the EOF behind them stays in any case.

We ask servers for more session trackers than clients do. An OK packet with trackers is therefore given back in
``splices`` as the client is to get it: without any, or, if it negotiated CLIENT_SESSION_TRACK, with those a server
sends by default (the schema and five variables); the flag for them is taken out of EOF packets. The only other change
is the id of a statement that has been prepared (``renumber``).

Speed: this is the innermost loop for large results, hence one function with local variables. A row costs one header
read and two comparisons, rows of one length behind one another cost nearly nothing: every so many bytes are looked at
in one go. Plain classes and integers only, so that mypyc can compile the module unchanged.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from router.errors import ProtocolError

QUERY: Final = 0
PREPARE: Final = 1
ROWS: Final = 2
SINGLE: Final = 3
CURSOR: Final = 4

_FIRST: Final = 0  # the first packet of a result
_COLUMNS: Final = 1  # column definitions, counted down
_COLUMNS_EOF: Final = 2  # the EOF behind them (no DEPRECATE_EOF)
_ROWS: Final = 3
_COUNTDOWN: Final = 4  # packets of a PREPARE response, counted down
_ANY: Final = 5

_MAX_PAYLOAD: Final = 0xFFFFFF
_MORE_RESULTS: Final = 0x0008
_CURSOR_EXISTS: Final = 0x0040
_EOF: Final = b"\x05\0\0"
# Rows of one length that are worth being looked at together.
_MANY: Final = 12
_STATE_CHANGED: Final = 0x4000
# ERR and OK packets are collected whole before they are judged; no server sends one near this size.
_MAX_COLLECTED: Final = 0x100000

# The default of session_track_system_variables, in MySQL and MariaDB alike.
_DEFAULT_VARIABLES: Final = frozenset(
    {b"autocommit", b"character_set_client", b"character_set_connection", b"character_set_results", b"time_zone"}
)
_TRACK_VARIABLE: Final = 0
_TRACK_SCHEMA: Final = 1

_header = Struct("<I").unpack_from
_two_shorts = Struct("<HH").unpack_from


class ResponseScanner:
    """Follows one response; ``start`` it, then ``feed`` chunks until ``done``.

    After ``done``: ``status`` and ``warnings`` are those of the last OK/EOF packet, ``affected_rows`` and
    ``last_insert_id`` of the last OK, ``error`` the payload of the ERR packet or None, ``changes`` the session-state
    blobs of all OK packets in order, ``has_rows`` whether any result set was seen, ``ended_in_ok`` whether the last
    packet was an OK packet (the only kind that carries trackers), ``rows`` how many there were. ``local_infile`` is
    true while the server waits for a file from the client. ``statement_id`` and ``parameters`` (a number) are those of
    a successful PREPARE.

    Set from outside: ``tracking`` and ``optional`` are whether the client negotiated CLIENT_SESSION_TRACK and
    CLIENT_OPTIONAL_RESULTSET_METADATA, ``renumber`` the statement id
    that the client is to see in place of the server's, 0 for none; ``substitute``, after ``start``, the number that
    stands in the next row, of one column, in place of the server's (None: that stays) – a ``binary`` row or text.
    """

    __slots__ = (
        "_continued",
        "_deprecate_eof",
        "_kind",
        "_need",
        "_skip",
        "_state",
        "affected_rows",
        "binary",
        "changes",
        "done",
        "ended_in_ok",
        "error",
        "has_rows",
        "last_insert_id",
        "local_infile",
        "optional",
        "parameters",
        "renumber",
        "rows",
        "splices",
        "statement_id",
        "status",
        "substitute",
        "tracking",
        "warnings",
    )

    def __init__(self) -> None:
        self._kind = QUERY
        self._state = _FIRST
        self._deprecate_eof = False
        self._need = 0
        self._skip = 0
        self._continued = False
        self.done = True
        self.status = 0
        self.warnings = 0
        self.affected_rows = 0
        self.last_insert_id = 0
        self.error: bytes | None = None
        self.changes: list[bytes] = []
        self.splices: list[tuple[int, int, bytes]] = []
        self.has_rows = False
        self.ended_in_ok = False
        self.local_infile = False
        self.statement_id = 0
        self.parameters = 0
        self.renumber = 0
        self.rows = 0
        self.substitute: int | None = None
        self.binary = False
        self.tracking = False
        self.optional = False

    def start(self, kind: int, deprecate_eof: bool) -> None:
        """Expect a response of ``kind``; ``deprecate_eof`` is what both sides negotiated."""
        self._kind = kind
        self._state = _ROWS if kind == ROWS else (_ANY if kind == SINGLE else _FIRST)
        self._deprecate_eof = deprecate_eof
        self._need = 0
        self._skip = 0
        self._continued = False
        self.done = False
        self.warnings = 0
        self.affected_rows = 0
        self.last_insert_id = 0
        self.error = None
        if self.changes:
            self.changes = []
        self.has_rows = False
        self.ended_in_ok = False
        self.local_infile = False
        self.substitute = None
        self.rows = 0

    def feed(self, data: bytes, pos: int = 0) -> int:
        """Look at ``data`` from ``pos`` on; return the offset up to which it is of this response and understood.

        Bytes behind that offset must be fed again in front of the next chunk, or, when ``done``, belong to the
        response after this one. ``splices`` holds ``(start, end, replacement)`` for this chunk.
        Raises ProtocolError when the bytes cannot be a response.
        """
        if self.splices:
            self.splices = []
        size, skip = len(data), self._skip
        if skip:
            if size - pos < skip:
                self._skip = skip - (size - pos)
                return size
            pos += skip
            self._skip = 0
            if self._state != _ROWS and not self._continued:
                self._counted()
        while not self.done:
            if not self._continued and self._kind == QUERY:
                pos = self._express(data, pos, size)
                if self.done:
                    break
            if pos + 4 > size:
                return pos
            length = _header(data, pos)[0] & _MAX_PAYLOAD
            end = pos + 4 + length
            if self._continued:
                self._continued = length == _MAX_PAYLOAD
                if end > size:
                    self._skip = end - size
                    return size
                pos = end
                if self._state != _ROWS and not self._continued:
                    self._counted()
                continue
            if length == 0:
                raise ProtocolError(f"empty packet in state {self._state} of a response")
            if pos + 5 > size:
                return pos
            first = data[pos + 4]
            if self._collects(first, length):
                if length > _MAX_COLLECTED:
                    raise ProtocolError(f"a packet of {length} bytes where OK, EOF or ERR was expected")
                if end > size:
                    return pos
                self._packet(data, pos, end)
                pos = end
                if self.local_infile:
                    return pos
                continue
            self._continued = length == _MAX_PAYLOAD
            self.rows += self._state == _ROWS
            if end > size:
                self._skip = end - size
                return size
            pos = end
            if self._state != _ROWS and not self._continued:
                self._counted()
        return pos

    def _substitute(self, data: bytes, pos: int, end: int) -> None:
        """Put our number into the row; its place in a binary one is as wide as the column's type."""
        self.rows += 1
        number, self.substitute = self.substitute, None
        if number is None:
            return
        if self.binary:
            row = data[pos + 4 : pos + 6] + number.to_bytes(end - pos - 6, "little", signed=number < 0)
        else:
            digits = str(number).encode()
            row = bytes([len(digits)]) + digits
        self.splices.append((pos, end, len(row).to_bytes(3, "little") + data[pos + 3 : pos + 4] + row))

    def _express(self, data: bytes, pos: int, size: int) -> int:
        """Pass what is whole and ordinary – column count, definitions, rows, plain EOF – in local variables.

        Stops in front of anything else, for ``feed`` to judge. Halves the cost of a point select's response.
        """
        state = self._state
        if state == _FIRST and pos + 5 <= size and data[pos : pos + 3] == b"\x01\0\0" and 0 < data[pos + 4] < 0xFB:
            self._need = data[pos + 4]
            self.has_rows = True
            pos += 5
            state = _COLUMNS
        if state == _COLUMNS:
            need = self._need
            while need and pos + 5 <= size:
                length = _header(data, pos)[0] & _MAX_PAYLOAD
                if data[pos + 4] == 0xFF or length == _MAX_PAYLOAD or pos + 4 + length > size or length == 0:
                    break
                pos += 4 + length
                need -= 1
            self._need = need
            if not need:
                state = _ROWS if self._deprecate_eof else _COLUMNS_EOF
        if state == _COLUMNS_EOF and pos + 9 <= size and data[pos : pos + 3] == _EOF:
            if data[pos + 4] != 0xFE:
                self._state = state
                return pos
            if data[pos + 8] & _STATE_CHANGED >> 8:
                self._without_state_change(_two_shorts(data, pos + 5)[1], pos)
            pos += 9
            state = _ROWS
        if state == _ROWS:
            rows = before = 0
            worth_it = True
            while pos + 5 <= size:
                length = _header(data, pos)[0] & _MAX_PAYLOAD
                if data[pos + 4] >= 0xFE or length == _MAX_PAYLOAD or pos + 4 + length > size or length == 0:
                    break
                pos += 4 + length
                rows += 1
                if length != before:
                    before = length
                elif worth_it and pos + _MANY * (4 + length) <= size:
                    alike = _alike(data, pos, size, length)
                    pos += alike * (4 + length)
                    rows += alike
                    worth_it = alike >= _MANY
            self.rows += rows
            if not self._deprecate_eof and pos + 9 <= size and data[pos + 4] == 0xFE and data[pos : pos + 3] == _EOF:
                self.warnings, status = _two_shorts(data, pos + 5)
                if status & _STATE_CHANGED:
                    status = self._without_state_change(status, pos)
                self.status = status
                self.ended_in_ok = False
                if status & _MORE_RESULTS:
                    state = _FIRST
                else:
                    self.done = True
                pos += 9
        self._state = state
        return pos

    def _collects(self, first: int, length: int) -> bool:
        """Whether this packet must be looked at as a whole, rather than passed by its length."""
        state = self._state
        if state == _ROWS:
            if first < 0xFE:
                return self.substitute is not None
            if first == 0xFF:
                return True
            # A row may begin with 0xFE only when its first value is longer than 16 MiB.
            return length < (_MAX_PAYLOAD if self._deprecate_eof else 9)
        if state in (_COLUMNS, _COUNTDOWN):
            return first == 0xFF
        return state != _ANY

    def _counted(self) -> None:
        """One counted packet has passed completely."""
        if self._state == _ANY:
            self.done = True
            return
        self._need -= 1
        if self._need > 0:
            return
        if self._state == _COUNTDOWN:
            self.done = True
        else:
            self._state = _ROWS if self._deprecate_eof else _COLUMNS_EOF

    def _packet(self, data: bytes, pos: int, end: int) -> None:
        """Judge one whole packet at ``data[pos:end]`` (header included)."""
        first = data[pos + 4]
        if first == 0xFF:
            self.error = data[pos + 4 : end]
            self.done = True
        elif self._state == _COLUMNS_EOF:
            self._end_of_columns(data, pos, end)
        elif self._state == _ROWS:
            if first < 0xFE:
                self._substitute(data, pos, end)
            elif self._deprecate_eof and end - pos > 9:
                self._ok(data, pos, end)
            else:
                self._eof(data, pos, end)
        elif self._kind == PREPARE:
            self._prepared(data, pos, end)
        elif first == 0x00:
            self._ok(data, pos, end)
        elif first == 0xFE:
            if end - pos > 9:
                self._ok(data, pos, end)
            else:
                self._eof(data, pos, end)
        elif first == 0xFB:
            self.local_infile = True
        else:
            self._column_count(data, pos, end)

    def _column_count(self, data: bytes, pos: int, end: int) -> None:
        first = data[pos + 4]
        width = {0xFC: 2, 0xFD: 3}.get(first, 0)
        if first > 0xFD or end - pos != 5 + width + self.optional:
            raise ProtocolError("a result that begins with neither OK, ERR nor a column count")
        self._need = int.from_bytes(data[pos + 5 : pos + 5 + width], "little") if width else first
        self._state = _COLUMNS
        self.has_rows = True
        if self.optional and not data[end - 1]:
            self._need = 0
            self._state = _ROWS if self._deprecate_eof else _COLUMNS_EOF

    def _end_of_columns(self, data: bytes, pos: int, end: int) -> None:
        if end - pos != 9 or data[pos + 4] != 0xFE:
            raise ProtocolError("no EOF packet behind the column definitions")
        warnings, status = _two_shorts(data, pos + 5)
        status = self._without_state_change(status, pos)
        # Only then: MariaDB also sets the flag in a procedure that has a cursor of its own.
        if status & _CURSOR_EXISTS and self._kind == CURSOR:
            self.warnings, self.status = warnings, status
            self._result_ended(status)
        else:
            self._state = _ROWS

    def _eof(self, data: bytes, pos: int, end: int) -> None:
        if end - pos != 9:
            raise ProtocolError(f"an EOF packet of {end - pos - 4} bytes")
        self.warnings, status = _two_shorts(data, pos + 5)
        self.status = self._without_state_change(status, pos)
        self.ended_in_ok = False
        self._result_ended(self.status)

    def _without_state_change(self, status: int, pos: int) -> int:
        """An EOF packet cannot carry trackers, and most of what they would say, clients did not ask for."""
        if status & _STATE_CHANGED:
            status &= ~_STATE_CHANGED
            self.splices.append((pos + 7, pos + 9, status.to_bytes(2, "little")))
        return status

    def _ok(self, data: bytes, pos: int, end: int) -> None:
        affected, at = _lenenc(data, pos + 5, end)
        insert_id, at = _lenenc(data, at, end)
        if at + 4 > end:
            raise ProtocolError("an OK packet without status")
        status, warnings = _two_shorts(data, at)
        self.affected_rows = affected
        self.last_insert_id = insert_id
        self.warnings = warnings
        self.ended_in_ok = True
        if status & _STATE_CHANGED:
            status &= ~_STATE_CHANGED
            self._split_changes(data, pos, at, end, status)
        self.status = status
        self._result_ended(status)

    def _split_changes(self, data: bytes, pos: int, at: int, end: int, status: int) -> None:
        """Keep the tracker blob for the session; make the copy of the packet that the client is to get."""
        info_length, info = _lenenc(data, at + 4, end)
        blob_length, blob = _lenenc(data, info + info_length, end)
        if blob + blob_length > end:
            raise ProtocolError("session trackers run past their OK packet")
        changes = data[blob : blob + blob_length]
        self.changes.append(changes)
        shown = _default_changes(changes) if self.tracking else b""
        head = data[pos + 4 : at]
        if shown:
            payload = head + data[at : info + info_length] + _push_lenenc(len(shown)) + shown
        else:
            payload = head + status.to_bytes(2, "little") + data[at + 2 : at + 4]
            if info_length:
                payload += data[at + 4 : info + info_length]
        self.splices.append((pos, end, len(payload).to_bytes(3, "little") + data[pos + 3 : pos + 4] + payload))

    def _prepared(self, data: bytes, pos: int, end: int) -> None:
        if data[pos + 4] != 0 or end - pos < 16 + self.optional:
            raise ProtocolError("a prepare response that is neither OK nor ERR")
        self.statement_id = _header(data, pos + 5)[0]
        columns, parameters = _two_shorts(data, pos + 9)
        self.parameters = parameters
        if self.renumber:
            self.splices.append((pos + 5, pos + 9, self.renumber.to_bytes(4, "little")))
            self.renumber = 0
        self.warnings = int.from_bytes(data[pos + 14 : pos + 16], "little")
        self._need = columns + parameters if not self.optional or data[pos + 16] else 0
        if not self._deprecate_eof:
            self._need += (columns > 0) + (parameters > 0)
        self._state = _COUNTDOWN
        if self._need == 0:
            self.done = True

    def _result_ended(self, status: int) -> None:
        if status & _MORE_RESULTS:
            self._state = _FIRST
        else:
            self.done = True

    def file_sent(self) -> None:
        """The client has sent its LOCAL INFILE data; the verdict of the server follows."""
        self.local_infile = False


def _alike(data: bytes, pos: int, size: int, length: int) -> int:
    """How many whole rows of ``length`` bytes there are at ``pos``, one behind another."""
    step = 4 + length
    count = (size - pos) // step
    stop = pos + count * step
    for place in range(3):
        # The same byte of every header.
        column = data[pos + place : stop : step]
        count = min(count, len(column) - len(column.lstrip(bytes([length >> 8 * place & 0xFF]))))
    first = data[pos + 4 : pos + count * step : step]
    for mark in (b"\xfe", b"\xff"):
        found = first.find(mark)
        if 0 <= found < count:
            count = found
    return count


def _lenenc(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Length-encoded integer at ``pos`` → (value, offset behind it)."""
    if pos >= end:
        raise ProtocolError("an OK packet is cut short")
    first = data[pos]
    if first < 0xFB:
        return first, pos + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not width or pos + 1 + width > end:
        raise ProtocolError("a bad length in an OK packet")
    return int.from_bytes(data[pos + 1 : pos + 1 + width], "little"), pos + 1 + width


def _push_lenenc(value: int) -> bytes:
    return bytes([value]) if value < 0xFB else b"\xfc" + value.to_bytes(2, "little")


def _default_changes(changes: bytes) -> bytes:
    """Of the tracker entries (type, length, data) those that a server sends unless it is told otherwise."""
    shown = b""
    pos = 0
    size = len(changes)
    while pos < size:
        length, start = _lenenc(changes, pos + 1, size)
        end = start + length
        if end > size:
            raise ProtocolError("a session tracker runs past its packet")
        kind = changes[pos]
        if kind == _TRACK_VARIABLE:
            name_length, name = _lenenc(changes, start, end)
            if changes[name : name + name_length] in _DEFAULT_VARIABLES:
                shown += changes[pos:end]
        elif kind == _TRACK_SCHEMA:
            shown += changes[pos:end]
        pos = end
    return shown
