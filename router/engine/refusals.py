"""The errors a session gets from the router itself while a plan runs, worded in one place.

Each says what happened, what it means for the statement, and what to do. Numbers are MySQL's own where drivers act on
them: 2013 makes them reconnect, 1213 makes them repeat the transaction (failure contract, architecture §5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.cluster.topology import Server
from router.errors import BackendError, MySQLError, PoolTimeout, Unsupported
from router.sql.facts import StatementFacts, StatementKind
from router.wire.packets import decode_err

OUTCOME_UNKNOWN = "the outcome of this statement is unknown"
STATE_GONE = "the session's state is gone"

# Inside a transaction these neither end it nor begin another; anything else may commit, by itself or implicitly.
_INSIDE = frozenset(
    {
        StatementKind.SELECT,
        StatementKind.INSERT,
        StatementKind.REPLACE,
        StatementKind.UPDATE,
        StatementKind.DELETE,
        StatementKind.DO,
        StatementKind.SHOW,
        StatementKind.EXPLAIN,
        StatementKind.SAVEPOINT,
        StatementKind.ROLLBACK,
    }
)
# SET of these may end the transaction; SET STATEMENT runs another statement.
_ENDING = frozenset({"autocommit", "completion_type", "password", "default role"})
_ROWS = frozenset({StatementKind.INSERT, StatementKind.REPLACE, StatementKind.UPDATE, StatementKind.DELETE})


def stays_inside(facts: StatementFacts) -> bool:
    """Whether the statement certainly leaves the transaction open that it is sent in."""
    if facts.kind in (StatementKind.SET, StatementKind.USE):
        return not any(each.name in _ENDING or each.scope == "statement" for each in facts.assignments)
    return facts.read or not may_commit(facts)


def may_commit(facts: StatementFacts) -> bool:
    """Whether the statement may have committed the transaction it was sent in."""
    return facts.multi or facts.kind not in _INSIDE


def other_group(wanted: str, held: str, pins: Iterable[str]) -> MySQLError:
    """The session's connection is kept in another group than the statement needs."""
    why = ", ".join(sorted(pins)) or "an open transaction"
    return Unsupported(
        1235,
        "42000",
        f"router: this statement belongs to group {wanted!r}, but the session is kept on group {held!r} by {why}. "
        "End the transaction, or use another connection",
    )


def past_forgotten() -> MySQLError:
    """The connection that knew what the last statement did has gone to another session."""
    return Unsupported(
        1235,
        "42000",
        "router: what the previous statement did is not known any more: its connection went to another session. "
        "Ask inside a transaction, or raise pool.max_connections",
    )


def killed() -> MySQLError:
    """KILL QUERY for a statement that still waited for a connection."""
    return MySQLError(1317, "70100", "Query execution was interrupted")


def not_sent(error: BackendError) -> MySQLError:
    """No server took the statement; nothing happened."""
    if isinstance(error, PoolTimeout):
        return MySQLError(1040, "08004", f"router: too many connections: {error}")
    return MySQLError(2003, "08S01", f"router: {error}")


def where_lost(server: Server | None, error: BackendError | None = None) -> str:
    """Whose connection broke, and how, for people."""
    return f"the connection to server {server.name if server else '?'} was lost{f' ({error})' if error else ''}"


def lost(where: str, consequence: str = "") -> MySQLError:
    """A server connection broke under a statement."""
    return MySQLError(2013, "08S01", f"router: {where}; {consequence}" if consequence else f"router: {where}")


def rolled_back(where: str) -> MySQLError:
    """A server connection broke inside a transaction, which ended with it: it may be repeated."""
    return MySQLError(1213, "40001", f"router: {where}; the transaction was rolled back")


def from_server(payload: bytes) -> MySQLError:
    """An ERR packet that answered one of our own commands, passed on to the client."""
    packet = decode_err(payload)
    return MySQLError(packet.code, packet.sqlstate, packet.message.decode("utf-8", "replace"))


def half_committed(committed: list[str], failed: str, others: list[str], error: MySQLError) -> MySQLError:
    """COMMIT was done by some of the groups that took part in a transaction, and not by all."""
    rest = f" and was rolled back on {', '.join(others)}" if others else ""
    where = f"committed on {', '.join(committed)}, but failed on {failed}{rest}"
    return MySQLError(1180, "HY000", f"router: the transaction is {where}: {error.message}")


def not_spanning(what: str) -> MySQLError:
    """What cannot be done while a transaction is on several groups."""
    return Unsupported(1235, "42000", f"router: not supported in a transaction on several shards: {what}")


def may_end_spanning() -> MySQLError:
    """A statement that would end the transaction on one of several groups."""
    return not_spanning("a statement that may end it; COMMIT or ROLLBACK first")


def on_replica(facts: StatementFacts) -> MySQLError | None:
    """Why a statement cannot be run in a transaction that only reads, and is on a replica; None if it can."""
    if facts.harmless:
        return None
    if facts.kind in _ROWS:
        return MySQLError(1792, "25006", "Cannot execute statement in a READ ONLY transaction.")
    return Unsupported(
        1235,
        "42000",
        f"router: this READ ONLY transaction is on a replica, where {facts.detail or facts.kind.value} would not mean "
        "what it does on the primary; begin it without READ ONLY, or set reads.read_only_transactions: primary",
    )


def copies_differ(counts: list[int]) -> MySQLError:
    """The shards' copies of a broadcast table are not the same: what was asked would make it worse."""
    shown = ", ".join(map(str, counts))
    return MySQLError(
        1105, "HY000", f"router: the copies of a broadcast table differ: rows affected on its shards: {shown}"
    )


def types_derived() -> MySQLError:
    """MySQL would read this execution's values by the types of earlier ones; statements on several shards cannot."""
    return Unsupported(
        1235,
        "42000",
        "router: not supported on several shards: a prepared statement whose parameters had other types before; "
        "prepare it anew",
    )


def prepare_anew() -> MySQLError:
    """The configuration, or a table, has changed under a prepared statement, and its text would have to be another."""
    return Unsupported(1235, "42000", "router: this statement is planned otherwise now; prepare it anew")


def partly_done(outcomes: Mapping[str, MySQLError | None], first: MySQLError) -> MySQLError:
    """DDL that not every shard has done. ``outcomes``: shard → its error; ``first`` is one of them."""
    failed = {shard: error for shard, error in outcomes.items() if error is not None}
    done = [shard for shard in outcomes if shard not in failed]
    if not done and len({error.message for error in failed.values()}) == 1:
        return first  # as one server would
    what = "; ".join(f"{shard}: {error.code} {error.message}" for shard, error in failed.items())
    where = f"done on {', '.join(done)}, " if done else ""
    retry = ", ".join(f"/*+ router(shard={shard}) */" for shard in failed)
    message = f"router: {where}failed on {what}. Repeat it there with the hint {retry}"
    return MySQLError(first.code, first.sqlstate, message)
