"""The API for operators over HTTP: what it does and answers, and who must not come through a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from router.admin.tables import OWN, Table
from router.config.differences import Difference
from router.errors import ConfigError, OperationFailed, Problem
from router.planner.explaining import Explained
from tests.admin.inside import IDLE
from tests.admin.test_http import ADMIN, USERS, House

JSON = {"Content-Type": "application/json"}


async def call(house: House, method: str, path: str, **headers: str) -> tuple[int, Any]:
    """(status, what the body says)"""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, kind, text = await house.ask(method, f"/api/v1/{path}", {**(JSON if method == "POST" else {}), **named})
    assert kind.startswith("application/json")
    return status, json.loads(text)


async def test_servers() -> None:
    async with House().open() as house:
        status, body = await call(house, "GET", "servers")
        assert status == 200
        first, second = body["servers"]
        assert first == {
            "group": "main",
            "server": "a",
            "address": "db.example:3306",
            "role": "primary",
            "primary": True,
            "up": True,
            "draining": False,
            "fenced": False,
            "paused": False,
            "lag": None,
            "in_use": 0,
            "pinned": 0,
            "idle": 0,
            "opening": 0,
            "waiting": 0,
        }
        assert second["role"] == "replica"


async def test_drain_and_undrain() -> None:
    async with House().open() as house:
        status, body = await call(house, "POST", "servers/main/a/drain?timeout=100ms")
        assert (status, body["done"]) == (200, True)
        assert body["found"] == [{"group": "main", "server": "a", "draining": True, "in_use": 0, "pinned": 0}]
        assert house.group.primary is None
        status, body = await call(house, "POST", "servers/main/a/undrain")
        assert (status, body["done"]) == (200, True)
        assert house.group.primary is house.group.servers[0]


@pytest.mark.parametrize("place", ["groups/main", "groups"])
async def test_pause_and_resume(place: str) -> None:
    async with House().open() as house:
        house.group.servers[0].pool.in_use += 1
        status, body = await call(house, "POST", f"{place}/pause?timeout=5s&wait=50ms")
        assert (status, body["done"]) == (200, False)
        assert body["found"] == [
            {"group": "main", "paused": True, "active": 1, "pinned": 0, "elsewhere": 0, "waiting": 0}
        ]
        status, body = await call(house, "POST", f"{place}/resume")
        assert (status, body["done"]) == (200, True)
        assert not house.group.gate.shut


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("servers/main/c/drain", 404, "no server in group 'main' is called 'c' (known: a, b)"),
        ("groups/mani/pause", 404, "no group is called 'mani'; did you mean 'main'?"),
        ("groups/main/pause?timeout=soon", 400, "timeout must be a duration"),
        ("groups/main/pause?timeout=-1s", 400, "timeout must be a duration"),
        ("groups/main/pause?wait=9999h", 400, "wait must be a day at most"),
    ],
)
async def test_mistakes(path: str, status: int, text: str) -> None:
    async with House().open() as house:
        found, body = await call(house, "POST", path)
        assert found == status
        assert text in body["error"]
        assert not house.group.gate.shut


async def test_changes_are_not_for_get() -> None:
    async with House().open() as house:
        assert (await house.ask("GET", "/api/v1/groups/main/pause", {}))[0] == 405
        assert not house.group.gate.shut


async def test_with_users_it_needs_a_password() -> None:
    async with House(**USERS).open() as house:
        for method, path in (("GET", "servers"), ("POST", "groups/main/pause")):
            assert (await house.ask(method, f"/api/v1/{path}", JSON))[0] == 401
        assert not house.group.gate.shut
        assert (await call(house, "POST", "groups/main/resume", Authorization=ADMIN))[0] == 200


# --- browsers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # What a form or a script of another page can send without asking first.
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": ""}, 415),
        # What browsers say.
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Content-Type": "application/json; charset=utf-8", "Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_another_page_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with House().open() as house:
        assert (await house.ask("POST", "/api/v1/groups/main/pause?wait=0", headers))[0] == status
        assert house.group.gate.shut is (status == 200)


async def test_a_page_of_its_own_may() -> None:
    async with House().open() as house:
        assert (await call(house, "POST", "groups/main/pause", Origin=house.url))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8307", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("[::1", 403),
        ("router.internal", 403),
        ("localhost:8307", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("10.1.2.3:8307", 200),
        ("[::1]:8307", 200),
    ],
)
async def test_a_name_made_to_resolve_here_gets_nothing(host: str, status: int) -> None:
    async with House().open() as house:
        assert (await call(house, "GET", "servers", Host=host))[0] == status
        assert (await call(house, "POST", "groups/main/pause", Host=host))[0] == status
        assert (await house.ask("GET", "/metrics", {"Host": host}))[0] == 200, "a scraper may use any name"


async def test_the_name_of_the_configuration_is_ours() -> None:
    async with House(http="localhost:0").open() as house:
        assert (await call(house, "GET", "servers", Host="localhost"))[0] == 200


async def test_browsers_do_not_reach_a_unix_socket(tmp_path: Path) -> None:
    async with House(http=f"unix:{tmp_path}/admin.sock").open() as house:
        assert (await call(house, "GET", "servers", Host="router"))[0] == 200
        assert (await house.ask("POST", "/api/v1/groups/main/pause", {}))[0] == 415, "the same for everybody"


# --- reload -----------------------------------------------------------------------------------------------------------


async def test_reload_says_what_is_different() -> None:
    async with House().open() as house:
        house.changes = [Difference("groups.main.servers.a.weight", "1", "2")]
        status, body = await call(house, "POST", "reload")
        assert (status, body) == (200, {"changes": ["groups.main.servers.a.weight: 1 → 2"]})


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ConfigError([Problem("routes.yaml", 3, 7, "users.app", "is required")]), 422, "routes.yaml:3:7"),
        (OSError(98, "Address already in use"), 409, "Address already in use"),
    ],
)
async def test_reload_says_what_is_wrong(error: Exception, status: int, words: str) -> None:
    async with House().open() as house:
        house.changes = error
        found, body = await call(house, "POST", "reload")
        assert found == status
        assert words in json.dumps(body)


# --- tables and queries -----------------------------------------------------------------------------------------------


async def send(house: House, path: str, given: object) -> tuple[int, Any]:
    """As ``call``, with a body."""
    status, _, text = await house.ask("POST", f"/api/v1/{path}", JSON, json.dumps(given))
    return status, json.loads(text)


@pytest.mark.parametrize("table", OWN, ids=lambda table: table.name)
async def test_every_table(table: Table) -> None:
    async with House().open() as house:
        status, body = await call(house, "GET", f"tables/{table.name}")
        assert status == 200
        assert body["columns"] == [column.name for column in table.columns]
        assert all(len(row) == len(table.columns) for row in body["rows"])
        assert body["total"] == len(body["rows"])


async def test_the_list_of_tables() -> None:
    async with House().open() as house:
        _, body = await call(house, "GET", "tables")
        assert [each["name"] for each in body["tables"]] == [table.name for table in OWN]


@pytest.mark.parametrize(
    ("options", "found", "total"),
    [
        ("", [7, 8], 2),
        ("limit=1", [7], 2),
        ("limit=0", [], 2),
        ("order=-connection_id", [8, 7], 2),
        ("order=state_seconds", [8, 7], 2),
        ("order=statement", [8, 7], 2),
        ("order=-statement&limit=1", [8], 2),
        ("state=running", [8], 1),
        ("state=running&user=app&in_transaction=1", [8], 1),
        ("schema=", [8], 1),
        ("state=asleep", [], 0),
    ],
)
async def test_rows_in_order(options: str, found: list[int], total: int) -> None:
    async with House().open() as house:
        _, body = await call(house, "GET", f"tables/clients?{options}")
        assert ([row[0] for row in body["rows"]], body["total"]) == (found, total)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("tables/server", 404, "no table is called 'server'; did you mean 'servers'?"),
        ("tables/variables", 404, "no table is called 'variables'"),
        ("tables/sessions?stat=idle", 400, "no column is called 'stat'; did you mean 'state'?"),
        ("tables/sessions?order=usr", 400, "did you mean 'user'?"),
        ("tables/sessions?limit=many", 400, "limit must be a number"),
        ("tables/sessions?limit=-1", 400, "limit must be a number"),
        ("tables/sessions?texts=yes", 400, "texts must be true or false"),
        ("snapshot?tables=servers,none", 404, "no table is called 'none'"),
        ("log?after=x", 400, "after must be a number"),
        ("log?level=loud", 400, "level must be one of debug, info, warning, error"),
        ("nothing", 404, "Not Found"),
    ],
)
async def test_mistakes_in_reading(path: str, status: int, text: str) -> None:
    async with House().open() as house:
        found, body = await call(house, "GET", path)
        assert found == status
        assert text in body["error"]


async def test_a_snapshot_is_of_one_moment() -> None:
    async with House().open() as house:
        _, body = await call(house, "GET", "snapshot?tables=servers,groups")
        assert [len(body["tables"][name]["rows"]) for name in ("servers", "groups")] == [2, 1]
        assert body["at"] > 1e9


async def test_endless_numbers_are_texts() -> None:
    """JSON has none, and browsers take none."""
    async with House().open() as house:
        house.group.servers[1].lag = float("inf")
        _, body = await call(house, "GET", "servers")
        assert body["servers"][1]["lag"] == "inf"
        _, body = await call(house, "GET", "tables/servers?server=b")
        assert "inf" in body["rows"][0]


async def test_a_query() -> None:
    async with House().open() as house:
        status, body = await send(house, "query", {"sql": "SELECT server, 1.5 FROM servers ORDER BY 1"})
        assert (status, body) == (200, {"columns": ["server", "1.5"], "rows": [["a", 1.5], ["b", 1.5]]})
        status, body = await send(house, "query", {"sql": "SELECT * FROM server"})
        assert (status, body["code"]) == (400, 1146)
        for sql in ("KILL 7", "SET MAINTENANCE ON", "RELOAD", "DRAIN main/a", "DROP TABLE servers", ""):
            assert (await send(house, "query", {"sql": sql}))[0] == 400
        assert not house.world.killed
        assert not house.world.inside.maintenance.on


async def test_many_rows() -> None:
    async with House().open() as house:
        house.world.sessions = [replace(IDLE, connection_id=number) for number in range(1000)]
        _, body = await call(house, "GET", "tables/sessions")
        assert len(body["rows"]) == 1000


async def test_statements_are_shown_without_literals_unless_asked_for() -> None:
    sql = "SELECT statement FROM sessions WHERE statement IS NOT NULL"
    async with House(**USERS).open() as house:
        plain = {"Authorization": ADMIN}
        with structlog.testing.capture_logs() as lines:
            for path in ("tables/sessions", "snapshot?tables=sessions"):
                assert "SELECT 'x'" not in json.dumps((await call(house, "GET", path, **plain))[1])
            assert not lines
            for path in ("tables/sessions?texts=true", "snapshot?tables=sessions&texts=true"):
                assert "SELECT 'x'" in json.dumps((await call(house, "GET", path, **plain))[1])
            for texts, found in ((False, "SELECT ?"), (True, "SELECT 'x'")):
                given = json.dumps({"sql": sql, "texts": texts})
                _, _, text = await house.ask("POST", "/api/v1/query", {**JSON, **plain}, given)
                assert json.loads(text)["rows"] == [[found]]
        (line,) = lines
        assert line["by"] == "admin@127.0.0.1", "told once, and not every second"


# --- sessions, plans, the configuration, the log ----------------------------------------------------------------------


async def test_kill() -> None:
    async with House().open() as house:
        assert await send(house, "sessions/8/kill", {"query_only": True}) == (200, {"killed": 8})
        assert await send(house, "sessions/7/kill", {}) == (200, {"killed": 7})
        assert (await call(house, "POST", "sessions/8/kill"))[0] == 200
        assert house.world.killed == [(8, True), (7, False), (8, False)]
        assert (await send(house, "sessions/9/kill", {}))[0] == 404
        assert (await send(house, "sessions/x/kill", {}))[0] == 400
        assert (await send(house, "sessions/8/kill", {"query": True}))[0] == 400


async def test_explain() -> None:
    async with House().open() as house:
        given = {"sql": "SELECT 1", "user": "app", "schema": "", "client": None}
        status, body = await send(house, "explain", given)
        assert status == 200
        assert dict(zip(body["columns"], body["rows"][0], strict=True))["server"] == "group main"
        assert body["plan"]
        assert (await send(house, "explain", given | {"user": "nobody"}))[0] == 404
        assert (await send(house, "explain", given | {"client": "home"}))[0] == 400
        for sql in ("", "((((", "SELECT '", "\0", "\ud800"):
            assert (await send(house, "explain", given | {"sql": sql}))[0] in (200, 400)


@pytest.mark.parametrize("body", ["{", "[]", "1", '{"sql": 1}', "\udcff", '{"sql":"x","sql2":1}', "[" * 100_000])
async def test_bodies_that_are_none(body: str) -> None:
    async with House().open() as house:
        status, _, text = await house.ask("POST", "/api/v1/query", JSON, body.encode("utf-8", "surrogateescape"))
        assert status == 400
        assert json.loads(text)["error"]


async def test_a_body_is_unicode_whatever_is_said_of_it() -> None:
    async with House().open() as house:
        for charset in ("nonsense", "utf-16", "idna"):
            headers = {"Content-Type": f"application/json; charset={charset}"}
            status, _, _ = await house.ask("POST", "/api/v1/query", headers, b'{"sql": "SELECT 1"}')
            assert status == 200


async def test_a_large_body() -> None:
    async with House().open() as house:
        status, _, text = await house.ask("POST", "/api/v1/query", JSON, json.dumps({"sql": "x" * (600 << 10)}))
        assert status == 413
        assert json.loads(text)["error"]


async def test_changes_before_a_reload() -> None:
    async with House().open() as house:
        assert await call(house, "GET", "config/changes") == (200, {"changes": ["limits.digests: 1 → 2"]})
        house.world.changes = ConfigError([Problem("routes.yaml", 3, 5, "limits", "is wrong")])
        status, body = await call(house, "GET", "config/changes")
        assert (status, len(body["problems"])) == (422, 1)


async def test_without_a_worker_nothing_is_explained() -> None:
    async def nobody(sql: str, user: str, schema: str | None, client: str | None) -> Explained:
        raise OperationFailed("no worker serves")

    async with House(changes={"explain": nobody}).open() as house:
        assert await send(house, "explain", {"sql": "", "user": ""}) == (503, {"error": "no worker serves"})


async def test_maintenance() -> None:
    async with House().open() as house:
        assert await send(house, "maintenance", {"on": True}) == (200, {"on": True})
        assert house.world.inside.maintenance.on
        assert await send(house, "maintenance", {"on": False}) == (200, {"on": False})
        assert (await send(house, "maintenance", {}))[0] == 400


async def test_the_log() -> None:
    async with House().open() as house:
        _, body = await call(house, "GET", "log")
        assert [each["number"] for each in body["lines"]] == [4, 5]
        assert body["lines"][0]["fields"] == {"port": "3307"}
        for options in ("after=4", "level=warning", "level=warning&after=4"):
            assert [each["number"] for each in (await call(house, "GET", f"log?{options}"))[1]["lines"]] == [5]
        assert (await call(house, "GET", "log?level=error"))[1] == {"lines": []}


async def test_numbers_of_elsewhere_are_fetched_first() -> None:
    for path in ("servers", "tables/servers", "log", "openapi.json"):
        async with House().open() as house:
            await call(house, "GET", path)
            assert house.refreshed
