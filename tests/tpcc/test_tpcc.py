"""TPC-C over four shards for a few seconds: nothing is lost, nothing is done twice, and the books agree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random

import pytest

from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter
from tests.tpcc.consistency import CONDITIONS, books, expected, violations
from tests.tpcc.ground import SHARDS, on_each, routed
from tests.tpcc.load import MIX, work
from tests.tpcc.sessions import PreparedSession, TextSession
from tests.tpcc.tables import SCHEMA, SHARDING, Scale, create, fill

pytestmark = pytest.mark.slow
SCALE = Scale()
TERMINALS = 6
PATIENCE = 80.0
# A statement on several shards each, to see that each condition would notice.
DAMAGE = {
    "1: W_YTD = sum(D_YTD)": "UPDATE district SET d_ytd = d_ytd + 1 WHERE d_id = 1",
    "2: D_NEXT_O_ID - 1 = max(O_ID)": "UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_id = 2",
    "3: NO_O_ID has no gaps": "DELETE FROM new_order WHERE no_o_id = 17 AND no_d_id = 3",
    "4: sum(O_OL_CNT) = number of lines": "DELETE FROM order_line WHERE ol_number = 1 AND ol_d_id = 4",
    "5: orders without a carrier wait": "UPDATE orders SET o_carrier_id = 1 WHERE o_carrier_id IS NULL AND o_d_id = 5",
}


@pytest.fixture(scope="module")
def router(server: ReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRouter]:
    """A router in front of four shards with the first orders; what is done there adds to them."""
    with routed([server], tmp_path_factory.mktemp("tpcc"), SCHEMA, SHARDING) as router:
        with contextlib.closing(TextSession(router, SCHEMA)) as session:
            create(session)
            fill(session, SCALE, Random(1))
            assert books(session)["orders"] == SCALE.warehouses * SCALE.districts * SCALE.customers
        yield router


# First: in the course of the work the orders that some of the damage is about are delivered.
def test_the_conditions_notice(router: RunningRouter) -> None:
    with contextlib.closing(TextSession(router, SCHEMA)) as session:
        assert violations(session) == {}
        for name, statement in DAMAGE.items():
            assert name in CONDITIONS
            session.run("START TRANSACTION")
            session.run(statement)
            assert len(violations(session)[name]) >= SCALE.warehouses, name
            session.run("ROLLBACK")
            assert violations(session) == {}


# Of each terminal. The second driver is slow: it resets a statement before each execution.
@pytest.mark.parametrize(("kind", "transactions"), [(TextSession, 25), (PreparedSession, 12)])
def test_the_books_agree(
    server: ReplicaSet, router: RunningRouter, kind: type[TextSession | PreparedSession], transactions: int
) -> None:
    with contextlib.closing(TextSession(router, SCHEMA)) as session:
        before = books(session)
        assert violations(session) == {}
        tally = work(lambda: kind(router, SCHEMA), SCALE, TERMINALS, PATIENCE, transactions=transactions)
        after = books(session)
        assert after == expected(before, tally, after)
        assert violations(session) == {}
        assert {"new_order", "payment", "delivery"} <= set(tally.done) <= set(MIX)
        assert sum(tally.done.values()) == TERMINALS * transactions, "too slow"
        assert tally.remote_payments > 0, "none was on two shards"
        for shard, found in zip(SHARDS, on_each([server], SCHEMA, "SELECT w_id FROM {db}.warehouse"), strict=True):
            assert [w % len(SHARDS) for (w,) in found] == [shard]
        assert on_each([server], SCHEMA, "SELECT COUNT(*) FROM {db}.item") == [[(SCALE.items,)]] * len(SHARDS)
