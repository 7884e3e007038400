"""What becomes of a statement, and of its session, when the server connection under it breaks (failure contract)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from router.cluster.topology import Server
from router.engine import refusals
from router.errors import BackendError, MySQLError
from router.session.state import SessionState
from router.sql.facts import StatementFacts, StatementKind
from router.wire.errcodes import ErrorCode, code_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """``retry`` on another connection if there is one; otherwise the client hears ``error``, and ``close`` ends it.

    Without an error its connection is cut: part of an answer has gone out, and nothing may follow that. ``replay``:
    what was lost is a transaction that certainly has been rolled back, and nothing else.
    """

    retry: bool = False
    error: MySQLError | None = None
    close: bool = False
    replay: bool = False


class Refusal(Enum):
    """What an error of a server means that is the whole of its answer."""

    ANSWER = "the client's business"
    LOST = "the server ends this connection; the statement may have been run"
    UNREAD = "the server had ended this connection before it read the statement"
    READ_ONLY = "the server takes no writes, and has not begun with this one"

    @property
    def ends(self) -> bool:
        """Whether the connection is as good as lost."""
        return self in (Refusal.LOST, Refusal.UNREAD)


# "WAIT_TIMEOUT" of a connection has this number on MySQL; MariaDB just closes it.
_UNREAD = ErrorCode.CLIENT_INTERACTION_TIMEOUT
# MySQL and MariaDB end connections with these when they shut down.
_LEAVING = frozenset({ErrorCode.SERVER_SHUTDOWN, ErrorCode.CONNECTION_KILLED})
# The option's name is in the message whatever its language is.
_READ_ONLY = b"read-only"
# Refused as a whole before they have begun. A routine may have done anything before it was.
_WHOLE = frozenset(
    {
        StatementKind.INSERT,
        StatementKind.REPLACE,
        StatementKind.UPDATE,
        StatementKind.DELETE,
        StatementKind.DDL,
        StatementKind.BEGIN,
    }
)


def meaning_of(error: bytes, facts: StatementFacts | None) -> Refusal:
    """What the ERR packet ``error`` means as the answer to a statement (None: to one that opens a transaction)."""
    code = code_of(error)
    if code in _LEAVING:
        return Refusal.LOST
    if code == _UNREAD:
        return Refusal.UNREAD
    if code == ErrorCode.OPTION_PREVENTS_STATEMENT and _READ_ONLY in error:
        return Refusal.READ_ONLY if facts is None or (facts.kind in _WHOLE and not facts.multi) else Refusal.ANSWER
    return Refusal.ANSWER


def dies_with_connection(facts: StatementFacts) -> bool:
    """All that it may have done was on the connection, and nothing there had a part in it: SET of its variables, USE.

    Drivers begin with them, so a lost server would otherwise be seen by whoever has just connected.
    """
    return (
        facts.kind in (StatementKind.SET, StatementKind.USE)
        and facts.harmless
        and not (facts.looks_back or facts.pins or facts.multi)
    )


def verdict_on(
    facts: StatementFacts,
    server: Server | None,
    session: SessionState,
    error: BackendError | None,
    *,
    sent: bool,
    forwarded: bool,
) -> Verdict:
    """``after_loss`` of a session's connection to ``server``; no ``error``: it ended between two statements."""
    where = refusals.where_lost(server, error)
    # What a write has begun with autocommit off nobody has committed.
    implied = not (session.autocommit or facts.read or dies_with_connection(facts) or refusals.may_commit(facts))
    transaction, pinned = (session.transaction or implied) and session.opening is None, bool(session.pins)
    return after_loss(facts, where, error, sent=sent, forwarded=forwarded, transaction=transaction, pinned=pinned)


def after_loss(
    facts: StatementFacts,
    where: str,
    error: BackendError | None = None,
    *,
    sent: bool,
    forwarded: bool,
    transaction: bool,
    pinned: bool,
) -> Verdict:
    """The decision, by what is known of the statement and what was kept on the connection.

    ``sent``: the server may have seen the statement; ``forwarded``: the client has seen part of the answer;
    ``transaction``, ``pinned``: what the session had on the connection. ``where`` names the server for people.
    """
    if forwarded:
        return Verdict()
    if transaction or pinned:
        # A transaction may be repeated, unless its COMMIT was under way; other state cannot be had back.
        inside = dies_with_connection(facts) and refusals.stays_inside(facts)
        committing = sent and refusals.may_commit(facts) and not inside
        if not pinned and not committing:
            return Verdict(error=refusals.rolled_back(where), replay=True)
        consequence = refusals.OUTCOME_UNKNOWN if committing else refusals.STATE_GONE
        return Verdict(error=refusals.lost(where, consequence), close=True)
    if not sent:
        return Verdict(retry=True, error=refusals.not_sent(error) if error is not None else refusals.lost(where))
    if facts.read or dies_with_connection(facts):
        return Verdict(retry=True, error=refusals.lost(where))
    return Verdict(error=refusals.lost(where, refusals.OUTCOME_UNKNOWN), close=True)
