"""One shard's part of a write: what the rest of it does not see is in ``test_writing`` and ``test_loading``."""

from __future__ import annotations

from router.backend.connection import BackendConnection
from router.engine.share import Share
from router.planner.plan import Part, Relay, Role
from router.sql.facts import Reason, StatementFacts, StatementKind
from tests.engine.bench import Bench
from tests.engine.test_writing import Desk
from tests.fakes import virtually

FACTS = StatementFacts(StatementKind.DELETE, read=False, reason=Reason.WRITE)


@virtually
async def test_a_share_that_is_cancelled_has_no_connection() -> None:
    desk = Desk()
    bench: Bench = desk.bench
    share = Share(desk.writing, Part(Relay("main", Role.PRIMARY, Reason.WRITE, FACTS), b"DELETE"), bench.services)
    assert share.connection is None
    share.cancel()
    assert (share.answer, share.error, share.was_in) == (None, None, False)
    assert BackendConnection is not None
