"""The tests' own eyes."""

from __future__ import annotations

from tests.deploy.tools import metric_names, names_in


def test_names_are_found() -> None:
    expression = (
        'sum by (router_x) (rate(router_errors_total{a="router_y"}[5m])) / router:errors:ratio5m > process_open_fds'
    )
    assert names_in(expression) == {"router_errors_total", "process_open_fds"}


def test_known_names() -> None:
    assert {"router_errors_total", "router_ready", "process_open_fds"} <= metric_names()
    assert "router_errors" not in metric_names()
