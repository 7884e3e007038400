"""The prepared statements of one session, as the client knows them.

The client gets ids of ours. What it sends is passed on with the id that the statement has on the server connection in
use, and with what that connection may not have seen: parameter types (clients send them with the first execution only)
and long data (kept here until the statement runs).

Layout of COM_STMT_EXECUTE (MySQL internals manual)::

    command 1, statement id 4, flags 1, iterations 4, [NULL bitmap (n+7)/8, types follow 1, [types 2n], values]

MariaDB's COM_STMT_BULK_EXECUTE, one execution for many rows::

    command 1, statement id 4, flags 2, [types 2n], rows

With query attributes (``wire/attributes.py``), a count stands in front of the bitmap and a name behind each type; the
values behind the statement's own are the attributes.
"""

from __future__ import annotations

from router.backend.derivation import Derived, derive
from router.backend.statements import ServerStatement, StatementText
from router.engine import refusals
from router.engine.execution import Execution
from router.engine.parameters import ParameterValues
from router.errors import ProtocolError
from router.planner.plan import Relay, Sharded
from router.session.state import SessionState
from router.sql.facts import PinReason, StatementKind
from router.sql.lexer import LexMode
from router.wire.attributes import named_text, parameter_count, pull_named_types
from router.wire.constants import MAX_PAYLOAD, Capability, Command, ServerStatus
from router.wire.errcodes import ErrorCode
from router.wire.framing import frame as framed
from router.wire.framing import unframed
from router.wire.scanner import ResponseScanner

# A client that opens more than a server would let all clients together has lost count.
MAX_OPEN = 16_382
# MariaDB: the statement prepared last.
LAST_PREPARED = 0xFFFFFFFF

_HEADER = 4
_FLAGS = 9
_BULK_ROWS = 11
_BULK_TYPES = 0x80
_BITMAP = 14
_CURSOR_TYPES = 0x07
_BULK = int(Command.STMT_BULK_EXECUTE)
_EXECUTE = frozenset({int(Command.STMT_EXECUTE), _BULK})
_MALFORMED = ErrorCode.MALFORMED_PACKET.to_bytes(2, "little")
_CURSOR_EXISTS = int(ServerStatus.CURSOR_EXISTS)
_LAST_ROW_SENT = int(ServerStatus.LAST_ROW_SENT)


class Statement:
    """A statement the client has prepared; ``plan`` is where it runs, ``cursor`` whether one is open."""

    __slots__ = (
        "_before",
        "_derives",
        "_flag",
        "_named",
        "cursor",
        "derived",
        "home",
        "id",
        "long_data",
        "long_size",
        "made_by",
        "mode",
        "parameters",
        "plan",
        "sharded",
        "text",
        "types",
        "warnings",
    )

    def __init__(
        self,
        statement_id: int,
        plan: Relay,
        text: StatementText,
        parameters: int,
        sharded: Sharded | None = None,
        *,
        derives: bool = False,
        named: bool = False,
    ) -> None:
        """``derives``: its server is one where executions leave something behind (``derivation``).

        ``named``: the client and its connections have query attributes. ``mode`` is how the text was to be lexed when
        it was prepared, ``home`` the database then, and ``made_by`` what has planned it.
        """
        self.id = statement_id
        self._derives = derives
        self._before: tuple[ServerStatement, bytes | None, Derived, bytes | None, Derived] | None = None
        self._named = named
        self._flag = _BITMAP + (parameters + 7) // 8
        self.derived: Derived = None
        self.plan = plan
        self.sharded = sharded
        self.mode = LexMode()
        self.home: str | None = None
        self.made_by: object = None
        self.text = text
        self.parameters = parameters
        self.types: bytes | None = None
        self.long_data: list[bytes] = []
        self.long_size = 0
        self.cursor = False
        self.warnings = 0

    def schema(self, current: str | None) -> str | None:
        """Where it runs in a session whose default schema is ``current``.

        Servers go to a statement's own schema by themselves, but MySQL then reports a change of state that is none.
        """
        own = self.text.schema
        return current if own is None or self.plan.facts.kind is StatementKind.USE else own

    def add_long_data(self, frames: bytes, limit: int) -> None:
        """Keep a COM_STMT_SEND_LONG_DATA until the statement runs; beyond ``limit`` bytes only the size is kept."""
        self.long_size += len(frames)
        if self.long_size > limit:
            self.long_data.clear()
        else:
            self.long_data.append(frames)

    def forget_long_data(self) -> None:
        """It has been used, or taken back."""
        if self.long_size:
            self.long_data.clear()
            self.long_size = 0

    def fits(self, server: ServerStatement, frame: bytes) -> bool:
        """Whether ``server`` would run ``frame`` as a statement of this session's own, whoever used it before."""
        if self.parameters == 0 or server.types is None or frame[4] not in _EXECUTE:
            return True
        bound = self._bound(frame)
        if bound is None:
            return True
        _, nulls, types = bound
        types = self.types if types is None else types
        if types is None:
            return False  # never with types that another session has sent
        if not self._derives or server.derived is self.derived:
            return True
        return derive(server.derived, types, nulls) == derive(self.derived, types, nulls)

    def command(self, frame: bytes, server: ServerStatement) -> bytes:
        """What the server is to get for the client's ``frame`` (EXECUTE, FETCH or RESET of this statement)."""
        server_id = server.id.to_bytes(4, "little")
        out = frame[:5] + server_id + frame[9:]
        if frame[4] not in _EXECUTE:
            return out
        if self.parameters:
            out = self._with_types(out, server)
        if self.long_data:
            data = [piece[:5] + server_id + piece[9:] for piece in self.long_data]
            return b"".join((*data, out))
        return out

    def _bound(self, frame: bytes) -> tuple[int, bytes, bytes | None] | None:
        """What an EXECUTE says of its parameters: (offset of "types follow", NULL bitmap, types if they follow).

        None when it is malformed: the server says how.
        """
        if frame[4] == _BULK:
            end = _BULK_ROWS + 2 * self.parameters
            return _FLAGS, b"", frame[_BULK_ROWS:end] if frame[_FLAGS] & _BULK_TYPES else None
        if self._named:
            return self._bound_by_name(frame)
        at = self._flag
        if len(frame) <= at:
            return None
        return at, frame[_BITMAP:at], frame[at + 1 : at + 1 + 2 * self.parameters] if frame[at] else None

    def _bound_by_name(self, frame: bytes) -> tuple[int, bytes, bytes | None] | None:
        if len(frame) > MAX_PAYLOAD:
            frame = frame[:_HEADER] + unframed(frame)
        own = 2 * self.parameters
        try:
            count, bitmap = parameter_count(frame, _BITMAP)
            at = bitmap + (count + 7) // 8
            if len(frame) <= at or count < self.parameters:
                return None
            if frame[at]:
                return at, frame[bitmap:at], pull_named_types(frame, at + 1, count)[0][:own]
        except ProtocolError:
            return None
        return (at, frame[bitmap:at], None) if count == self.parameters else None

    def _with_types(self, frame: bytes, server: ServerStatement) -> bytes:
        bound = self._bound(frame)
        self._before = None
        if bound is None:
            return frame
        at, nulls, types = bound
        known = server.types
        self._before = (server, known, server.derived, self.types, self.derived)
        if types is not None:
            self.types = types
        if self.types is None:
            return frame
        server.types = self.types
        if self._derives:
            self.derived, server.derived = (derive(it.derived, self.types, nulls) for it in (self, server))
        if types is not None or self.types == known:
            return frame
        if frame[4] == _BULK:
            end = _BULK_ROWS
            given = bytes([frame[_FLAGS] | _BULK_TYPES, frame[_FLAGS + 1]]) + self.types
        elif self._named:  # names last for one execution
            end = at + 1
            given = b"\x01" + b"".join(self.types[pos : pos + 2] + b"\0" for pos in range(0, len(self.types), 2))
        else:
            end = at + 1
            given = b"\x01" + self.types
        if len(frame) <= MAX_PAYLOAD:
            return framed(frame[_HEADER:at] + given + frame[end:], 0)
        payload = unframed(frame)
        return framed(payload[: at - _HEADER] + given + payload[end - _HEADER :], 0)

    def execution(self, frame: bytes, values: ParameterValues) -> Execution:
        """An EXECUTE with its ``values``, for other statements than this one.

        Raises ProtocolError if it is malformed, Unsupported where earlier ones would be felt on a single server.
        """
        bound = self._bound(frame) if self.parameters else None
        if bound is not None and bound[2] is not None:
            self.types = bound[2]
        types = self.types or b""
        if bound is not None and self._derives and types:
            nulls = bound[1]
            self.derived = derive(self.derived, types, nulls)
            states = zip(self.derived or (), derive(None, types, nulls) or (), strict=True)
            # NULL is NULL, whatever its type.
            if any(a != b and not nulls[n >> 3] >> (n & 7) & 1 for n, (a, b) in enumerate(states)):
                raise refusals.types_derived()
        pieces: dict[int, tuple[bytes, ...]] = {}
        for piece in self.long_data:
            whole = unframed(piece)
            number = int.from_bytes(whole[5:7], "little")
            pieces[number] = (*pieces.get(number, ()), whole[7:])
        raw = values.raw()
        if frame[4] != Command.STMT_EXECUTE or len(raw) != self.parameters:
            raise ProtocolError("an EXECUTE without its parameters")
        each = tuple(types[2 * number : 2 * number + 2] for number in range(self.parameters))
        return Execution(each, tuple(raw), pieces, self._named)

    def values(self, frame: bytes, codec: str | None) -> ParameterValues:
        """What an EXECUTE gives for the parameters, as far as it can be told."""
        if frame[4] != Command.STMT_EXECUTE or (bound := self._bound(frame)) is None:
            return ParameterValues(b"", b"", b"", (), codec)
        at, nulls, types = bound
        start = at + 1 + (0 if types is None else len(types))
        if self._named and types is not None:
            count, _ = parameter_count(frame, _BITMAP)
            start = pull_named_types(frame, at + 1, count)[1]
        known = types if types is not None else self.types
        elsewhere = {int.from_bytes(piece[9:11], "little") for piece in self.long_data}
        return ParameterValues(known or b"", nulls, frame[start:], elsewhere, codec)

    def text_attribute(self, frame: bytes, name: bytes) -> bytes | None:
        """The text that an EXECUTE gives as the attribute ``name``."""
        if not self._named or frame[4] != Command.STMT_EXECUTE:
            return None
        if len(frame) > MAX_PAYLOAD:
            frame = frame[:_HEADER] + unframed(frame)
        elsewhere = {int.from_bytes(piece[9:11], "little") for piece in self.long_data}
        try:
            count, bitmap = parameter_count(frame, _BITMAP)
            return named_text(frame, bitmap, count, name, elsewhere) if count > self.parameters else None
        except (ProtocolError, IndexError):
            return None  # the server says how it is wrong

    def place(self, plan: Relay) -> None:
        """This execution is for the shard of ``plan``."""
        self.plan = plan
        self.text = StatementText.of(self.text.frame, plan.database or self.home, self.text.variables)

    def never_bound(self) -> None:
        """The server has refused the last EXECUTE as malformed, before it looked at types and values."""
        if self._before is not None:
            server, types, derived, self.types, self.derived = self._before
            server.types, server.derived = types, derived
            self._before = None


class Statements:
    """All open statements of one session, whose connections are of ``shape``."""

    __slots__ = ("_last", "_named", "_next", "_session", "by_id", "made_by")

    def __init__(self, session: SessionState, shape: int = 0) -> None:
        self._session = session
        self._named = bool(shape & Capability.QUERY_ATTRIBUTES)
        self._next = 1
        self._last: Statement | None = None
        self.by_id: dict[int, Statement] = {}
        # Where the plans of those come from that are opened.
        self.made_by: object = None

    def __len__(self) -> int:
        """Number of open statements."""
        return len(self.by_id)

    @property
    def next_id(self) -> int:
        """The id that the next statement gets."""
        return self._next

    def opened(self, plan: Relay, text: StatementText, parameters: int, sharded: Sharded | None = None) -> Statement:
        """The client has prepared a statement; ``sharded`` when its shard depends on the values."""
        derives = self._session.profile.flavor == "mysql"
        statement = Statement(self._next, plan, text, parameters, sharded, derives=derives, named=self._named)
        statement.mode = self._session.mode
        statement.home = self._session.schema
        statement.made_by = self.made_by
        self.by_id[statement.id] = self._last = statement
        self._next = self._next % (LAST_PREPARED - 1) + 1
        while self._next in self.by_id:
            self._next += 1
        return statement

    def failed(self) -> None:
        """The client could not prepare a statement: none is the last one."""
        self._last = None

    def find(self, statement_id: int) -> Statement | None:
        """The statement a client means."""
        if statement_id == LAST_PREPARED and self._session.profile.flavor == "mariadb":
            return self._last
        return self.by_id.get(statement_id)

    def close(self, statement_id: int) -> Statement | None:
        """The client has closed a statement; None if there is none."""
        statement = self.find(statement_id)
        if statement is not None:
            del self.by_id[statement.id]
            if statement is self._last:
                self._last = None
            if statement.cursor:
                self._cursor_closed()
        return statement

    def ran(self, statement: Statement, outcome: ResponseScanner, *, cursor: bool) -> None:
        """A command of the statement has ended: long data is used up, a cursor has begun or has come to its end.

        ``cursor``: it was about one; otherwise the flags for cursors speak of those inside procedures.
        """
        statement.forget_long_data()
        if outcome.error is not None:
            if outcome.error[1:3] == _MALFORMED:
                statement.never_bound()
            return
        had = statement.cursor
        if had and not outcome.warnings:
            outcome.warnings = statement.warnings  # a FETCH says nothing of them, and leaves them alone
        statement.warnings = outcome.warnings if cursor else 0
        statement.cursor = cursor and outcome.status & (_CURSOR_EXISTS | _LAST_ROW_SENT) == _CURSOR_EXISTS
        if statement.cursor:
            self._session.pins.add(PinReason.CURSOR)
        elif had:
            self._cursor_closed()

    def _cursor_closed(self) -> None:
        if not any(statement.cursor for statement in self.by_id.values()):
            self._session.pins.discard(PinReason.CURSOR)

    def clear(self) -> None:
        """The session starts anew; ids are not used again."""
        self.by_id.clear()
        self._last = None


def id_of(payload: bytes) -> int:
    """The statement id in a command about a statement."""
    return int.from_bytes(payload[1:5], "little")


def wants_cursor(frame: bytes) -> bool:
    """Whether an EXECUTE asks the server to keep the rows for FETCH."""
    return bool(frame[_FLAGS] & _CURSOR_TYPES)
