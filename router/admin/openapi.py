"""The OpenAPI document of the HTTP API, and its reference page; ``python -m router.admin.openapi`` prints the page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.admin.routes import PREFIX, ROUTES, Parameter, Route

_ERRORS: Final = {
    400: ("Mistake", "Something in the request is wrong."),
    401: ("Unknown", "Name and password are wrong or missing (`admin.users`)."),
    403: ("Foreign", "The request comes from another site, or names the router in a way that is not its own."),
    404: ("Missing", "There is nothing of that name."),
    409: ("Unusable", "The configuration cannot be used: an address, a certificate or the like cannot be had."),
    413: ("Large", "The request is too large."),
    415: ("Form", "What changes something is sent with `Content-Type: application/json`."),
    503: ("Failed", "No worker answers."),
    422: ("Wrong", "The configuration file is wrong; `problems` say where."),
}
_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What is wrong."},
        "code": {"type": "integer", "description": "Number of the error in the MySQL protocol, for `query`."},
        "problems": {"type": "array", "items": {"type": "string"}, "description": "Places in the configuration file."},
    },
    "required": ["error"],
}


def errors_of(route: Route) -> tuple[int, ...]:
    """The statuses of what goes wrong."""
    always = (400, 401, 403, 413, 415) if route.method == "POST" else (400, 401, 403)
    return tuple(sorted({*always, *route.errors}))


def document(version: str) -> dict[str, Any]:
    """The API as OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(f"{PREFIX}{route.path}", {})[route.method.lower()] = _operation(route)
    responses: dict[str, Any] = {
        name: {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for name, text in _ERRORS.values()
    }
    responses["Unknown"] = {"description": _ERRORS[401][1]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mysql-query-router",
            "version": version,
            "description": "What operators see of a running router, and what they tell it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "`admin.http` of the configuration."}],
        # Without admin.users nothing is asked for.
        "security": [{"basic": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "responses": responses,
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic", "description": "`admin.users`."}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if route.description:
        operation["description"] = route.description
    if route.parameters:
        operation["parameters"] = [_parameter(each) for each in route.parameters]
    if route.method == "POST":
        operation["requestBody"] = {
            "required": bool(route.required),
            "content": {"application/json": {"schema": _body(route)}},
        }
    answers: dict[str, Any] = {
        "200": {"description": "Done.", "content": {"application/json": {"schema": answer_schema(route)}}}
    }
    answers |= {str(status): {"$ref": f"#/components/responses/{_ERRORS[status][0]}"} for status in errors_of(route)}
    return {**operation, "responses": answers}


def _body(route: Route) -> dict[str, Any]:
    properties = {
        name: schema if name in route.required else {**schema, "type": [schema["type"], "null"]}
        for name, schema in (route.body or {}).items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(route.required),
        "additionalProperties": False,
    }


def answer_schema(route: Route) -> dict[str, Any]:
    """What the body of an answer is like."""
    if not route.answer:
        return {"type": "object"}
    return {
        "type": "object",
        "properties": dict(route.answer),
        "required": list(route.answer),
        "additionalProperties": False,
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": each.name,
        "in": each.where,
        "description": each.description,
        "schema": each.schema,
    }
    if each.where == "path":
        found["required"] = True
    if each.schema.get("type") == "object":
        found |= {"style": "form", "explode": True}
    return found


# -- the page ----------------------------------------------------------------------------------------------------------

_HEAD = """\
# The HTTP API

<!-- Generated by `make docs` from router/admin/routes.py and openapi.py; edit the descriptions there. -->

Served at `admin.http` (by default `127.0.0.1:8307`), in JSON, and described for programs by
[OpenAPI](https://spec.openapis.org/oas/v3.1.0) at `/api/v1/openapi.json`. The [console](../how-to/console.md) is made
of it, and so are `router server`, `router group` and `router reload`.

- **Who may use it:** `admin.users`, by HTTP basic authentication. Without users, whoever reaches the address.
- **Browsers:** a request names the router in `Host` by an address, as `localhost` or as `admin.http` does; what comes
  from another site is refused; POST needs `Content-Type: application/json`, with or without a body.
- **Statements** are shown with `?` for their literals, which may be secrets, unless `texts` asks for them; that is
  logged.
- **Mistakes** are answered with a status of 400 or more and `{"error": "…"}`.
- **Numbers** that are not finite are texts: `"inf"`.

```console
$ curl -s 'localhost:8307/api/v1/tables/sessions?state=running&order=-state_seconds&limit=10'
$ curl -s localhost:8307/api/v1/query --json '{"sql": "SELECT user, COUNT(*) FROM sessions GROUP BY user"}'
$ curl -s localhost:8307/api/v1/sessions/42/kill --json '{"query_only": true}'
```
"""


def page() -> str:
    """The reference page in Markdown."""
    lines = [_HEAD, "## All of it", "", "| request | |", "|---|---|"]
    lines += [
        f"| [`{route.method} {PREFIX}{route.path}`](#{route.name.lower()}) | {route.summary} |" for route in ROUTES
    ]
    for route in ROUTES:
        lines += ["", f"## {route.name}", "", f"`{route.method} {PREFIX}{route.path}`", "", route.summary]
        lines += ["", route.description] if route.description else []
        lines += _shown("given", ((each.name, each.schema, each.description) for each in route.parameters))
        lines += _shown("in the body", _properties(route.body or {}, route.required))
        lines += _shown("in the answer", _properties(route.answer, tuple(route.answer)))
        problems = [f"{status}: {_ERRORS[status][1]}" for status in route.errors]
        lines += ["", *problems] if problems else []
    lines += ["", "## Errors", "", "| status | |", "|---|---|"]
    lines += [f"| {status} | {text} |" for status, (_, text) in sorted(_ERRORS.items())]
    return "\n".join(lines) + "\n"


def _properties(schemas: Mapping[str, Any], required: tuple[str, ...]) -> Iterable[tuple[str, Mapping[str, Any], str]]:
    for name, schema in schemas.items():
        text = schema.get("description", "")
        yield name, schema, text if name in required else f"Optional. {text}"


def _shown(what: str, rows: Iterable[tuple[str, Mapping[str, Any], str]]) -> list[str]:
    lines = [f"| `{name}` | {_kind(schema)} | {_text(schema, text)} |" for name, schema, text in rows]
    return ["", f"| {what} | type | |", "|---|---|---|", *lines] if lines else []


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "text")
    return f"list of {_kind(schema['items'])}" if kind == "array" else "text" if kind == "string" else str(kind)


def _text(schema: Mapping[str, Any], text: str) -> str:
    """With what its parts are, where they have names."""
    inner = schema.get("items", schema).get("properties", {})
    parts = ", ".join(f"`{name}`" for name in inner)
    choice = ", ".join(f"`{each}`" for each in schema.get("enum", ()))
    return " ".join(
        each for each in (text, f"With {parts}." if parts else "", f"One of {choice}." if choice else "") if each
    )


if __name__ == "__main__":
    sys.stdout.write(page())
