"""What becomes of a statement, and of its session, when the server connection under it breaks (failure contract)."""

from __future__ import annotations

from dataclasses import dataclass

from router.cluster.topology import Server
from router.engine import refusals
from router.errors import BackendError, MySQLError
from router.session.state import SessionState
from router.sql.facts import StatementFacts


@dataclass(frozen=True, slots=True)
class Verdict:
    """``retry`` on another connection if there is one; otherwise the client hears ``error``, and ``close`` ends it.

    Without an error its connection is cut: part of an answer has gone out, and nothing may follow that.
    """

    retry: bool = False
    error: MySQLError | None = None
    close: bool = False


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
    transaction, pinned = session.transaction and session.opening is None, bool(session.pins)
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
        committing = sent and refusals.may_commit(facts)
        if not pinned and not committing:
            return Verdict(error=refusals.rolled_back(where))
        consequence = refusals.OUTCOME_UNKNOWN if committing else refusals.STATE_GONE
        return Verdict(error=refusals.lost(where, consequence), close=True)
    if not sent:
        return Verdict(retry=True, error=refusals.not_sent(error) if error is not None else refusals.lost(where))
    if facts.read:
        return Verdict(retry=True, error=refusals.lost(where))
    return Verdict(error=refusals.lost(where, refusals.OUTCOME_UNKNOWN), close=True)
