"""The command line: run, check, explain, server, group, schema, import, hash-password, demo.

Exit codes: 0 all is well, 1 it failed while running, 2 wrong usage, 78 the configuration file is wrong (EX_CONFIG of
sysexits.h). Everything heavy is imported by the command that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from router.cli import checking, converting, operating, passwords
from router.cli.common import ConfigOption, FormatOption, Given, LevelOption, TakeoverOption, config_path, load_file

app = typer.Typer(
    name="router",
    help="A query router for MySQL and MariaDB. `router --config routes.yaml` runs it.",
    rich_markup_mode=None,  # plain help: rich alone would take half of the time
    pretty_exceptions_enable=False,  # they print local variables, and those hold passwords
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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
    takeover: TakeoverOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A query router for MySQL and MariaDB. `router --config routes.yaml` runs it."""
    context.obj = Given(config, log_format, log_level)
    if context.invoked_subcommand is None:
        run(context, takeover=takeover)


def run(
    context: typer.Context,
    config: ConfigOption = None,
    log_format: FormatOption = None,
    log_level: LevelOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reload the configuration whenever the file changes.")] = False,
    takeover: TakeoverOption = False,
) -> None:
    """Run the router until it is told to stop (SIGTERM, SIGINT); SIGHUP reloads the configuration."""
    path = config_path(context, config)
    loaded = load_file(path)
    from router import log
    from router.config.loader import warnings
    from router.process.running import run as run_router

    given: Given = context.obj
    log.setup(
        log_format or given.log_format or loaded.logging.format, log_level or given.log_level or loaded.logging.level
    )
    import structlog

    for warning in warnings(loaded):
        structlog.get_logger("router.config").warning("configuration", problem=str(warning))
    raise typer.Exit(run_router(path, loaded, watching=watch, takeover=takeover))


def demo(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Stop the one left running.")] = False,
    load: Annotated[bool, typer.Option("--load", help="Keep some statements going.")] = False,
) -> None:
    """Start a private primary with two replicas, two shards and the router in front of them."""
    from router.demo import main as demo_main

    flags = [flag for flag, given in (("--detach", detach), ("--down", down), ("--load", load)) if given]
    raise typer.Exit(demo_main([*flags, *context.args]))


def _commands() -> None:
    """In the order in which help lists them."""
    app.command()(run)
    app.command()(checking.check)
    app.command()(checking.explain)
    app.command()(operating.status)
    app.command()(operating.top)
    app.command()(operating.reload)
    servers = typer.Typer(help="What the servers of a running router do; drain and undrain them.")
    servers.command("list")(operating.list_servers)
    servers.command()(operating.drain)
    servers.command()(operating.undrain)
    app.add_typer(servers, name="server")
    groups = typer.Typer(help="Pause the groups of a running router, and let them go on.")
    groups.command()(operating.pause)
    groups.command()(operating.resume)
    app.add_typer(groups, name="group")
    imports = typer.Typer(help="Convert the configuration of another router; what was not carried over is told.")
    imports.command("proxysql")(converting.import_proxysql)
    imports.command("mycat")(converting.import_mycat)
    app.add_typer(imports, name="import")
    app.command()(checking.schema)
    app.command("hash-password")(passwords.hash_password)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(demo)


_commands()
