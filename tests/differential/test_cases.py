"""Every statement of ``cases/*.sql`` is answered as by one database, or refused; never wrong.

``pytest tests/differential/test_cases.py -s`` prints the counts and what was refused, of each file and of all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import corpus
from tests.differential.compare import Outcome, Tally
from tests.differential.corpus import Case
from tests.differential.prepared import ask_prepared
from tests.differential.stage import SHARD_COUNTS, Session, Stage

# How many statements of each file are answered, at least, over several shards: it must not get better by refusing.
FLOORS = {
    "01_point": 118,
    "02_order": 121,
    "03_group": 159,
    "04_join": 81,
    "05_subquery": 124,
    "06_misc": 89,
    "07_writes": 122,
    "08_transactions": 71,
    "09_found": 40,
    "10_more": 70,
    "11_session": 12,
    "12_merging": 180,
    "13_union": 41,
    "14_concat": 26,
    "15_functions": 40,
    "17_steps": 158,
    "18_spread": 22,
    "19_distinct": 29,
}


@pytest.mark.parametrize("path", corpus.files(), ids=lambda path: path.stem)
@pytest.mark.parametrize("count", SHARD_COUNTS)
def test_statements(stage: Stage, count: int, path: Path) -> None:
    cases = [case for case in corpus.read(path) if case.only in (None, stage.flavor)]
    tally = Tally()
    with stage.session(count) as session:
        for case in cases:
            _check(case, session, stage, tally)
    if any(case.writes for case in cases):
        stage.refill(count)
    print(f"\n{stage.flavor}, {count} shards, {path.stem}: {tally}")
    stage.tallies[count].merge(tally)
    if tally.wrong:
        pytest.fail("\n".join(["not the same:", *tally.wrong]), pytrace=False)
    assert tally.outcomes[Outcome.SAME] >= FLOORS.get(path.stem, 1), "more is refused than before"


@pytest.mark.parametrize("path", corpus.files(), ids=lambda path: path.stem)
def test_prepared(stage: Stage, path: Path) -> None:
    """Reads as prepared statements: their rows are the same, to the last byte of a number."""
    cases = [case for case in corpus.read(path) if case.only in (None, stage.flavor)]
    tally = Tally()
    with stage.session(SHARD_COUNTS[-1]) as session:
        for case in cases:
            if case.sql.lstrip()[:6].upper() == "SELECT":
                session.check(case.sql, case.order, tally, count_only=case.count_only, way=ask_prepared)
            elif case.writes:
                session.check(case.sql, case.order, Tally())
    if any(case.writes for case in cases):
        stage.refill(session.count)
    print(f"\n{stage.flavor}, prepared, {path.stem}: {tally}")
    if tally.wrong:
        pytest.fail("\n".join(["not the same:", *tally.wrong]), pytrace=False)


def _check(case: Case, session: Session, stage: Stage, tally: Tally) -> None:
    before = len(tally.wrong)
    if session.check(case.sql, case.order, tally, count_only=case.count_only) is Outcome.WRONG:
        tally.wrong[before] = f"{case.place}: {tally.wrong[before]}"
        if case.writes:
            # The two sides differ now; what follows would only say so again.
            session.ours.rollback()
            session.truth.rollback()
            stage.refill(session.count)


def test_the_corpus_is_large() -> None:
    cases = [case for path in corpus.files() for case in corpus.read(path)]
    assert len(cases) >= 400
    assert len({case.sql for case in cases if not case.writes}) >= 300
