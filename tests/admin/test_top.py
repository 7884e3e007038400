"""What `router top` makes of two samples."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from router.admin.tables import TABLES
from router.admin.top import Difference, Sample, duration, one_line, rows_of, screen, status

HOSTILE = "SELECT '[bold red]x[/]'\n\x1b[31m FROM t"


def table(name: str, *rows: dict[str, Any]) -> dict[str, Any]:
    """As the API gives it; what a row does not say is None."""
    columns = [column.name for column in TABLES[name].columns]
    return {"columns": columns, "rows": [[row.get(column) for column in columns] for row in rows]}


def sample(when: float, *, queries: int, slow: int = 0, errors: int = 0, **changes: Any) -> Sample:
    """A router that has answered so many, all within 1 ms but ``slow`` ones."""
    server = {"group_name": "main", "role": "replica", "up": 1, "draining": 0, "fenced": 0, "paused": 0}
    counts = {"in_use": 2, "idle": 1, "waiting": 0}
    digest = {"user": "app", "schema": "shop", "route": "main:replica", "errors": errors, "digest_text": HOSTILE}
    answers = {
        "version": table("version", {"version": "1.2.3", "uptime_seconds": 600}),
        "stats": table("stats", {"name": "client_connections", "value": 7.0}),
        "servers": table(
            "servers",
            {**server, **counts, "server": "a", "role": "primary"},
            {**server, **counts, "server": "b", "up": 0, "lag_seconds": "inf"},
            {**server, **counts, "server": "c", "draining": 1, "lag_seconds": 0.25, "waiting": 3},
        ),
        "metrics": table(
            "metrics",
            {"name": "router_queries_total", "labels": "command=query,group=main,backend=a", "value": queries},
            {"name": "router_queries_total", "labels": "command=query,group=main,backend=c", "value": 0},
            {"name": "router_errors_total", "labels": "origin=backend,code=1064", "value": errors},
            {"name": "router_workers", "labels": "", "value": 2},
            *(
                {
                    "name": "router_query_duration_seconds_bucket",
                    "labels": f"backend={backend},le={bound}",
                    "value": count,
                }
                for backend in ("a", "c")
                for bound, count in (("0.001", queries - slow), ("0.5", queries), ("+Inf", queries))
            ),
        ),
        "digests": table(
            "digests",
            {**digest, "digest_id": "aa", "count": queries, "total_seconds": queries * 0.001},
            {**digest, "digest_id": "bb", "count": 5, "total_seconds": 100.0, "digest_text": "DELETE"},
        ),
        "sessions": table(
            "sessions",
            {
                "connection_id": 1,
                "user": "app",
                "host": "h",
                "state": "idle",
                "in_transaction": 0,
                "state_seconds": 99.0,
            },
            {
                "connection_id": 2,
                "user": "app",
                "host": "h",
                "state": "idle",
                "in_transaction": 1,
                "state_seconds": 3.0,
            },
            {
                "connection_id": 3,
                "user": "app",
                "host": "h",
                "state": "running",
                "in_transaction": 0,
                "state_seconds": 7.0,
                "server": "a",
                "statement": HOSTILE,
            },
        ),
    }
    return Sample.take(answers, when, changes.get("not_ready"))


def shown(difference: Difference, width: int = 160, height: int = 50) -> str:
    console = Console(width=width, height=height, record=True, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(screen(difference, height))
    return capture.get()


def test_what_happens_in_a_second() -> None:
    text = shown(Difference(sample(100.0, queries=1000), sample(102.0, queries=3000, slow=60, errors=5)))
    assert "ready  up 10 min  router 1.2.3  2 workers" in text
    assert "7 clients  1,000 statements/s  p50 ≤ 1 ms  p95 ≤ 1 ms  p99 ≤ 500 ms  2.5 errors/s" in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip().startswith("main/")}
    assert lines["main/a"] == ["main/a", "primary", "up", "1,000", "2", "1", "0"]
    assert lines["main/b"][2:4] == ["down", "∞"]
    assert lines["main/c"][2:5] == ["draining", "250", "ms"]
    assert "DELETE" not in text, "nothing of it has happened meanwhile"
    assert "1,000.0" in text
    sessions = text.partition("Busy sessions")[2]
    assert [line.split()[0] for line in sessions.splitlines()[3:]] == ["3", "2"]
    assert "in transaction" in sessions


def test_the_first_time_it_is_since_the_start() -> None:
    difference = Difference(None, sample(100.0, queries=1200))
    assert difference.rate("router_queries_total") == 2
    text = shown(difference)
    assert text.index("DELETE") < text.index("SELECT")


def test_statements_cannot_change_the_screen() -> None:
    text = shown(Difference(None, sample(1.0, queries=1)))
    assert "SELECT '[bold red]x[/]'  [31m FROM t" in text
    assert "\x1b" not in text
    assert one_line("a\x9b\u202eb\tc") == "a  b c"


def test_it_fits() -> None:
    text = shown(Difference(None, sample(1.0, queries=1)), width=60, height=20)
    assert max(map(len, text.splitlines())) <= 60


def test_nothing_has_happened() -> None:
    again = sample(100.0, queries=10)
    difference = Difference(again, again)
    assert difference.latencies() == [None, None, None]
    assert difference.rate("router_queries_total") == 0
    assert "p50 ≤ –" in shown(difference)


def test_a_router_that_was_started_again_counts_nothing_backwards() -> None:
    assert Difference(sample(1.0, queries=100), sample(2.0, queries=3)).rate("router_queries_total") == 0


def test_status() -> None:
    told = status(sample(1.0, queries=1, not_ready="maintenance"))
    assert (told["ready"], told["reason"], told["workers"], told["clients"]) == (False, "maintenance", 2, 7)
    assert [row["server"] for row in told["servers"]] == ["a", "b", "c"]
    assert "not ready: maintenance" in shown(Difference(None, sample(1.0, queries=1, not_ready="maintenance")))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.00025, "250 µs"),
        (0.0015, "1.5 ms"),
        (3.0, "3 s"),
        (119.0, "119 s"),
        (180.0, "3 min"),
        (7200.0, "2 h"),
        (200000.0, "2 d"),
        (float("inf"), "∞"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_rows() -> None:
    assert rows_of({"columns": ["a", "b"], "rows": [[1, 2]]}) == [{"a": 1, "b": 2}]
