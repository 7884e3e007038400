"""The HTTP API for operators: what the router is doing, and what it is told to do. ``routes`` declares it.

A browser of somebody who may reach the router must not become a way to it:

- A request names the router in ``Host`` by an address, as ``localhost`` or as the configuration does. A page whose own
  name has been made to resolve to the router (DNS rebinding) sends that name, and is refused.
- What changes something needs ``Content-Type: application/json``: no page of another origin can send that without being
  allowed to first (CORS preflight), which nobody allows. Where the browser says that the request comes from elsewhere
  (``Origin``, ``Sec-Fetch-Site``), it is refused as well.

A password (``admin.users``) would not do: browsers add it by themselves.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from time import monotonic, time
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from router.admin.commands import Commands, Interpreter
from router.admin.openapi import document
from router.admin.pages import PAGES, is_page
from router.admin.routes import PREFIX, ROUTES, Route, values_of
from router.admin.state import Inside, Row
from router.admin.tables import ALIASES, OWN, Table
from router.cluster.operations import LONGEST_PAUSE, PATIENCE, Drained, Paused
from router.config.findings import did_you_mean
from router.config.values import Address, parse_duration
from router.errors import ConfigError, MySQLError, NoSuchName, OperationFailed
from router.wire.errcodes import ErrorCode

log = structlog.get_logger(__name__)

_LONGEST = 24 * 3600.0
# Rows that are encoded without asking a thread.
_FEW = 200
# Seconds in which it is told once that somebody sees statements with their literals.
_NOTED = 60.0
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_TABLES: Final = {table.name: table for table in OWN}
# Parameters of a table that are no columns.
_OPTIONS: Final = frozenset({"limit", "order", "texts"})

# Whom of ``admin.users`` a request is from.
USER: Final = web.RequestKey("user", str)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """Its routes. ``address``: where the configuration says that it is served."""

    def __init__(self, inside: Inside, address: Address) -> None:
        self._inside = inside
        self._address = address
        self._commands = Commands(inside, "mysql-query-router", lambda _id, _query_only: False)
        self._noted: dict[str, float] = {}

    def add_to(self, app: web.Application) -> None:
        """Serve it."""
        for route in ROUTES:
            app.router.add_route(route.method, f"{PREFIX}{route.path}", self._handler(route))

    def close(self) -> None:
        """No more queries."""
        self._commands.close()

    def _handler(self, route: Route) -> Handler:
        serve = _SERVED[route.name]

        async def handle(request: web.Request) -> web.StreamResponse:
            given = {}
            if route.body is not None:
                body = await request.read()
                given = values_of(route, json.loads(body) if body else {})
            return await serve(self, request, given)

        return handle

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what a browser was talked into; answer mistakes in JSON."""
        if not request.path.startswith(PREFIX):
            if is_page(request.path) and (problem := self._foreign(request)) is not None:
                return web.Response(status=403, text=f"{problem}\n")
            return await handler(request)
        if (problem := self._foreign(request)) is not None:
            return _told({"error": problem}, 403)
        if request.method == "POST" and request.content_type != "application/json":
            return _told({"error": "send it with Content-Type: application/json"}, 415)
        try:
            return await handler(request)
        except NoSuchName as error:
            return _told({"error": str(error)}, 404)
        except OperationFailed as error:
            return _told({"error": str(error)}, 503)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            return _told({"error": "the new configuration is wrong", "problems": problems}, 422)
        except MySQLError as error:
            status = 404 if error.code == ErrorCode.NO_SUCH_THREAD else 400
            return _told({"error": error.message, "code": error.code}, status)
        except (ValueError, RecursionError) as error:
            return _told({"error": str(error)}, 400)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _told({"error": error.reason}, error.status)

    def _foreign(self, request: web.Request) -> str | None:
        """Why the request is not from somebody who means the router."""
        host = request.headers.get("Host", "")
        if self._address.path is None and not self._ours(host):
            return "the Host header must be an address, localhost, or the host of admin.http"
        # Whoever follows a link to the console comes from elsewhere, and sees it in a window of its own.
        visit = request.path in PAGES and request.headers.get("Sec-Fetch-Dest") == "document"
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not visit:
            return "the request comes from another site"
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "the request comes from another origin"
        return None

    def _ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in ("localhost", (self._address.host or "").lower()):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _operator(self, request: web.Request) -> Interpreter:
        """Who asks, as the log names him."""
        user, host = _account(request)
        return Interpreter(self._commands, connection_id=0, user=user, host=host)

    def _texts(self, request: web.Request, wanted: bool) -> bool:
        """Whether statements are shown with their literals, which is told."""
        by = "@".join(_account(request))
        if wanted and monotonic() > self._noted.get(by, 0):
            log.info("statements are shown with their literals", by=by)
            self._noted = {name: until for name, until in self._noted.items() if until > monotonic()}
            self._noted[by] = monotonic() + _NOTED
        return wanted

    # -- tables ------------------------------------------------------------------------------------------------

    async def _tables(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        return _told(
            {
                "tables": [
                    {
                        "name": table.name,
                        "description": table.description,
                        "columns": [
                            {"name": each.name, "type": each.type.lower(), "description": each.description}
                            for each in table.columns
                        ],
                    }
                    for table in OWN
                ]
            }
        )

    async def _table(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        table = _named(request.match_info["name"])
        columns = [column.name for column in table.columns]
        for name in request.query:
            if name not in _OPTIONS and name not in columns:
                raise ValueError(f"no column is called '{name[:64]}'{did_you_mean(name, columns)}")
        order, limit = request.query.get("order"), _whole(request, "limit")
        if order is not None and order.removeprefix("-") not in columns:
            raise ValueError(f"order: no column is called '{order[:64]}'{did_you_mean(order, columns)}")
        texts = self._texts(request, _switch(request, "texts"))
        rows = (await self._commands.state.rows([table], texts=texts))[table.name]
        wanted = [(columns.index(name), value) for name, value in request.query.items() if name not in _OPTIONS]
        rows = [row for row in rows if all(_shown(row[at]) == value for at, value in wanted)]
        if order is not None:
            rows = _ordered(rows, columns.index(order.removeprefix("-")), down=order.startswith("-"))
        answer = {"columns": columns, "rows": rows[:limit], "total": len(rows)}
        return await self._many(answer, len(rows))

    async def _snapshot(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        names = request.query.get("tables", "")
        tables = [_named(name) for name in names.split(",") if name]
        texts = self._texts(request, _switch(request, "texts"))
        found = await self._commands.state.rows(tables, texts=texts)
        told = {
            table.name: {"columns": [column.name for column in table.columns], "rows": found[table.name]}
            for table in tables
        }
        return await self._many({"at": time(), "tables": told}, sum(map(len, found.values())))

    async def _query(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        texts = self._texts(request, bool(given["texts"]))
        found = await self._operator(request).look(given["sql"], texts=texts)
        return await self._many({"columns": [name for name, _ in found.columns], "rows": found.rows}, len(found.rows))

    async def _many(self, answer: Mapping[str, Any], rows: int) -> web.Response:
        return _told(answer) if rows <= _FEW else await self._commands.aside(lambda: _told(answer))

    # -- servers and groups ------------------------------------------------------------------------------------

    async def _servers(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        await self._inside.refresh("")
        return _told({"servers": [asdict(each) for each in self._inside.operations.standing()]})

    async def _drain(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        found = await self._inside.operations.drain(*_server(request), _seconds(request, "timeout", PATIENCE))
        return _found([found], done=found.done)

    async def _undrain(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        found = await self._inside.operations.undrain(*_server(request))
        return _found([found], done=not found.draining)

    async def _pause(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        longest, wait = _seconds(request, "timeout", LONGEST_PAUSE), _seconds(request, "wait", PATIENCE)
        found = await self._inside.operations.pause(request.match_info.get("group"), longest, wait)
        return _found(found, done=all(each.done for each in found))

    async def _resume(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        found = await self._inside.operations.resume(request.match_info.get("group"))
        return _found(found, done=not any(each.paused for each in found))

    # -- sessions, statements, the configuration, the log ------------------------------------------------------

    async def _kill(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        text = request.match_info["id"]
        if not text.isdecimal() or not text.isascii() or len(text) > 20:
            raise ValueError("the connection id must be a number")
        await self._operator(request).kill(int(text), query_only=bool(given["query_only"]))
        return _told({"killed": int(text)})

    async def _explain(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        found = await self._inside.explain(
            given["sql"], given["user"], given["schema"] or None, given["client"] or None
        )
        return _told({"columns": found.columns, "rows": found.rows, "plan": json.loads(found.document)})

    async def _read_again(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        return await _compared(self._inside.reload())

    async def _changes(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        return await _compared(self._inside.changes())

    async def _maintenance(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        self._operator(request).maintain(given["on"])
        return _told({"on": self._inside.maintenance.on})

    async def _log(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        level = request.query.get("level", _LEVELS[0])
        if level not in _LEVELS:
            raise ValueError(f"level must be one of {', '.join(_LEVELS[:4])}")
        known, after = _LEVELS[_LEVELS.index(level) :], _whole(request, "after") or 0
        await self._inside.refresh("log")
        lines = [each for each in self._inside.lines() if each.number > after and each.level in known]
        return _told({"lines": [asdict(each) for each in lines]})

    async def _description(self, request: web.Request, given: Mapping[str, Any]) -> web.Response:
        await self._inside.refresh("")
        return _told(document(self._inside.gauges().version))


_SERVED: Final[Mapping[str, Callable[[Api, web.Request, Mapping[str, Any]], Awaitable[web.Response]]]] = {
    "listTables": Api._tables,
    "readTable": Api._table,
    "readSnapshot": Api._snapshot,
    "query": Api._query,
    "listServers": Api._servers,
    "drainServer": Api._drain,
    "undrainServer": Api._undrain,
    "pauseGroup": Api._pause,
    "resumeGroup": Api._resume,
    "pauseGroups": Api._pause,
    "resumeGroups": Api._resume,
    "killSession": Api._kill,
    "explain": Api._explain,
    "reload": Api._read_again,
    "readChanges": Api._changes,
    "setMaintenance": Api._maintenance,
    "readLog": Api._log,
    "readDescription": Api._description,
}

# -- what was asked for ------------------------------------------------------------------------------------------------


def _account(request: web.Request) -> tuple[str, str]:
    """The user, if there are any, and where the request is from."""
    return request.get(USER, ""), request.remote or "unix"


def _named(name: str) -> Table:
    lower = name.lower()
    if (table := _TABLES.get(ALIASES.get(lower, lower))) is None:
        raise NoSuchName(f"no table is called '{name[:64]}'{did_you_mean(lower, _TABLES)}")
    return table


def _server(request: web.Request) -> tuple[str, str]:
    return request.match_info["group"], request.match_info["server"]


def _seconds(request: web.Request, name: str, default: float) -> float:
    """Raises ValueError."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    if seconds > _LONGEST:
        raise ValueError(f"{name} must be a day at most")
    return seconds


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise ValueError(f"{name} must be a number")
    return int(text)


def _switch(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise ValueError(f"{name} must be true or false")
    return text == "true"


def _ordered(rows: Iterable[Row], at: int, *, down: bool) -> list[Row]:
    """By the column at ``at``; numbers before texts, NULL last."""
    known = [row for row in rows if row[at] is not None]
    known.sort(key=lambda row: (isinstance(row[at], str), row[at]), reverse=down)
    return known + [row for row in rows if row[at] is None]


# -- what is answered --------------------------------------------------------------------------------------------------


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _finite(value: Any) -> Any:
    """JSON has no endless numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _told(answer: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.json_response(text=json.dumps(_finite(answer), allow_nan=False), status=status)


def _found(found: Sequence[Drained | Paused], *, done: bool) -> web.Response:
    return _told({"done": done, "found": [asdict(each) for each in found]})


async def _compared(reading: Awaitable[Sequence[object]]) -> web.Response:
    try:
        changes = await reading
    except OSError as error:
        return _told({"error": f"the new configuration cannot be used: {error}"}, 409)
    return _told({"changes": [str(each) for each in changes]})
