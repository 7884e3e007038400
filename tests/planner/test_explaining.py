"""EXPLAIN ROUTE without a session."""

from __future__ import annotations

import json
from typing import Any

from router.config.models import RouterConfig
from router.planner.catalog import Catalog
from router.planner.explain import COLUMNS
from router.planner.explaining import Explained, explained

SETTINGS: dict[str, Any] = {
    "groups": {name: {"servers": [{"name": f"{name}-a", "address": f"{name}:3306"}]} for name in ("main", "g0", "g1")},
    "users": {"app": {"password": "x", "default_schema": "shop"}},
    "schemas": {
        "shop": {
            "group": "main",
            "shards": {"s0": {"group": "g0"}, "s1": {"group": "g1"}},
            "tables": {"orders": {"shard_by": "id", "function": "mod"}},
        }
    },
    "rules": [{"name": "from-afar", "when": {"client": "10.0.0.0/8"}, "reject": "not from there"}],
}
CATALOG = Catalog.build(RouterConfig.model_validate(SETTINGS), generation=0)


def ask(sql: str, client: str | None = None) -> Explained:
    return explained(CATALOG, sql, "app", "shop", client)


def test_a_statement_of_one_group() -> None:
    found = ask("SELECT 1")
    assert found.columns == COLUMNS
    assert [row[1:3] for row in found.rows] == [("group main", "replica")]
    assert json.loads(found.document)


def test_a_pasted_explain_route_is_the_statement_behind_it() -> None:
    assert ask("EXPLAIN ROUTE SELECT 1") == ask("SELECT 1")


def test_rules_go_by_the_client() -> None:
    (row,) = ask("SELECT 1", "10.1.2.3").rows
    assert "not from there" in row[-1]


def test_values_decide_among_shards() -> None:
    """Without the tables' definitions nothing but the placement is known."""
    (row,) = ask("SELECT * FROM orders WHERE id = 3").rows
    assert row[0] == 1
    assert json.loads(ask("SELECT * FROM orders WHERE id = 3").document)
