"""The command line: run, check, explain, server, group, schema, import, hash-password, demo.

Exit codes: 0 all is well, 1 it failed while running, 2 wrong usage, 78 the configuration file is wrong (EX_CONFIG of
sysexits.h). Everything heavy is imported by the command that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from router.config.models import RouterConfig
    from router.errors import Problem
    from router.importing.draft import Draft
    from router.planner.catalog import Catalog

EX_CONFIG = 78

app = typer.Typer(
    name="router",
    help="A query router for MySQL and MariaDB. `router --config routes.yaml` runs it.",
    rich_markup_mode=None,  # plain help: rich alone would take half of the time
    pretty_exceptions_enable=False,  # they print local variables, and those hold passwords
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

servers = typer.Typer(help="What the servers of a running router do; drain and undrain them.")
groups = typer.Typer(help="Pause the groups of a running router, and let them go on.")
app.add_typer(servers, name="server")
app.add_typer(groups, name="group")
imports = typer.Typer(help="Convert the configuration of another router; what was not carried over is told.")
app.add_typer(imports, name="import")

# As in router.log, which is too heavy to import for --help; a test compares them.
Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="ROUTER_CONFIG", metavar="FILE", help="The configuration file.")
]
FormatOption = Annotated[
    Format | None,
    typer.Option("--log-format", envvar="ROUTER_LOG_FORMAT", help="How to log; default: what the file says."),
]
LevelOption = Annotated[
    Level | None,
    typer.Option("--log-level", envvar="ROUTER_LOG_LEVEL", help="What to log; default: what the file says."),
]


@dataclass(frozen=True, slots=True)
class _Given:
    """Options given before the command's name; those after it win."""

    config: Path | None = None
    log_format: Format | None = None
    log_level: Level | None = None


def main() -> None:
    """Entry point of the console script."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"router {version('mysql-query-router')}")
        except PackageNotFoundError:
            typer.echo("router (not installed as a package)")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    config: ConfigOption = None,
    log_format: FormatOption = None,
    log_level: LevelOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A query router for MySQL and MariaDB. `router --config routes.yaml` runs it."""
    context.obj = _Given(config, log_format, log_level)
    if context.invoked_subcommand is None:
        run(context)


@app.command()
def run(
    context: typer.Context,
    config: ConfigOption = None,
    log_format: FormatOption = None,
    log_level: LevelOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reload the configuration whenever the file changes.")] = False,
) -> None:
    """Run the router until it is told to stop (SIGTERM, SIGINT); SIGHUP reloads the configuration."""
    path = _config_path(context, config)
    loaded = _load(path)
    from router import log
    from router.config.loader import warnings
    from router.gateway import run as run_gateway

    given: _Given = context.obj
    log.setup(
        log_format or given.log_format or loaded.logging.format, log_level or given.log_level or loaded.logging.level
    )
    import structlog

    for warning in warnings(loaded):
        structlog.get_logger("router.config").warning("configuration", problem=str(warning))
    raise typer.Exit(run_gateway(path, loaded, watching=watch))


@app.command()
def reload(context: typer.Context, config: ConfigOption = None) -> None:
    """Have the running router read its configuration again, and show what is different."""
    found = _asked(context, config, "POST", "reload", timeout="60s")
    for change in found["changes"] or ["nothing has changed"]:
        typer.echo(change)


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The configuration file.")] = None,
    config: ConfigOption = None,
    online: Annotated[bool, typer.Option("--online", help="Look at the servers and the tables there, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is found as JSON.")] = False,
) -> None:
    """Tell everything that is wrong with a configuration file, with line and column."""
    path = file if file is not None else _config_path(context, config)
    loaded = _load(path, as_json=as_json)
    from router.config.loader import warnings

    warned = warnings(loaded)
    if online:
        _check_online(path, loaded, warned, as_json)
        return
    if as_json:
        _print_json([], warned)
        return
    _print_warnings(warned)
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
        _print_json(problems, warned, servers=servers, tables=[asdict(each) for each in report.tables])
    else:
        _print_warnings(warned)
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
        typer.echo(_columns([["group", "server", "role", "version", "tls"], *servers_found]))
        if report.tables:
            tables_found = [
                [f"{each.schema}.{each.table}", ", ".join(each.shards), each.key, each.state] for each in report.tables
            ]
            typer.echo("\n" + _columns([["table", "shards", "key", "state"], *tables_found]))
        if not problems:
            typer.echo(f"\n{path}: ok: {_summary(config)}")
    if problems:
        raise typer.Exit(1)


def _print_warnings(warned: list[Problem]) -> None:
    for warning in warned:
        place, _, message = str(warning).partition(": ")
        typer.echo(f"{place}: warning: {message}", err=True)


def _print_json(problems: list[Problem], warned: list[Problem], **more: object) -> None:
    import json
    from dataclasses import asdict

    found = [
        {"severity": severity, **asdict(each)}
        for severity, several in (("error", problems), ("warning", warned))
        for each in several
    ]
    typer.echo(json.dumps({"ok": not problems, **more, "problems": found}, indent=2, ensure_ascii=False))


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


@app.command()
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
    loaded = _load(_config_path(context, config))
    if user is None:
        user = next(iter(loaded.users))
    elif user not in loaded.users:
        _usage(f"there is no user '{user}' in the configuration")
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
        _fail(f"{tables}: {error.strerror if isinstance(error, OSError) else error}")
    return Catalog.build(config, 0, {name: found for name, schema in config.schemas.items() if schema.shards})


def _explained(catalog: Catalog, sql: str, user: str, schema: str | None, client: str | None, as_json: bool) -> str:
    import json

    from router.planner.binding import TextValues, bind
    from router.planner.explain import COLUMNS, explain_json, explain_rows
    from router.planner.lookup import NeedsKeys
    from router.planner.plan import Bound, Local, Plan, Refused, Sharded, plan_json
    from router.planner.planner import PlanContext, Planner
    from router.sql.lexer import LexMode

    planner, mode = Planner(catalog), LexMode()
    context = PlanContext(user=user, schema=schema, mode=mode, client=client)
    text = sql.encode()
    plan = planner.plan(text, context)
    if isinstance(plan, Local) and plan.sql:  # somebody pasted EXPLAIN ROUTE along with the statement
        text = plan.sql
        plan = planner.plan(text, context)
    target: Plan | Bound = plan
    if isinstance(plan, Sharded):
        # What a table of keys, or ids, would say, nobody knows here: then it is told what decides.
        with suppress(NeedsKeys):
            target = bind(plan, TextValues(text, mode, "utf-8"), text, mode)
        target = plan if plan.made is not None and isinstance(target, Refused) else target
    if as_json:
        return (
            json.dumps(plan_json(plan), indent=2, ensure_ascii=False)
            if target is plan
            else explain_json(plan, explain_rows(target, None))
        )
    rows = [["" if value is None else str(value) for value in row] for row in explain_rows(target, None)]
    return _columns([list(COLUMNS), *rows])


def _columns(table: list[list[str]]) -> str:
    """Rows of text, the first one the heading, with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


ServerArgument = Annotated[str, typer.Argument(metavar="GROUP/SERVER", help="As in the configuration.")]
GroupArgument = Annotated[str | None, typer.Argument(metavar="GROUP", help="Default: all groups.")]


@servers.command("list")
def list_servers(context: typer.Context, config: ConfigOption = None) -> None:
    """Show all servers."""
    from router.admin.client import server_rows

    typer.echo(_columns(server_rows(_asked(context, config, "GET", "servers"))))


@servers.command()
def drain(
    context: typer.Context,
    server: ServerArgument,
    config: ConfigOption = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for who is held there.")] = "10s",
) -> None:
    """Send nothing new to a server, and wait until nobody is held there."""
    _operate(context, config, ["servers", *_place(server), "drain"], timeout=timeout)


@servers.command()
def undrain(context: typer.Context, server: ServerArgument, config: ConfigOption = None) -> None:
    """Use a server again."""
    _operate(context, config, ["servers", *_place(server), "undrain"])


@groups.command()
def pause(
    context: typer.Context,
    group: GroupArgument = None,
    config: ConfigOption = None,
    timeout: Annotated[str, typer.Option(help="After so long it goes on by itself.")] = "60s",
    wait: Annotated[str, typer.Option(help="How long to wait for what is under way.")] = "10s",
) -> None:
    """Let nothing new begin in a group, and wait until all is quiet; statements wait."""
    _operate(context, config, ["groups", *([group] if group else []), "pause"], wait=wait, timeout=timeout)


@groups.command()
def resume(context: typer.Context, group: GroupArgument = None, config: ConfigOption = None) -> None:
    """Let a group go on."""
    _operate(context, config, ["groups", *([group] if group else []), "resume"])


def _place(text: str) -> list[str]:
    group, slash, server = text.partition("/")
    if not slash:
        _usage("which server? Give GROUP/SERVER; `router server list` shows them")
    return [group, server]


def _operate(context: typer.Context, config: Path | None, path: list[str], **options: str) -> None:
    from router.admin.client import told

    found = _asked(context, config, "POST", *path, **options)
    for each in found["found"]:
        typer.echo(told(each))
    if not found["done"]:
        raise typer.Exit(1)


def _asked(context: typer.Context, config: Path | None, method: str, *path: str, **options: str) -> dict[str, Any]:
    from router.admin.client import ask, path_of
    from router.config.values import parse_duration
    from router.errors import OperationFailed

    loaded = _load(_config_path(context, config))
    # The first option is how long it may take.
    patience = next(iter(options.values()), "10s")
    try:
        return ask(loaded.admin, method, path_of(*path), parse_duration(patience) + 10, **options)
    except ValueError as error:
        _usage(f"'{patience}' {error}")
    except OperationFailed as error:
        _fail(str(error))


@app.command()
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


@imports.command("proxysql")
def import_proxysql(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Dumps of the admin database (SQL), or proxysql.cnf.")
    ],
) -> None:
    """Print a configuration made of ProxySQL's; exit code 1: something in it needs a human."""
    from router.importing.proxysql import import_proxysql

    _converted(lambda: import_proxysql([(str(file), _content(file)) for file in files]))


@imports.command("mycat")
def import_mycat(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with server.xml, schema.xml and rule.xml.")],
) -> None:
    """Print a configuration made of MyCat's (1.6); exit code 1: something in it needs a human."""
    from router.importing.mycat import import_mycat

    if not folder.is_dir():
        _fail(f"{folder} is no folder")
    found = sorted(file for file in folder.iterdir() if file.suffix in (".xml", ".txt") and file.is_file())
    _converted(lambda: import_mycat(str(folder), {file.name: _content(file) for file in found}))


def _content(file: Path) -> bytes:
    """What is in the file, or a little more of it than is accepted."""
    from router.importing.draft import MAX_SOURCE

    try:
        with file.open("rb") as source:
            return source.read(MAX_SOURCE + 1)
    except OSError as error:
        _fail(f"{file} cannot be read: {error.strerror}")


def _converted(convert: Callable[[], Draft]) -> None:
    from router.importing.draft import ImportProblem

    try:
        draft = convert()
    except ImportProblem as error:
        _fail(str(error))
    typer.echo(str(draft), nl=False)
    for remark in sorted(draft.remarks, key=lambda remark: remark.place):
        typer.echo(str(remark), err=True)
    if not draft.complete:
        raise typer.Exit(1)


@app.command("hash-password")
def hash_password(
    plugin: Annotated[
        Literal["caching_sha2_password", "mysql_native_password", "ed25519"],
        typer.Option(help="caching_sha2_password gives `$A$…`, mysql_native_password `*…`, ed25519 a key."),
    ] = "caching_sha2_password",
) -> None:
    """Turn a password into a `password_hash`; it is asked for, or read from standard input, never an argument."""
    import secrets
    import string

    from router.wire.ed25519 import ed25519_key, format_ed25519
    from router.wire.scramble import make_sha2_crypt, native_hash

    password = _ask_password().encode()
    if plugin == "mysql_native_password":
        typer.echo("*" + native_hash(password).hex().upper())
        return
    if plugin == "ed25519":
        typer.echo(format_ed25519(ed25519_key(password)))
        return
    # MySQL allows almost any byte in the salt; letters and digits survive every editor and shell.
    letters = string.ascii_letters + string.digits
    salt = "".join(secrets.choice(letters) for _ in range(20))
    typer.echo(make_sha2_crypt(password, salt.encode()))


def _ask_password() -> str:
    if sys.stdin.isatty():
        import getpass

        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            _fail("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        _fail("the password is empty")
    return password


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Stop the one left running.")] = False,
) -> None:
    """Start a private primary with two replicas, two shards and the router in front of them."""
    from router.demo import main as demo_main

    flags = [flag for flag, given in (("--detach", detach), ("--down", down)) if given]
    raise typer.Exit(demo_main([*flags, *context.args]))


def _config_path(context: typer.Context, config: Path | None) -> Path:
    """The file of this command, or the one given before the command's name."""
    path = config if config is not None else context.obj.config
    if path is None:
        _usage("which configuration? Give --config FILE or set ROUTER_CONFIG")
    return Path(path)


def _load(path: Path, *, as_json: bool = False) -> RouterConfig:
    from router.config.loader import load
    from router.errors import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        if as_json:
            _print_json(error.problems, [])
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(EX_CONFIG) from None


def _usage(message: str) -> NoReturn:
    typer.echo(f"router: {message} (router --help tells more)", err=True)
    raise typer.Exit(2)


def _fail(message: str) -> NoReturn:
    typer.echo(f"router: {message}", err=True)
    raise typer.Exit(1)
