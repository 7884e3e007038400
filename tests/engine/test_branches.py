"""The connections of a transaction on several groups: parked, told together, ended together."""

from __future__ import annotations

from router.backend.connection import BackendConnection
from router.cluster.topology import Server
from router.config.models import Server as ServerConfig
from router.engine.branches import Branches
from router.errors import MySQLError
from router.planner.plan import Relay, Role
from router.session.state import SessionState
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.wire.constants import ServerStatus
from tests.engine.bench import Bench
from tests.fakes import AUTOCOMMIT, PROFILE, accounts, err, leased, make_pool, ok, virtually, wire

IN_TRANSACTION = AUTOCOMMIT | int(ServerStatus.IN_TRANS)
COMMIT = StatementFacts(StatementKind.COMMIT, read=False, reason=Reason.TRANSACTION)
UPDATE = StatementFacts(StatementKind.UPDATE, read=False, reason=Reason.WRITE)


class Desk:
    """A session whose transaction is on groups ``a``, ``b`` and ``c``."""

    def __init__(self) -> None:
        self.session = SessionState(PROFILE, 45, None)
        self.session.open_later(b"BEGIN")
        self.session.opening = None
        self.services = Bench().services
        self.branches = Branches(self.session, self.services)
        self.at: dict[str, BackendConnection] = {}
        self.servers: dict[str, Server] = {}
        self.ended: list[tuple[MySQLError | None, bool]] = []

    async def open(self) -> Desk:
        for group in ("a", "b", "c"):
            pool, _ = make_pool(most=1)
            self.at[group] = await leased(pool)
            self.servers[group] = Server(ServerConfig.model_validate(f"{group}.example:3306"), pool, group)
            self.branches.park(self.at[group], self.servers[group])
        return self

    def end(self, error: MySQLError | None, close: bool) -> None:
        self.ended.append((error, close))

    def asked(self, group: str) -> bytes:
        """The last command on a connection."""
        return wire(self.at[group]).written.rpartition(b"\x03")[2]

    @property
    def error(self) -> MySQLError:
        [(error, _)] = self.ended
        assert error is not None
        return error

    @property
    def idle(self) -> dict[str, int]:
        return {group: accounts(server.pool)[2] for group, server in self.servers.items()}


@virtually
async def test_a_branch_is_taken_and_parked_again() -> None:
    desk = await Desk().open()
    assert len(desk.branches) == 3
    assert desk.branches.take("b") == (desk.at["b"], desk.servers["b"])
    assert desk.branches.take("b") is None
    assert desk.branches.take() == (desk.at["a"], desk.servers["a"])
    desk.branches.park(desk.at["b"], desk.servers["b"])
    desk.branches.park(desk.at["a"], desk.servers["a"])
    assert [server.group for _, server in desk.branches.in_order()] == ["a", "b", "c"], "as they joined"


@virtually
async def test_commit_goes_from_one_to_the_next() -> None:
    desk = await Desk().open()
    desk.branches.commit(COMMIT, desk.end)
    for group, following in (("a", "b"), ("b", "c"), ("c", None)):
        assert desk.asked(group) == b"COMMIT"
        assert following is None or wire(desk.at[following]).written == b""
        desk.at[group].data_received(ok())
    assert desk.ended == [(None, False)]
    assert not desk.session.transaction
    assert desk.idle == {"a": 1, "b": 1, "c": 1}
    assert len(desk.branches) == 0


@virtually
async def test_when_the_first_refuses_nothing_is_committed() -> None:
    desk = await Desk().open()
    desk.branches.commit(COMMIT, desk.end)
    desk.at["a"].data_received(err(1213, "Deadlock found", "40001"))
    assert desk.error.code == 1213, "the server's own words: the transaction may be repeated"
    assert all(b"COMMIT" not in wire(desk.at[group]).written for group in "bc")
    assert all(wire(desk.at[group]).written[4:5] == b"\x1f" for group in "bc"), "reset"
    assert not desk.session.transaction


@virtually
async def test_when_a_later_one_refuses_the_client_hears_what_is_where() -> None:
    desk = await Desk().open()
    desk.branches.commit(COMMIT, desk.end)
    desk.at["a"].data_received(ok())
    desk.at["b"].data_received(err(1180, "disk full"))
    assert desk.error.code == 1180
    assert "committed on a, but failed on b and was rolled back on c: disk full" in desk.error.message
    assert not desk.ended[0][1]


@virtually
async def test_a_connection_lost_under_its_commit_leaves_the_outcome_open() -> None:
    desk = await Desk().open()
    desk.branches.commit(COMMIT, desk.end)
    desk.at["a"].data_received(ok())
    desk.at["b"].connection_lost(None)
    assert "the outcome of this statement is unknown" in desk.error.message
    assert "committed on a" in desk.error.message
    assert desk.ended[0][1], "the session ends"


@virtually
async def test_nothing_is_committed_when_one_is_gone_already() -> None:
    desk = await Desk().open()
    desk.at["c"].connection_lost(None)
    desk.branches.commit(COMMIT, desk.end)
    assert desk.error.code == 1213
    assert b"COMMIT" not in wire(desk.at["a"]).written


@virtually
async def test_rollback_is_said_to_all_at_once() -> None:
    desk = await Desk().open()
    desk.at["b"].connection_lost(None)
    desk.branches.roll_back(COMMIT, desk.end)
    assert desk.asked("a") == desk.asked("c") == b"ROLLBACK"
    desk.at["a"].data_received(ok())
    assert desk.ended == []
    desk.at["c"].data_received(err(1317, "no"))
    assert desk.ended == [(None, False)], "a connection that is closed is rolled back too"
    assert desk.idle == {"a": 1, "b": 0, "c": 0}


@virtually
async def test_all_are_told_of_a_savepoint() -> None:
    desk = await Desk().open()
    desk.branches.tell(b"SAVEPOINT x", COMMIT, desk.end)
    for group in "abc":
        assert desk.ended == []
        assert desk.asked(group) == b"SAVEPOINT x"
        desk.at[group].data_received(ok(status=IN_TRANSACTION))
    assert desk.ended == [(None, False)]
    assert len(desk.branches) == 3


@virtually
async def test_one_that_does_not_know_a_savepoint_says_so() -> None:
    desk = await Desk().open()
    desk.branches.tell(b"ROLLBACK TO x", COMMIT, desk.end)
    desk.at["a"].data_received(ok(status=IN_TRANSACTION))
    desk.at["b"].data_received(err(1305, "SAVEPOINT x does not exist", "42000"))
    desk.at["c"].data_received(ok(status=IN_TRANSACTION))
    assert desk.error.code == 1305
    assert desk.session.transaction


@virtually
async def test_one_that_is_lost_ends_the_transaction() -> None:
    desk = await Desk().open()
    desk.branches.tell(b"SAVEPOINT x", COMMIT, desk.end)
    desk.at["a"].data_received(ok(status=IN_TRANSACTION))
    desk.at["b"].connection_lost(None)
    desk.at["c"].data_received(ok(status=IN_TRANSACTION))
    assert desk.error.code == 1213
    assert not desk.session.transaction
    assert len(desk.branches) == 0


@virtually
async def test_a_client_that_leaves_does_not_stop_a_commit() -> None:
    desk = await Desk().open()
    desk.branches.commit(COMMIT, desk.end)
    desk.at["a"].data_received(ok())
    desk.branches.client_lost()
    desk.at["b"].data_received(ok())
    desk.at["c"].data_received(ok())
    assert desk.idle == {"a": 1, "b": 1, "c": 1}
    another = await Desk().open()
    another.branches.client_lost()
    assert all(wire(connection).written[4:5] == b"\x1f" for connection in another.at.values()), "reset"


@virtually
async def test_whether_a_server_has_rolled_back() -> None:
    desk = await Desk().open()
    still: list[bool] = []
    for status in (IN_TRANSACTION, AUTOCOMMIT):
        desk.branches.check(desk.at["a"], still.append)
        desk.at["a"].data_received(ok(status=status))
    desk.branches.check(desk.at["b"], still.append)
    desk.at["b"].connection_lost(None)
    assert still == [True, False, False]


@virtually
async def test_who_may_take_part() -> None:
    desk = await Desk().open()
    held = desk.servers["a"]
    plan = Relay("d", Role.PRIMARY, Reason.WRITE, UPDATE, spans=True)
    assert desk.branches.refusal(plan, held) is None
    error = desk.branches.refusal(Relay("d", Role.PRIMARY, Reason.WRITE, UPDATE), held)
    assert error is not None
    assert "open transaction" in error.message
    ending = Relay("d", Role.PRIMARY, Reason.DDL, StatementFacts(StatementKind.DDL, False, Reason.DDL), spans=True)
    error = desk.branches.refusal(ending, held)
    assert error is not None
    assert "may end it" in error.message
    desk.session.begun = None
    assert desk.branches.refusal(plan, held) is not None, "nobody knows how to open it elsewhere"
