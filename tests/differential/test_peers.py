"""What other sharding proxies answered wrongly, issue by issue (``peers.yaml``): exact here, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.differential import corpus
from tests.differential.compare import Order, Outcome, Tally
from tests.differential.prepared import ask_prepared
from tests.differential.stage import SHARD_COUNTS, Session, Stage
from tests.test_peers import names

Row = dict[str, Any]
ROWS: list[Row] = list(YAML(typ="safe").load(Path(__file__).with_name("peers.yaml").read_text(encoding="utf-8")))
_STATED = [row for row in ROWS if "same" in row or "either" in row]


def _title(row: Row) -> str:
    return f"{row['peer']}-{row['number']}"


@pytest.mark.parametrize("row", _STATED, ids=_title)
def test_issues(stage: Stage, row: Row) -> None:
    wrong: list[str] = []
    for count in row.get("shards", SHARD_COUNTS):
        with stage.session(count) as session:
            for sql in row.get("same", ()):
                if (outcome := _outcome(session, sql, wrong)) is not Outcome.SAME:
                    wrong.append(f"{count} shards: {sql} is {outcome.value}")
            for sql in row.get("either", ()):
                _outcome(session, sql, wrong)
    assert not wrong, f"{row['what']}:\n" + "\n".join(wrong)


def _outcome(session: Session, sql: str, wrong: list[str]) -> Outcome:
    """What became of a statement as text; a SELECT is asked as a prepared one, too."""
    order = Order(total=corpus.ordered(sql))
    tally = Tally()
    outcome = session.check(sql, order, tally)
    if sql.startswith("SELECT"):
        session.check(sql, order, tally, way=ask_prepared)
    wrong.extend(tally.wrong)
    return outcome


def test_every_issue_has_one_row() -> None:
    titles = [_title(row) for row in ROWS]
    assert len(titles) == len(set(titles))
    assert all(row["what"] and any(row.get(kind) for kind in ("same", "either", "tests")) for row in ROWS)


def test_every_test_they_name_is_there() -> None:
    known = names()
    missing = [f"{_title(row)}: {name}" for row in ROWS for name in row.get("tests", ()) if name not in known]
    assert not missing, "\n".join(missing)
