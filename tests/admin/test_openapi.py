"""The OpenAPI document: valid, and what the server really does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from router.admin.openapi import answer_schema, document, errors_of, page
from router.admin.routes import PREFIX, ROUTES, Route
from tests.admin.test_http import House

ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}
# Of requests that are answered with 200; the rest needs nothing.
PLACES = {"name": "sessions", "group": "main", "server": "b", "id": "8"}
GIVEN = {"readSnapshot": "tables=servers,groups", "pauseGroup": "wait=0", "pauseGroups": "wait=0"}
BODIES: dict[str, Any] = {
    "query": {"sql": "SELECT 1, NULL, 'x', 0.5"},
    "explain": {"sql": "SELECT 1", "user": "app"},
    "setMaintenance": {"on": True},
}


def test_it_is_valid() -> None:
    validate(document("1.2.3"))


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs/reference/http-api.md").read_text(encoding="utf-8") == page()


async def test_it_names_what_is_served_and_nothing_else() -> None:
    async with House().open() as house:
        assert house.admin._runner is not None
        served = {
            (route.method, route.resource.canonical)
            for route in house.admin._runner.app.router.routes()
            if route.resource is not None and route.resource.canonical.startswith(PREFIX)
        }
    described = {(method.upper(), path) for path, operations in document("1")["paths"].items() for method in operations}
    assert served == described


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_answers_are_as_described(route: Route) -> None:
    async with House().open() as house:
        house.changes = ["limits.digests: 1 → 2"]
        path = PREFIX + route.path.format(**PLACES)
        body = None if route.method == "GET" else json.dumps(BODIES.get(route.name, {}))
        headers = {} if route.method == "GET" else JSON
        status, _, text = await house.ask(route.method, f"{path}?{GIVEN.get(route.name, '')}", headers, body)
        assert status == 200, text
        Draft202012Validator(answer_schema(route)).validate(json.loads(text))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_mistakes_are_as_described(route: Route) -> None:
    async with House().open() as house:
        problem = document("1")["components"]["schemas"]["Problem"]
        wrong = dict.fromkeys(PLACES, "none")
        status, _, text = await house.ask(route.method, PREFIX + route.path.format(**wrong), {"Origin": "https://x"})
        assert status == 403
        Draft202012Validator(problem).validate(json.loads(text))
        if "{" in route.path:
            status, _, text = await house.ask(route.method, PREFIX + route.path.format(**wrong), JSON, "{}")
            assert status in errors_of(route)
            Draft202012Validator(problem).validate(json.loads(text))
