"""The HTTP API as a table: what it serves, what it takes and gives.

``api`` serves these routes and no others, ``openapi`` makes the OpenAPI document and the reference page of them, and
what a request sends is checked against them (``values_of``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from router.admin.sql import MAX_STATEMENT
from router.cluster.operations import Drained, Paused, Standing
from router.config.findings import did_you_mean
from router.log import LogLine

PREFIX: Final = "/api/v1/"
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is given in the path, or behind ``?``."""

    name: str
    description: str
    schema: Schema
    where: Literal["path", "query"] = "query"


@dataclass(frozen=True, slots=True)
class Route:
    """``name`` is its operationId; ``body`` and ``answer`` are properties of JSON objects by name.

    ``required`` are those of the body that must be there; ``errors`` are statuses besides those that every route has.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    answer: Schema
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    required: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()


# -- schemas -----------------------------------------------------------------------------------------------------------

_TYPES: Final = {"str": "string", "int": "integer", "bool": "boolean"}
VALUE: Final = {"type": ["string", "number", "null"]}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _one(kind: type) -> Schema:
    """The fields of a dataclass."""
    special = {
        "float | None": {"type": ["number", "string", "null"], "description": '`"inf"`: endless.'},
        "dict[str, str]": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    return _object(
        {each.name: special.get(str(each.type)) or {"type": _TYPES[str(each.type)]} for each in fields(kind)}
    )


_COLUMNS: Final = _list({"type": "string"}, "Names of the columns.")
_ROWS: Final = _list(_list(VALUE, "One value for each column."), "The rows; numbers that are not finite are texts.")
_DONE: Final = _flag("Whether it is complete, or somebody was still there when the time was over.")
_CHANGES: Final = _list({"type": "string"}, "What is different, one line each.")

# -- parameters --------------------------------------------------------------------------------------------------------


def _place(name: str, description: str) -> Parameter:
    return Parameter(name, description, {"type": "string"}, "path")


def _duration(name: str, description: str) -> Parameter:
    return Parameter(name, description, {"type": "string", "examples": ["10s", "500ms"]})


_GROUP: Final = _place("group", "Name of the group.")
_SERVER: Final = (_GROUP, _place("server", "Name of the server."))
_TEXTS: Final = "Statements with their literals, which may be secrets; without it `?` stands for them. It is logged."
_TEXTS_ASKED: Final = Parameter("texts", _TEXTS, {"type": "boolean", "default": False})
_PAUSE: Final = (
    _duration("timeout", "After so long it goes on by itself; 60s if not given."),
    _duration("wait", "How long to wait for what is under way; 10s if not given."),
)
_SQL: Final = {"type": "string", "maxLength": MAX_STATEMENT, "description": "The statement."}

ROUTES: Final = (
    Route(
        "listTables",
        "GET",
        "tables",
        "The tables there are, with their columns.",
        {
            "tables": _list(
                _object(
                    {
                        "name": _text("Its name."),
                        "description": _text("What it shows."),
                        "columns": _list(
                            _object(
                                {
                                    "name": _text("Its name."),
                                    "type": {"enum": ["integer", "real", "text"]},
                                    "description": _text("What it means."),
                                }
                            ),
                            "Its columns.",
                        ),
                    }
                ),
                "As in the admin interface over the MySQL protocol.",
            )
        },
    ),
    Route(
        "readTable",
        "GET",
        "tables/{name}",
        "The rows of a table.",
        {
            "columns": _COLUMNS,
            "rows": _ROWS,
            "total": {"type": "integer", "description": "Rows that fit the filters; `rows` may be fewer by `limit`."},
        },
        "Any other parameter is a filter: the column of that name has that value, as text.",
        (
            _place("name", "Name of the table."),
            Parameter("limit", "The most rows there may be; all if not given.", {"type": "integer", "minimum": 0}),
            Parameter(
                "order", "Column to sort by; `-` before it: the largest first. NULL comes last.", {"type": "string"}
            ),
            _TEXTS_ASKED,
            Parameter(
                "filter",
                "Columns and their values, each a parameter of its own: `?user=app&state=running`.",
                {"type": "object", "additionalProperties": {"type": "string"}},
            ),
        ),
        errors=(404,),
    ),
    Route(
        "readSnapshot",
        "GET",
        "snapshot",
        "Several tables, of one moment.",
        {
            "at": {"type": "number", "description": "Unix time of that moment."},
            "tables": {
                "type": "object",
                "additionalProperties": _object({"columns": _COLUMNS, "rows": _ROWS}),
                "description": "By their names.",
            },
        },
        parameters=(Parameter("tables", "Their names, with commas.", {"type": "string"}), _TEXTS_ASKED),
        errors=(404,),
    ),
    Route(
        "query",
        "POST",
        "query",
        "SELECT, SHOW, DESCRIBE or HELP of the admin interface; nothing that changes anything.",
        {"columns": _COLUMNS, "rows": _ROWS},
        body={"sql": _SQL, "texts": _flag(_TEXTS)},
        required=("sql",),
    ),
    Route("listServers", "GET", "servers", "The servers.", {"servers": _list(_one(Standing), "As they are now.")}),
    Route(
        "drainServer",
        "POST",
        "servers/{group}/{server}/drain",
        "Nothing new for a server, until it is undrained; returns when nobody is there.",
        {"done": _DONE, "found": _list(_one(Drained), "The server.")},
        parameters=(*_SERVER, _duration("timeout", "How long to wait for who is there; 10s if not given.")),
        errors=(404,),
    ),
    Route(
        "undrainServer",
        "POST",
        "servers/{group}/{server}/undrain",
        "Use a server again.",
        {"done": _DONE, "found": _list(_one(Drained), "The server.")},
        parameters=_SERVER,
        errors=(404,),
    ),
    *(
        Route(
            f"{verb}{many}",
            "POST",
            f"{place}/{verb}",
            f"{text} {what}.",
            {"done": _DONE, "found": _list(_one(Paused), "The groups.")},
            parameters=(*own, *(_PAUSE if verb == "pause" else ())),
            errors=(404,) if own else (),
        )
        for place, many, what, own in (
            ("groups/{group}", "Group", "a group", (_GROUP,)),
            ("groups", "Groups", "all groups", ()),
        )
        for verb, text in (
            ("pause", "Let nothing new begin, and wait until all is quiet; statements wait:"),
            ("resume", "Go on:"),
        )
    ),
    Route(
        "killSession",
        "POST",
        "sessions/{id}/kill",
        "End a session, or only its statement; returns when that is done.",
        {"killed": {"type": "integer", "description": "The connection id."}},
        parameters=(Parameter("id", "The connection id.", {"type": "integer"}, "path"),),
        body={"query_only": _flag("Only the statement that runs, if there is one.")},
        errors=(404,),
    ),
    Route(
        "explain",
        "POST",
        "explain",
        "Where a statement would go, and why; it is not run.",
        {"columns": _COLUMNS, "rows": _ROWS, "plan": {"type": "object", "description": "The plan."}},
        "As `EXPLAIN ROUTE`. Tables of sharded schemas are known as the router has read them from the shards.",
        body={
            "sql": _SQL,
            "user": _text("User of the router."),
            "schema": _text("Default database; that of the user if not given."),
            "client": _text("Address the client comes from, for rules."),
        },
        required=("sql", "user"),
        errors=(404, 503),
    ),
    Route(
        "reload",
        "POST",
        "reload",
        "Read the configuration file again and go by it.",
        {"changes": _CHANGES},
        errors=(409, 422),
    ),
    Route(
        "readChanges",
        "GET",
        "config/changes",
        "What a reload would change; nothing is done.",
        {"changes": _CHANGES},
        errors=(409, 422),
    ),
    Route(
        "setMaintenance",
        "POST",
        "maintenance",
        "Whether `/readyz` fails and new logins are refused; sessions go on.",
        {"on": _flag("Whether it is so now.")},
        body={"on": _flag("Whether it is to be so.")},
        required=("on",),
    ),
    Route(
        "readLog",
        "GET",
        "log",
        "The newest lines of the log.",
        {"lines": _list(_one(LogLine), "The oldest first.")},
        parameters=(
            Parameter("after", "Only lines with a larger number.", {"type": "integer", "default": 0}),
            Parameter(
                "level",
                "Only this level and worse.",
                {"enum": ["debug", "info", "warning", "error"], "default": "debug"},
            ),
        ),
    ),
    Route("readDescription", "GET", "openapi.json", "This API as an OpenAPI document.", {}),
)


# -- what a request sends ----------------------------------------------------------------------------------------------

_PYTHON: Final[Mapping[str, type]] = {"string": str, "boolean": bool}


def values_of(route: Route, given: object) -> dict[str, Any]:
    """The properties of a body, all optional ones that are missing as None. Raises ValueError for what does not fit."""
    declared = route.body or {}
    if not isinstance(given, dict):
        raise ValueError("the body must be a JSON object")
    for name in given:
        if name not in declared:
            raise ValueError(f"'{str(name)[:64]}' is not expected here{did_you_mean(str(name), declared)}")
    found: dict[str, Any] = {}
    for name, schema in declared.items():
        value = given.get(name)
        if value is None and name in route.required:
            raise ValueError(f"'{name}' is missing")
        if value is not None and not isinstance(value, _PYTHON[schema["type"]]):
            raise ValueError(f"'{name}' must be a {schema['type']}")
        if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > MAX_STATEMENT:
            raise ValueError(f"'{name}' has {MAX_STATEMENT} bytes at most")
        found[name] = value
    return found
