"""What requests send is checked against the declaration."""

from __future__ import annotations

import re
from typing import Any

import pytest

from router.admin.routes import ROUTES, values_of
from router.admin.sql import MAX_STATEMENT

BY_NAME = {route.name: route for route in ROUTES}


def test_names_and_places_are_unique() -> None:
    assert len(BY_NAME) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_path_names_its_parameters(route: Any) -> None:
    names = [each.name for each in route.parameters if each.where == "path"]
    assert re.findall(r"{(\w+)}", route.path) == names
    assert set(route.required) <= set(route.body or {})
    assert route.method == "POST" or route.body is None


def test_values() -> None:
    assert values_of(BY_NAME["query"], {"sql": "SELECT 1"}) == {"sql": "SELECT 1", "texts": None}
    assert values_of(BY_NAME["killSession"], {}) == {"query_only": None}
    assert values_of(BY_NAME["explain"], {"sql": "", "user": "a", "schema": None})["schema"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "a JSON object"),
        (None, "a JSON object"),
        ({}, "'sql' is missing"),
        ({"sql": None}, "'sql' is missing"),
        ({"sql": 1}, "'sql' must be a string"),
        ({"sql": "x", "texts": 1}, "'texts' must be a boolean"),
        ({"sql": "x", "text": True}, "'text' is not expected here; did you mean 'texts'?"),
        ({"sql": "x" * (MAX_STATEMENT + 1)}, "bytes at most"),
        ({"sql": "é" * (MAX_STATEMENT // 2 + 1)}, "bytes at most"),
    ],
)
def test_what_does_not_fit(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        values_of(BY_NAME["query"], given)
