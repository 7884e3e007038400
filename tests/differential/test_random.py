"""Random SELECTs are answered over shards as by one database, or refused; never wrong.

A few hundred are tried in every test run, always the same. Others, for ten minutes or so, the counts at the end:

    DIFFERENTIAL_SECONDS=600 pytest tests/differential/test_random.py -s --timeout 2000
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.differential.compare import Answer, Outcome, Tally, ask, difference
from tests.differential.queries import Query, queries
from tests.differential.stage import Session, Stage

EXAMPLES = 200
SECONDS = float(os.environ.get("DIFFERENTIAL_SECONDS", "0"))
# How many of the EXAMPLES are answered: it must not get better by refusing.
FLOOR = 55
# The server's own limit on the time of a statement: too many rows to compare.
_TOO_SLOW = (3024, 1969)
_NOT_IN_GROUP_BY = 1055
_LIMIT = {"mysql": "SET SESSION max_execution_time = 2000", "mariadb": "SET SESSION max_statement_time = 2"}


def _too_slow(answer: Answer) -> bool:
    return answer.error in _TOO_SLOW


@pytest.mark.slow
def test_random_queries(stage: Stage) -> None:
    tallies = {count: Tally() for count in (2, 4)}
    with stage.session(2) as two, stage.session(4) as four:
        ask(two.truth, _LIMIT[stage.flavor])
        try:
            if not SECONDS:
                _try((two, four), tallies, None)
            end = monotonic() + SECONDS
            while monotonic() < end:
                _try((two, four), tallies, random.getrandbits(64))
        finally:
            for count, tally in tallies.items():
                print(f"\n{stage.flavor}, {count} shards, random: {tally}")
    if not SECONDS:
        assert min(tally.outcomes[Outcome.SAME] for tally in tallies.values()) >= FLOOR


def _try(sessions: tuple[Session, Session], tallies: dict[int, Tally], start: int | None) -> None:
    """Try some queries: always the same ones, or those that a seed begins."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=start is None,
        suppress_health_check=list(HealthCheck),
    )
    @given(queries())
    def check(query: Query) -> None:
        expected: Answer | None = None
        for session in sessions:
            expected = _check(session, query, sessions[0], expected, tallies[session.count])

    if start is not None:
        check = seed(start)(check)
    check()


def _other_opinions(truth: Session, query: Query) -> Iterator[Answer]:
    """What the server itself answers when it runs the statement in another way.

    Servers have faults of their own, which their optimizers hide or show. MySQL 9.7 loses rows of SELECT DISTINCT …
    WHERE x NOT IN (SELECT …) under a skip scan; to MariaDB 10.11 an integer key may be equal to 7.5, unless there is an
    ORDER BY, and -total of a DECIMAL(10,2) is 12 or 13 wide, as groups are made in a temporary table or by sorting.
    """
    for way in ("SQL_SMALL_RESULT", "SQL_BIG_RESULT", "SQL_BUFFER_RESULT"):
        yield ask(truth.truth, query.sql.replace("SELECT", f"SELECT {way}", 1))
    ask(truth.truth, "SET SESSION optimizer_switch = 'semijoin=off,materialization=off'")
    yield ask(truth.truth, query.sql)
    ask(truth.truth, "SET SESSION optimizer_switch = DEFAULT")
    if not query.order.total:
        yield ask(truth.truth, f"{query.sql} ORDER BY 1")


def _check(session: Session, query: Query, truth: Session, expected: Answer | None, tally: Tally) -> Answer | None:
    """Compare one answer; the expected one is asked for once, when it is needed."""
    actual = ask(session.ours, query.sql)
    if actual.refused:
        tally.add(query.sql, actual, None)
        return expected
    expected = expected or ask(truth.truth, query.sql)
    if _too_slow(expected):
        return expected
    if expected.error == _NOT_IN_GROUP_BY and not actual.error:
        return expected  # what DISTINCT aggregates are grouped by on the shards makes more of it determined
    # A LIMIT ends at other rows on shards: perhaps before those with warnings.
    found = difference(expected, actual, query.order, warnings=False)
    if found is not None and any(
        difference(each, actual, query.order, warnings=False) is None for each in _other_opinions(truth, query)
    ):
        tally.at_odds.append(query.sql)
        return expected
    outcome = tally.add(query.sql, actual, found)
    assert outcome is not Outcome.WRONG, f"{session.count} shards: {query.sql}\n    {found}"
    return expected
