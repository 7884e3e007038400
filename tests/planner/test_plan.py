"""Plans as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

from router.errors import Unsupported
from router.planner.plan import Local, Refused, Relay, Role, plan_json
from router.sql.facts import Assignment, PinReason, Reason, StatementFacts, StatementKind, TableRef
from router.sql.hints import Hints

READ = StatementFacts(
    StatementKind.SELECT, read=True, reason=Reason.READ, tables=(TableRef("db", "t"), TableRef(None, "u"))
)


def test_a_relay() -> None:
    assert plan_json(Relay("main", Role.REPLICA, Reason.READ, READ)) == {
        "plan": "relay",
        "group": "main",
        "role": "replica",
        "reason": "read",
        "facts": {"kind": "select", "read": True, "reason": "read", "tables": ["db.t", "u"]},
    }


def test_facts_that_are_not_the_default_are_shown() -> None:
    facts = StatementFacts(
        StatementKind.SET,
        read=False,
        reason=Reason.SET,
        pins=frozenset({PinReason.ROLE, PinReason.NAMED_LOCK}),
        assignments=(Assignment("session", "a"),),
        hints=Hints(max_lag=0.0),
        kill=("query", 5),
        detail="x",
    )
    assert plan_json(Relay("main", Role.PRIMARY, Reason.RULE, facts, "r"))["facts"] == {
        "kind": "set",
        "read": False,
        "reason": "set",
        "detail": "x",
        "pins": ["named_lock", "role"],
        "assignments": ["session a"],
        "kill": ["query", 5],
        "hints": {"max_lag": 0.0},
    }


def test_the_others_are_json_too() -> None:
    refused = Refused(Unsupported(1235, "42000", "router: no"), Reason.CROSS_GROUP, READ)
    assert plan_json(refused)["message"] == "router: no"
    local = Local(b"SELECT '\xff'", READ)
    assert plan_json(local)["statement"] == r"SELECT '\xff'"
    json.dumps([plan_json(refused), plan_json(local)])


def test_roles_are_text() -> None:
    assert Role("primary") is Role.PRIMARY
    assert f"{Role.REPLICA}" == "replica"


def test_importing_plans_does_not_import_the_parser() -> None:
    code = "import sys, router.planner.plan; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
