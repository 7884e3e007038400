"""Golden plans: every statement in ``cases/*.yaml`` gets exactly the plan written there.

To accept what the planner says now, after looking at the difference::

    ROUTER_ACCEPT=1 .venv/bin/pytest tests/planner/test_planner.py
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from ruamel.yaml import YAML

from router.planner.plan import Local, Refused, Relay, Spread, plan_json
from router.planner.planner import PlanContext
from router.sql.lexer import LexMode
from tests.planner.fix_catalog import planner_of
from tests.planner.fix_shards import shop_context, shop_planner, written
from tests.sql.test_lexer import modes, texts

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
ACCEPT = os.environ.get("ROUTER_ACCEPT") == "1"


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 118
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _planned(document: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    if "shop" in document:
        return _in_the_shop(case["sql"], document["shop"]["transactions"])
    context = PlanContext(
        user=case.get("user", "app"),
        schema=case.get("schema"),
        mode=LexMode(**case.get("mode", {})),
        client=case.get("client"),
    )
    return plan_json(planner_of(document["config"]).plan(case["sql"].encode(), context))


def _in_the_shop(sql: str, transactions: str) -> dict[str, Any]:
    """The plan over the shards of the shop, without the facts, and what each is asked in this execution."""
    plan = plan_json(shop_planner(transactions).plan(sql.encode(), shop_context()))
    del plan["facts"]
    execution = written(sql, transactions)
    if isinstance(execution, Spread):
        plan["parts"] = [f"{part.relay.shard}: {part.sql.decode()}" for part in execution.parts]
    elif isinstance(execution, Relay):
        plan["parts"] = [f"{execution.shard}: {sql}"]
    return plan


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_golden_plans(path: Path) -> None:
    document = _yaml().load(path)
    wrong = []
    for case in document["cases"]:
        planned = _planned(document, case)
        if planned != case.get("plan"):
            wrong.append(f"{case['sql']}\n   is {planned}\n  not {case.get('plan')}")
            case["plan"] = planned
    if ACCEPT and wrong:
        text = io.StringIO()
        _yaml().dump(document, text)
        path.write_text(text.getvalue())
    elif wrong:
        pytest.fail(f"{path.name}: {len(wrong)} plans changed (ROUTER_ACCEPT=1 accepts)\n" + "\n".join(wrong))


def test_there_are_golden_plans() -> None:
    assert len(CASES) >= 4


@given(sql=texts, mode=modes)
@settings(max_examples=200)
def test_any_bytes_have_a_plan(sql: bytes, mode: LexMode) -> None:
    plan = _PLANNER.plan(sql, PlanContext("app", "shop", mode))
    assert isinstance(plan, Relay | Local | Refused)


_PLANNER = planner_of()
