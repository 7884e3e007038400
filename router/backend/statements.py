"""The prepared statements that live on one server connection.

They outlive the client's session: the next one with the same text finds them prepared. ``StatementText`` is what makes
two statements the same – the text, and everything it was resolved under – and is interned, so that finding one is a
look-up by identity. The number per connection is bounded well under the server's ``max_prepared_stmt_count`` (16,382
for all connections together); the least recently used one goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

from router.backend.derivation import Derived
from router.session.variables import VariableSet
from router.wire.constants import Command
from router.wire.framing import frame

MAX_STATEMENTS = 128
# Texts are kept with their statements; these many bytes of them per connection.
MAX_TEXT = 4 * 2**20

# Of these the server's answer depends on when a statement runs, not when it is prepared; and some of them cannot be
# set, or end the transaction when they are, in the middle of one.
# User variables are resolved when a statement that names them is prepared: such a statement pins its session.
_NOT_RESOLVED = ("@", "autocommit", "transaction_", "tx_", "binlog_", "sql_log_")


class StatementText:
    """A framed COM_STMT_PREPARE with the schema and the variables it was prepared under."""

    __slots__ = ("__weakref__", "frame", "schema", "variables")

    def __init__(self, frame: bytes, schema: str | None, variables: VariableSet) -> None:
        """Use ``StatementText.of``, which interns."""
        self.frame = frame
        self.schema = schema
        self.variables = variables

    @staticmethod
    def of(frame: bytes, schema: str | None, variables: VariableSet) -> StatementText:
        """The one object for this text under these circumstances."""
        resolved = {name: value for name, value in variables.values.items() if not name.startswith(_NOT_RESOLVED)}
        key = (frame, schema, VariableSet.of(resolved))
        found = _texts.get(key)
        if found is None:
            found = _texts[key] = StatementText(*key)
        return found

    def variables_within(self, current: VariableSet) -> VariableSet:
        """What the connection must be set to for preparing, in a session whose variables are ``current``."""
        others = {name: value for name, value in current.values.items() if name.startswith(_NOT_RESOLVED)}
        return VariableSet.of({**self.variables.values, **others})


_texts: WeakValueDictionary[tuple[bytes, str | None, VariableSet], StatementText] = WeakValueDictionary()


class ServerStatement:
    """A statement on the server: its ``id`` there, the parameter ``types`` it was last executed with, what the server
    has ``derived`` from them."""

    __slots__ = ("derived", "id", "types")

    def __init__(self, statement_id: int) -> None:
        self.id = statement_id
        self.types: bytes | None = None
        self.derived: Derived = None


def close(statement: ServerStatement) -> bytes:
    """The command, without a reply, that closes it."""
    return frame(bytes([Command.STMT_CLOSE]) + statement.id.to_bytes(4, "little"), 0)


class ServerStatements:
    """The statements of one connection, in the order of their last use."""

    __slots__ = ("_by_text", "_size")

    def __init__(self) -> None:
        self._by_text: OrderedDict[StatementText, ServerStatement] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        """Number of statements."""
        return len(self._by_text)

    def get(self, text: StatementText) -> ServerStatement | None:
        """The statement of this text, if it is prepared here; counts as a use."""
        found = self._by_text.get(text)
        if found is not None:
            self._by_text.move_to_end(text)
        return found

    def add(self, text: StatementText, statement_id: int) -> bytes:
        """A statement has been prepared; returns the commands (no replies) that close those it displaces."""
        return self.put(text, ServerStatement(statement_id))

    def put(self, text: StatementText, statement: ServerStatement) -> bytes:
        """As ``add``, of a statement that may have been executed."""
        closing = self.remove(text)
        self._by_text[text] = statement
        self._size += len(text.frame)
        while len(self._by_text) > 1 and (len(self._by_text) > MAX_STATEMENTS or self._size > MAX_TEXT):
            closing += self.remove(next(iter(self._by_text)))
        return closing

    def remove(self, text: StatementText) -> bytes:
        """Forget a statement; returns the command that closes it, empty if it is not here."""
        found = self._by_text.pop(text, None)
        if found is None:
            return b""
        self._size -= len(text.frame)
        return close(found)

    def clear(self) -> None:
        """The server has forgotten all of them."""
        self._by_text.clear()
        self._size = 0
