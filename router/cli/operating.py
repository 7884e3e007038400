"""What is asked of a running router: reload, drain, pause, status, top."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.common import ConfigOption, asked, columns, config_path, configured, fail, load_file, usage

if TYPE_CHECKING:
    from router.admin.top import Sample
    from router.config.models import Admin

# Seconds that a running router has to tell how it is.
_PATIENCE = 10.0


def _servers(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: the servers of the configuration."""
    found = configured(context)
    groups = () if found is None else found.groups.items()
    names = [f"{name}/{server.name or server.address}" for name, group in groups for server in group.servers]
    return [name for name in names if name.startswith(incomplete)]


def _groups(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell: the groups of the configuration."""
    found = configured(context)
    return [name for name in (() if found is None else found.groups) if name.startswith(incomplete)]


ServerArgument = Annotated[
    str, typer.Argument(metavar="GROUP/SERVER", help="As in the configuration.", autocompletion=_servers)
]
GroupArgument = Annotated[
    str | None, typer.Argument(metavar="GROUP", help="Default: all groups.", autocompletion=_groups)
]


def reload(context: typer.Context, config: ConfigOption = None) -> None:
    """Have the running router read its configuration again, and show what is different."""
    found = asked(context, config, "POST", "reload", timeout="60s")
    for change in found["changes"] or ["nothing has changed"]:
        typer.echo(change)


def list_servers(context: typer.Context, config: ConfigOption = None) -> None:
    """Show all servers."""
    from router.admin.client import server_rows

    typer.echo(columns(server_rows(asked(context, config, "GET", "servers"))))


def drain(
    context: typer.Context,
    server: ServerArgument,
    config: ConfigOption = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for who is held there.")] = "10s",
) -> None:
    """Send nothing new to a server, and wait until nobody is held there."""
    _operate(context, config, ["servers", *_place(server), "drain"], timeout=timeout)


def undrain(context: typer.Context, server: ServerArgument, config: ConfigOption = None) -> None:
    """Use a server again."""
    _operate(context, config, ["servers", *_place(server), "undrain"])


def pause(
    context: typer.Context,
    group: GroupArgument = None,
    config: ConfigOption = None,
    timeout: Annotated[str, typer.Option(help="After so long it goes on by itself.")] = "60s",
    wait: Annotated[str, typer.Option(help="How long to wait for what is under way.")] = "10s",
) -> None:
    """Let nothing new begin in a group, and wait until all is quiet; statements wait."""
    _operate(context, config, ["groups", *([group] if group else []), "pause"], wait=wait, timeout=timeout)


def resume(context: typer.Context, group: GroupArgument = None, config: ConfigOption = None) -> None:
    """Let a group go on."""
    _operate(context, config, ["groups", *([group] if group else []), "resume"])


def _place(text: str) -> list[str]:
    group, slash, server = text.partition("/")
    if not slash:
        usage("which server? Give GROUP/SERVER; `router server list` shows them")
    return [group, server]


def _operate(context: typer.Context, config: Path | None, path: list[str], **options: str) -> None:
    from router.admin.client import told

    found = asked(context, config, "POST", *path, **options)
    for each in found["found"]:
        typer.echo(told(each))
    if not found["done"]:
        raise typer.Exit(1)


def status(
    context: typer.Context,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Tell whether the running router can serve, and how its servers are; exit status 1 if it cannot."""
    import json

    from rich.console import Console, Group

    from router.admin import top as view

    sample = _sample(load_file(config_path(context, config)).admin)
    if as_json:
        typer.echo(json.dumps(view.status(sample), indent=2, ensure_ascii=False))
    else:
        since_start = view.Difference(None, sample)
        Console(highlight=False).print(Group(view.headline(since_start), "", view.servers(since_start)))
    if sample.not_ready is not None:
        raise typer.Exit(1)


def top(
    context: typer.Context,
    config: ConfigOption = None,
    interval: Annotated[str, typer.Option(help="Time between two looks.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Look twice, print, and end.")] = False,
) -> None:
    """Show what the running router does, until Ctrl-C."""
    import time
    from contextlib import suppress

    from rich.console import Console
    from rich.live import Live

    from router.admin.top import Difference, screen
    from router.config.values import parse_duration

    try:
        pause = max(0.1, parse_duration(interval))
    except ValueError as error:
        usage(f"'{interval}' {error}")
    admin = load_file(config_path(context, config)).admin
    console = Console(highlight=False)
    before = _sample(admin)
    if once:
        time.sleep(pause)
        console.print(screen(Difference(before, _sample(admin)), console.height))
        return
    with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        difference = Difference(None, before)
        while True:
            live.update(screen(difference, console.height), refresh=True)
            time.sleep(pause)
            sample = _sample(admin)
            difference, before = Difference(before, sample), sample


def _sample(admin: Admin) -> Sample:
    from time import monotonic

    from router.admin.client import ask, not_ready, path_of
    from router.admin.top import TABLES, Sample
    from router.errors import OperationFailed

    try:
        reason = not_ready(admin, _PATIENCE)
        found = ask(admin, "GET", path_of("snapshot"), _PATIENCE, tables=",".join(TABLES))
    except OperationFailed as error:
        fail(str(error))
    return Sample.take(found["tables"], monotonic(), reason)
