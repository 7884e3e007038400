"""Random SELECTs are answered over shards as by one database, or refused; never wrong.

A few hundred are tried in every test run, always the same. Ten minutes of others, with a seed of your choice:

    DIFFERENTIAL_EXAMPLES=20000 pytest tests/differential/test_random.py -s --timeout 900 --hypothesis-seed 1
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential.compare import Answer, Outcome, Tally, ask, difference
from tests.differential.queries import Query, queries
from tests.differential.stage import Session, Stage

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "200"))
# The server's own limit on the time of a statement: too many rows to compare.
_TOO_SLOW = (3024, 1969)
_LIMIT = {"mysql": "SET SESSION max_execution_time = 2000", "mariadb": "SET SESSION max_statement_time = 2"}


def _too_slow(answer: Answer) -> bool:
    return answer.error in _TOO_SLOW


@pytest.mark.slow
def test_random_queries(stage: Stage) -> None:
    tallies = {count: Tally() for count in (2, 4)}
    with stage.session(2) as two, stage.session(4) as four:
        ask(two.truth, _LIMIT[stage.flavor])

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize="DIFFERENTIAL_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        )
        @given(queries())
        def check(query: Query) -> None:
            expected: Answer | None = None
            for session in (two, four):
                expected = _check(session, query, two, expected, tallies[session.count])

        try:
            check()
        finally:
            for count, tally in tallies.items():
                print(f"\n{stage.flavor}, {count} shards, random: {tally}")


def _check(session: Session, query: Query, truth: Session, expected: Answer | None, tally: Tally) -> Answer | None:
    """Compare one answer; the expected one is asked for once, when it is needed."""
    actual = ask(session.ours, query.sql)
    if actual.refused:
        tally.add(query.sql, actual, None)
        return expected
    expected = expected or ask(truth.truth, query.sql)
    if _too_slow(expected):
        return expected
    found = difference(expected, actual, query.order)
    outcome = tally.add(query.sql, actual, found)
    assert outcome is not Outcome.WRONG, f"{session.count} shards: {query.sql}\n    {found}"
    return expected
