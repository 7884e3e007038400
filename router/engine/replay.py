"""Runs a transaction again whose server was lost, on the next primary, if everything turns out as it did before.

Of a user who has opted in (``transaction_replay``) the statements of an open transaction are kept, each with a digest
of the bytes that the client was sent for it. When the transaction is lost they are run again, in their order; as long
as every answer is what the client has seen already, byte for byte, nobody can tell. The statement that was under way
comes last, and its answer goes to the client. One answer that differs, and the client hears what it would have heard
without: 1213, repeat it yourself. Nothing is run again of which a COMMIT may have been seen by a server.

Kept is what can be repeated from its bytes alone: not a transaction that is on several groups, has changed variables or
the default database, holds other state on its connection, has loaded a file, or is larger than the user may keep.
(The idea, and the checksum, are MaxScale's ``transaction_replay``.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from router.backend.derivation import Derived
from router.backend.statements import StatementText
from router.engine import refusals
from router.engine.services import Client
from router.engine.statements import Statement
from router.errors import MySQLError
from router.metrics import Counters
from router.planner.plan import Relay
from router.session.state import SessionState
from router.session.variables import VariableSet
from router.sql.facts import StatementKind
from router.wire.scanner import PREPARE, QUERY

# A transaction whose new server is lost too begins anew, so many times in all.
ATTEMPTS = 5
# What a statement weighs beside its bytes.
_OVERHEAD = 200


@dataclass(slots=True)
class Command:
    """A command as the executor runs it; of a prepared ``statement`` what it was for this execution."""

    plan: Relay
    frame: bytes
    kind: int
    substitute: int | None
    statement: Statement | None
    text: StatementText | None = None
    types: bytes | None = None
    derived: Derived = None
    digest: bytes = b""

    @classmethod
    def of(cls, plan: Relay, frame: bytes, kind: int, substitute: int | None, statement: Statement | None) -> Command:
        """As it stands now."""
        if plan.facts.looks_back and kind != PREPARE:
            kind, substitute = QUERY, None  # what it asks for is found anew
        command = cls(plan, frame, kind, substitute, statement)
        if statement is not None:
            command.text, command.types, command.derived = statement.text, statement.types, statement.derived
        return command

    def restore(self) -> None:
        """Make the prepared statement what it was for this execution."""
        statement = self.statement
        if statement is not None and self.text is not None:
            statement.plan, statement.text = self.plan, self.text
            statement.types, statement.derived = self.types, self.derived


class Repeats(Protocol):
    """What the replay needs of the executor."""

    def repeat(self, command: Command, opening: list[bytes]) -> None:
        """Run a command again, in a transaction that ``opening`` opens."""

    def give_up(self, error: MySQLError) -> None:
        """Roll back what has been repeated, and tell the client the ``error``."""


class Replay:
    """One session's. It stands between the executor and the client: what is repeated, the client does not hear."""

    __slots__ = (
        "_attempts",
        "_client",
        "_counters",
        "_digest",
        "_error",
        "_executor",
        "_history",
        "_left",
        "_limit",
        "_next",
        "_opening",
        "_pending",
        "_schema",
        "_session",
        "_size",
        "_variables",
        "_whole",
        "pause_reading",
        "resume_reading",
    )

    def __init__(
        self, executor: Repeats, client: Client, session: SessionState, counters: Counters, limit: int
    ) -> None:
        """``limit``: of the statements that are kept of a transaction, in bytes."""
        self._executor = executor
        self._client = client
        self._session = session
        self._counters = counters
        self._limit = limit
        self._error: MySQLError | None = None  # what the client hears if it does not work; set while it is tried
        self._attempts = 0
        self._digest = blake2b(digest_size=16)
        self._pending: Command | None = None
        self._left: list[Command] = []
        self._next: Command | None = None
        self.pause_reading = client.pause_reading
        self.resume_reading = client.resume_reading
        self._forget()

    def _forget(self) -> None:
        self._history: list[Command] = []
        self._opening: list[bytes] = []
        self._size = 0
        self._whole = True
        self._variables: VariableSet = self._session.variables
        self._schema = self._session.schema

    # -- what is kept ------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """This transaction cannot be run again."""
        self._whole = False
        self._history.clear()

    def ran(self, command: Command, opening: list[bytes]) -> None:
        """A server has answered; ``opening`` was said in front of the command to open the transaction."""
        if self._next is not None or command.kind == PREPARE:
            return
        if not refusals.stays_inside(command.plan.facts):
            self._forget()
            self._whole = command.plan.facts.kind is StatementKind.BEGIN
        elif not self._history:
            self._opening = opening
        self._size += len(command.frame) + _OVERHEAD
        if self._size > self._limit or (command.statement is not None and command.statement.long_size):
            self._whole = False
        if self._whole:
            self._history.append(command)
        else:
            self._history.clear()

    # -- the client, as the executor sees it -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Part of an answer."""
        self._digest.update(data)
        if self._next is None:
            self._client.write(data)

    def finished(self) -> None:
        """A command has been answered and settled."""
        digest = self._digest.digest()
        self._digest = blake2b(digest_size=16)
        if self._next is not None:
            self._compare(digest)
            return
        self._attempts = 0
        session = self._session
        if not session.transaction or session.opening is not None:
            self._forget()
        elif self._history and not self._history[-1].digest:
            self._history[-1].digest = digest
        self._client.finished()

    def fail(self, error: MySQLError, *, close: bool = False) -> None:
        """The router answers the command with an error."""
        self._digest = blake2b(digest_size=16)
        if self._next is not None:
            self._over(f"statement {self._number} of it failed: {error.message}")
            return
        self._attempts = 0
        if not self._session.transaction:
            self._forget()
        self._client.fail(error, close=close)

    def abort(self) -> None:
        """End the client's connection."""
        if self._next is not None:
            self._over(f"the server was lost in the middle of the answer to its statement {self._number}")
        else:
            self._client.abort()

    def ask_for_file(self) -> None:
        """Pass what the client sends on as LOCAL INFILE data: it is not kept."""
        self.stop()
        self._client.ask_for_file()

    # -- running it again --------------------------------------------------------------------------------------

    @property
    def possible(self) -> bool:
        """Whether the transaction can be run again, should it be lost now."""
        session = self._session
        same = session.variables is self._variables and session.schema == self._schema
        return self._whole and same and self._attempts < ATTEMPTS

    def begin(self, pending: Command, error: MySQLError) -> None:
        """The transaction is lost; ``pending`` is under way, of whose answer nothing has been seen.

        The client hears of ``error`` only if it cannot be run again after all.
        """
        if self._next is None:
            self._pending = pending
        self._attempts += 1
        self._error = error
        self._left = [*reversed(self._history)]
        self._digest = blake2b(digest_size=16)
        self._session.ended()
        self._run(self._opening)

    @property
    def _number(self) -> int:
        return len(self._history) - len(self._left)

    def _run(self, opening: Sequence[bytes] = ()) -> None:
        self._next = self._left.pop() if self._left else None
        command = self._next or self._pending
        assert command is not None
        if self._next is None:
            self._error = None
            self._count("continued")
        command.restore()
        self._executor.repeat(command, [*opening])

    def _compare(self, digest: bytes) -> None:
        command = self._next
        assert command is not None
        if digest != command.digest:
            self._over(f"its statement {self._number} is answered otherwise now")
        else:
            self._run()

    def _over(self, why: str) -> None:
        error, self._error = self._error, None
        assert error is not None
        self._next = None
        self._left = []
        self._count("failed")
        self.stop()
        self._executor.give_up(MySQLError(error.code, error.sqlstate, f"{error.message}, and not replayed: {why}"))

    def _count(self, result: str) -> None:
        self._counters.replays[result] += 1
