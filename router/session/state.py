"""What must survive between two commands of one client.

``SessionState`` is told what it asked for (facts of the statement) and what the server reported (status flags and
session trackers), and answers one question: may the server connection go back to the pool, and if not, why.

No socket, no clock: ``frontend/dispatch.py`` owns those.
"""

from __future__ import annotations

from router.session.gtids import Token
from router.session.profile import CHARSET_GROUP, VOLATILE_VARIABLES, ServerProfile
from router.session.variables import VariableSet, replayable
from router.sql.assignments import literal_values
from router.sql.facts import Assignment, PinReason, StatementFacts, StatementKind
from router.sql.lexer import LexMode
from router.wire.charset import MULTIBYTE_UNSAFE
from router.wire.constants import ServerStatus
from router.wire.packets import SessionChanges

_IN_TRANSACTION = int(ServerStatus.IN_TRANS)
_AUTOCOMMIT = int(ServerStatus.AUTOCOMMIT)

# Pins that a later statement can lift; all others last until the session is reset.
_UNTIL_UNLOCK = frozenset({PinReason.LOCK_TABLES})
# MariaDB before 11.1 knows these under their old names only.
_OLD_NAMES = {"transaction_isolation": "tx_isolation", "transaction_read_only": "tx_read_only"}
_NOT_THE_SESSION = frozenset({"global", "persist", "persist_only", "statement"})
_UNTIL_TRANSACTION_END = frozenset({PinReason.SET_TRANSACTION})
# User variables are carried up to this number of characters, names and literals together.
MAX_USER_VARIABLES = 2048
# Savepoints of a transaction that are told to servers which take part in it later.
MAX_MARKS = 1000
# '…' with an introducer are the bytes as they stand.
_WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})


class SessionState:
    """The memory of one client session.

    ``variables`` are its system variables beyond a new connection's, ``schema`` its default database, ``mode`` how
    its SQL is to be lexed, ``pins`` why it must keep its server connection beyond the transaction, ``transaction``
    whether one is open, ``autocommit`` as the server last said (``status``: both, as flags), ``last_insert_id`` what
    LAST_INSERT_ID() would return (None: only a connection of the session knows), ``opening`` the statements that
    open the transaction, while no server has been chosen for it, ``begun`` those that have opened it and set savepoints
    in it, for further servers that take part (None: another server could not be told).
    """

    __slots__ = (
        "_assigned",
        "_fresh",
        "_ignore_space",
        "autocommit",
        "begun",
        "initial",
        "last_insert_id",
        "mode",
        "opening",
        "pins",
        "profile",
        "schema",
        "status",
        "transaction",
        "variables",
        "written",
    )

    def __init__(
        self, profile: ServerProfile, collation_id: int, schema: str | None, *, ignore_space: bool = False
    ) -> None:
        """``collation_id`` and ``ignore_space`` (the capability) are the login's."""
        self.profile = profile
        self._ignore_space = ignore_space
        self.initial = VariableSet.of(profile.charset_of(collation_id))
        self.schema = schema
        # By group: what it has written there, and what its reads must therefore see.
        self.written: dict[str, Token] = {}
        self._forget()

    def _forget(self) -> None:
        self.variables = self.initial
        self.pins: set[PinReason] = set()
        self._fresh: set[PinReason] = set()
        self._assigned: dict[str, str] | None = None
        self.opening: list[bytes] | None = None
        self.begun: list[bytes] | None = []
        self.after_status(_AUTOCOMMIT if self.profile.autocommit else 0)
        self.last_insert_id: int | None = 0
        self.mode = self._lex_mode()

    def reset(self) -> None:
        """COM_RESET_CONNECTION: everything but the user and the default database is as after login.

        But for the character set, which MariaDB takes from the login and MySQL from its global default (measured).
        """
        if self.profile.flavor == "mysql":
            self.initial = VariableSet.of(self.profile.charset_of(0))
        self._forget()

    @property
    def holds(self) -> bool:
        """Whether the server connection must stay with this session."""
        return (self.transaction and self.opening is None) or bool(self.pins)

    @property
    def primary_only(self) -> bool:
        """Whether even a proven read must go to the primary: it belongs to a transaction, open or implied."""
        return not self.autocommit

    def open_later(self, *sql: bytes) -> None:
        """BEGIN (and savepoints behind it) where it is not known yet which server the transaction is for."""
        if not sql:
            return
        self.opening = [*sql]
        self.begun = [*sql]
        self.after_status(self.status)
        self.status |= _IN_TRANSACTION

    def marked(self, sql: bytes) -> None:
        """SAVEPOINT, ROLLBACK TO or RELEASE: servers that take part later hear of it too."""
        if self.begun is not None:
            self.begun.append(sql)
            if len(self.begun) > MAX_MARKS:
                self.begun = None

    @property
    def only_reads(self) -> bool:
        """Whether the transaction that is about to begin is one in which servers refuse writes."""
        text = b"" if self.opening is None else self.opening[0].upper()
        if b"READ WRITE" in text:
            return False
        values = self.variables.values
        return b"READ ONLY" in text or "ON" in (values.get("transaction_read_only"), values.get("tx_read_only"))

    @property
    def spans(self) -> bool:
        """Whether the transaction that is open, or would be, can be on several servers."""
        if self.begun is None or "completion_type" in self.variables.values:
            return False
        return bool(self.begun) or not self.autocommit

    def ended(self) -> None:
        """The transaction has ended wherever it was; perhaps it never reached a server."""
        self.opening = None
        self.after_status(self.status & ~_IN_TRANSACTION)

    def before(self, facts: StatementFacts, command: bytes) -> None:
        """A statement is about to be sent: note the state it leaves behind that no tracker reports.

        ``command``: the framed command with its SQL.
        """
        had = frozenset(self.pins)
        self._assigned = None
        if facts.kind is StatementKind.BEGIN:
            self.begun = None
        if facts.pins:
            self.pins.update(facts.pins)
        if facts.assignments:
            if facts.kind is StatementKind.SET and all(each.scope == "user" for each in facts.assignments):
                self._assigned = self._literals(command)
            if self._assigned is None:
                self._pin_untracked(facts.assignments)
        self._fresh = self.pins - had

    def would_pin(self, facts: StatementFacts, command: bytes) -> bool:
        """Whether the session will have to stay on the connection on which the statement, a SET or USE, is run."""
        if self.opening is not None:
            return True
        self.before(facts, command)
        pins = bool(self._fresh)
        self.never_ran()
        return pins

    def never_ran(self) -> None:
        """The statement has left nothing behind: the server could not parse it, or is lost with all it did."""
        self.pins -= self._fresh
        self._assigned = None

    def _literals(self, command: bytes) -> dict[str, str] | None:
        """What a SET of user variables assigns, as it can be said again under any mode; None when it cannot."""
        if len(command) > MAX_USER_VARIABLES:
            return None
        values = literal_values(command[5:], ansi_quotes=self.mode.ansi_quotes)
        collation = self.variables.values["collation_connection"]
        charset = self.profile.charset_by_collation.get(collation)
        if values is None or charset is None or charset in _WIDE:
            return None
        for name, literal in values.items():
            if literal.startswith("'"):
                values[name] = f"_{charset}{literal} COLLATE {collation}"
        everything = {**self.variables.values, **values}
        size = sum(len(name) + len(value) for name, value in everything.items() if name.startswith("@"))
        return values if size <= MAX_USER_VARIABLES else None

    def user_variables_assigned(self, *, failed: bool) -> bool:
        """A statement has ended: whether ``variables`` has new user variables now."""
        assigned, self._assigned = self._assigned, None
        if assigned is None:
            return False
        if failed:
            self.pins.add(PinReason.USER_VARIABLE)
            return False
        self.variables = self.variables.with_changes(assigned)
        return True

    def is_set(self, applied: VariableSet, facts: StatementFacts) -> bool:
        """Whether the user variables that a statement names are on a connection that has ``applied``."""
        return not facts.user_variables or applied.personal is self.variables.personal

    def wanted(self, applied: VariableSet, facts: StatementFacts) -> VariableSet:
        """What a connection that has ``applied`` is to be set to for a statement.

        A proven read does without user variables that it does not name, and so does a question about the statement
        before; anything else may run a trigger or a routine that reads them.
        """
        variables = self.variables
        without = (facts.read or facts.looks_back) and not facts.user_variables and not applied.personal
        return variables.shared if without else variables

    def _pin_untracked(self, assigned: tuple[Assignment, ...]) -> None:
        tracked = self.profile.tracked
        for assignment in assigned:
            name = assignment.name
            if name.startswith("@"):
                self.pins.add(PinReason.USER_VARIABLE)
            elif assignment.scope in _NOT_THE_SESSION or name in ("names", "character set"):
                continue
            elif name in VOLATILE_VARIABLES or not (name in tracked or _OLD_NAMES.get(name) in tracked):
                self.pins.add(PinReason.UNTRACKED_VARIABLE)

    def after_status(self, status: int) -> None:
        """The server's status flags at the end of a response."""
        self.status = status & (_IN_TRANSACTION | _AUTOCOMMIT)
        self.transaction = bool(status & _IN_TRANSACTION) or self.opening is not None
        self.autocommit = bool(status & _AUTOCOMMIT)
        if not self.transaction:
            self.begun = []

    def after(self, facts: StatementFacts | None, changes: list[SessionChanges], *, failed: bool) -> bool:
        """The server's trackers at the end of a response; True when the charset must be asked for.

        ``facts`` of the statement, None for a command that is not a statement. A state change that the statement
        itself does not explain is a pin.
        """
        ask_charset = False
        for change in changes:
            if change.schema is not None:
                self.schema = change.schema or None
            if change.variables:
                ask_charset |= self._variables_changed(change.variables)
            if change.transaction_characteristics is not None:
                self._characteristics(change.transaction_characteristics)
            if change.transaction_state is not None:
                self._transaction_state(change.transaction_state)
            if change.state_changed and facts is not None and not _explained(facts):
                self.pins.add(_pin_for(facts))
        if facts is not None and facts.kind is StatementKind.UNLOCK and not failed:
            self.pins -= _UNTIL_UNLOCK
        return ask_charset

    def unreported(self, facts: StatementFacts, changes: list[SessionChanges]) -> list[str]:
        """Session variables that a statement has assigned and no tracker spoke of.

        MariaDB reports SET x, SET SESSION x and SET @@SESSION.x, but not SET @@x (seen on 10.11).
        """
        if not facts.assignments or self.profile.flavor != "mariadb":
            return []
        reported = {name for change in changes for name in change.variables}
        names = (_OLD_NAMES.get(each.name, each.name) for each in facts.assignments if each.scope == "session")
        return sorted({name for name in names if name in self.profile.tracked and name not in reported})

    def _variables_changed(self, values: dict[str, str]) -> bool:
        plain = {name: value for name, value in values.items() if name not in CHARSET_GROUP}
        if plain:
            if not replayable(plain.values()):
                self.pins.add(PinReason.UNTRACKED_VARIABLE)
            if plain.get("sql_auto_is_null") == "ON":
                # WHERE id IS NULL then means LAST_INSERT_ID(), wherever it stands.
                self.pins.add(PinReason.UNTRACKED_VARIABLE)
            self.variables = self.variables.with_changes(plain)
            if plain.get("autocommit") == ("ON" if self.profile.autocommit else "OFF"):
                # Drivers switch it off and on again; back at the default there is nothing to carry over.
                self.variables = self.variables.without("autocommit")
            self.mode = self._lex_mode()
        return len(plain) < len(values)

    def charset_is(self, client: str, results: str, collation: str) -> None:
        """The charset variables as just read from the connection."""
        self.variables = self.variables.with_changes(
            {"character_set_client": client, "character_set_results": results, "collation_connection": collation}
        )
        self.mode = self._lex_mode()

    def _characteristics(self, text: str) -> None:
        # Empty once they are used up; "SET TRANSACTION …" while they wait for the next transaction.
        if text.startswith("SET TRANSACTION"):
            self.pins.add(PinReason.SET_TRANSACTION)
        else:
            self.pins -= _UNTIL_TRANSACTION_END

    def _transaction_state(self, letters: str) -> None:
        # Eight places; the first says T(ransaction) or I(mplicit), the last L(ocked tables).
        if letters[7:8] == "L":
            self.pins.add(PinReason.LOCK_TABLES)

    def _lex_mode(self) -> LexMode:
        values = self.variables.values
        sql_mode = values.get("sql_mode")
        modes = (self.profile.sql_mode if sql_mode is None else sql_mode).upper().split(",")
        charset = values["character_set_client"]
        return LexMode(
            ansi_quotes="ANSI_QUOTES" in modes,
            no_backslash_escapes="NO_BACKSLASH_ESCAPES" in modes,
            unsafe_charset=charset if charset in MULTIBYTE_UNSAFE else None,
            ignore_space="IGNORE_SPACE" in modes or (sql_mode is None and self._ignore_space),
        )


def _explained(facts: StatementFacts) -> bool:
    """Whether this statement's state change is fully described by the other trackers and by its facts."""
    return not facts.multi and facts.kind in (StatementKind.SET, StatementKind.USE, StatementKind.UNLOCK)


def _pin_for(facts: StatementFacts) -> PinReason:
    if facts.multi:
        return PinReason.MULTI_STATEMENT
    if facts.kind in (StatementKind.PREPARE, StatementKind.EXECUTE_TEXT, StatementKind.DEALLOCATE):
        return PinReason.PREPARED_TEXT
    if facts.kind is StatementKind.DDL:
        return PinReason.TEMPORARY_TABLE
    return PinReason.STATE_CHANGE
