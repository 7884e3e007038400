"""Vitess's own comparison tests (github.com/vitessio/vt, ``t/``): the same statements against one server.

They are data that does not belong to this project: without ``../shared/data/vt`` beside the checkout this is skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import ReplicaSet
from tests.differential.compare import Order, Outcome, Tally, ask
from tests.differential.stage import Session
from tests.fix_router import RunningRouter, direct, settings_for

VT = Path(__file__).parents[3] / "shared" / "data" / "vt"
COUNT = 4
_CREATE = re.compile(r"\s*create\s+table\s+(?:if\s+not\s+exists\s+)?`?(\w+)`?\s*\(\s*`?(\w+)`?", re.IGNORECASE)
_KEY = re.compile(r"primary\s+key\s*\(\s*`?(\w+)`?", re.IGNORECASE)

FILES = [
    "basic",
    "basic_select",
    "create_table",
    "demo",
    "demo_reference",
    "subqueries",
    "tpcc",
    "tpch",
    "tpch_failing_queries",
]


def statements(path: Path) -> list[str]:
    """The statements of a file. What is for vitess alone, or for its tester, is left out."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(?s)--vitess_only begin.*?--vitess_only end", "", text)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", "--"))]
    return [each.strip() for each in re.split(r";\s*(?:\n|$)", "\n".join(lines)) if each.strip()]


def keys(path: Path, sqls: list[str]) -> dict[str, str]:
    """The sharding key of each table: the first column of its vindex, or else of its primary key."""
    vschema = path.with_name(f"{path.stem.removesuffix('_failing_queries')}_vschema.json")
    known: dict[str, Any] = {}
    if vschema.is_file():
        for keyspace in json.loads(vschema.read_text())["keyspaces"].values():
            known |= keyspace.get("tables", {})
    found = {}
    for sql in sqls:
        if (match := _CREATE.match(sql)) is not None:
            vindexes = known.get(match[1], {}).get("column_vindexes")
            primary = _KEY.search(sql)
            first = vindexes[0] if vindexes else {}
            named = first.get("column") or first.get("columns", [None])[0]
            found[match[1]] = named or (primary[1] if primary else match[2])
    return found


def placed(found: dict[str, str]) -> dict[str, dict[str, str]]:
    """The tables of a configuration: all of them together by the values of their keys, where those are numbers."""
    tables = {}
    leader = None
    for name, key in found.items():
        tables[name] = {"shard_by": key, "function": "hash"} if leader is None else {"shard_by": key, "with": leader}
        leader = leader or name
    return tables


@pytest.fixture
def vt(
    request: pytest.FixtureRequest,
    server_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> Iterator[tuple[Session, list[str]]]:
    """A session over four empty shards and its twin on one empty database, and the statements of a file."""
    path = VT / f"{request.param}.test"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    sqls = statements(path)
    primary = server_set.primary
    databases = ["vt", "vt_one", *(f"vt_{number}" for number in range(COUNT))]
    for database in databases:
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "vt": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": f"vt_{number}"} for number in range(COUNT)},
            "transactions": "best_effort",
            "tables": placed(keys(path, sqls)),
        }
    }
    options: dict[str, Any] = {"conv": {}, "autocommit": True}
    with ExitStack() as stack:
        ours = stack.enter_context(start_router(settings).connect(database="vt", **options))
        truth = stack.enter_context(direct(primary, server_set, database="vt_one", **options))
        yield Session(COUNT, ours, truth), sqls
    for database in databases:
        primary.execute(f"DROP DATABASE {database}")


@pytest.mark.parametrize("vt", FILES, indirect=True)
def test_as_one_server_answers(vt: tuple[Session, list[str]], request: pytest.FixtureRequest) -> None:
    session, sqls = vt
    tally = Tally()
    for sql in sqls:
        # Which rows come first among equals is not fixed.
        session.check(sql, Order(), tally, way=ask)
    print(f"\n{request.node.name}: {tally}")
    if tally.wrong:
        pytest.fail("\n".join(["not the same:", *tally.wrong]), pytrace=False)
    assert tally.outcomes[Outcome.SAME] > 0
