"""``router check``, ``router explain``, ``router schema``: what the configuration says, without running it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.common import (
    ConfigOption,
    columns,
    config_path,
    fail,
    load_file,
    print_json,
    print_warnings,
    usage,
)

if TYPE_CHECKING:
    from router.config.models import RouterConfig
    from router.errors import Problem
    from router.planner.catalog import Catalog


def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The configuration file.")] = None,
    config: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Look at the servers and the tables there, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Tell everything that is wrong with a configuration file, with line and column."""
    path = file if file is not None else config_path(context, config)
    loaded = load_file(path, as_json=as_json)
    from router.config.loader import warnings

    warned = warnings(loaded)
    if online:
        _check_online(path, loaded, warned, as_json)
        return
    if as_json:
        print_json([], warned)
        return
    print_warnings(warned)
    typer.echo(f"{path}: ok: {_summary(loaded)}")


def _check_online(path: Path, config: RouterConfig, warned: list[Problem], as_json: bool) -> None:
    import asyncio
    from dataclasses import asdict

    from router import log
    from router.config.loader import located
    from router.gateway import look_at_servers

    log.setup("console", "error")
    report = asyncio.run(look_at_servers(config))
    problems = located(path, report.problems)
    warned = [*warned, *located(path, report.warnings)]
    if as_json:
        servers = [asdict(each) for each in report.servers]
        print_json(problems, warned, servers=servers, tables=[asdict(each) for each in report.tables])
    else:
        print_warnings(warned)
        for problem in problems:
            typer.echo(str(problem), err=True)
        servers_found = [
            [
                each.group,
                each.server,
                each.role or "?",
                f"{each.flavor} {each.version}".strip() or "no answer",
                each.tls,
            ]
            for each in report.servers
        ]
        typer.echo(columns([["group", "server", "role", "version", "tls"], *servers_found]))
        if report.tables:
            tables_found = [
                [f"{each.schema}.{each.table}", ", ".join(each.shards), each.key, each.state] for each in report.tables
            ]
            typer.echo("\n" + columns([["table", "shards", "key", "state"], *tables_found]))
        if not problems:
            typer.echo(f"\n{path}: ok: {_summary(config)}")
    if problems:
        raise typer.Exit(1)


def _summary(config: RouterConfig) -> str:
    def count(number: int, word: str) -> str:
        return f"{number} {word}" if number == 1 else f"{number} {word}s"

    servers = sum(len(group.servers) for group in config.groups.values())
    listeners = ", ".join(str(listener.address) for listener in config.listeners)
    parts = [count(len(config.groups), "group"), count(servers, "server"), count(len(config.users), "user")]
    if config.schemas:
        parts.append(count(len(config.schemas), "schema"))
    if config.rules:
        parts.append(count(len(config.rules), "rule"))
    return f"{', '.join(parts)}; listens on {listeners}"


def explain(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="The statement; - reads it from standard input.")],
    config: ConfigOption = None,
    user: Annotated[str | None, typer.Option(help="User of the router; default: the first one.")] = None,
    schema: Annotated[str | None, typer.Option(help="Default database; default: that of the user.")] = None,
    client: Annotated[str | None, typer.Option(help="Address the client comes from, for rules.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    tables: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CREATE TABLE statements of the sharded tables.")
    ] = None,
) -> None:
    """Tell where a statement would go and why, without any server."""
    loaded = load_file(config_path(context, config))
    if user is None:
        user = next(iter(loaded.users))
    elif user not in loaded.users:
        usage(f"there is no user '{user}' in the configuration")
    if schema is None:
        schema = loaded.users[user].default_schema
    text = sys.stdin.read() if sql == "-" else sql
    catalog = _catalog(loaded, tables)
    typer.echo(_explained(catalog, text, user, schema, client, as_json))
    unknown = sorted(
        {f"{each.name}.{table.name}" for each in catalog.sharded.values() for table in each.tables.values()}
        - {
            f"{each.name}.{table.name}"
            for each in catalog.sharded.values()
            for table in each.tables.values()
            if table.definition is not None
        }
    )
    if unknown:
        message = f"router: the columns of {', '.join(unknown)} are not known here, nor the types of their keys"
        typer.echo(f"{message}; --tables FILE gives them, as CREATE TABLE statements", err=True)


def _catalog(config: RouterConfig, tables: Path | None) -> Catalog:
    """The configuration, with the tables that a file creates in every sharded schema."""
    from router.planner.catalog import Catalog

    if tables is None:
        return Catalog.build(config, generation=0)
    from router.cluster.schema import defined
    from router.planner.created import Unreadable, tables_of

    try:
        found = defined(tables_of(tables.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        fail(f"{tables}: {error.strerror if isinstance(error, OSError) else error}")
    return Catalog.build(config, 0, {name: found for name, schema in config.schemas.items() if schema.shards})


def _explained(catalog: Catalog, sql: str, user: str, schema: str | None, client: str | None, as_json: bool) -> str:
    from router.planner.explaining import explained

    found = explained(catalog, sql, user, schema, client)
    if as_json:
        return found.document
    rows = [["" if value is None else str(value) for value in row] for row in found.rows]
    return columns([list(found.columns), *rows])


def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference page instead.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="Print the reference page of the admin interface.")] = False,
) -> None:
    """Print the JSON schema of the configuration file, for editors."""
    import json

    from router.config.reference import json_schema, reference_page

    if admin:
        from router.admin import reference

        typer.echo(reference.reference_page(), nl=False)
    elif markdown:
        typer.echo(reference_page(), nl=False)
    else:
        typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
