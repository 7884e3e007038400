"""What all commands share: the options in front of them, the configuration file, and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from router.config.models import RouterConfig
    from router.errors import Problem

EX_CONFIG = 78

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
TakeoverOption = Annotated[
    bool, typer.Option("--takeover", help="Take the listening sockets of the router that runs, which then drains.")
]


@dataclass(frozen=True, slots=True)
class Given:
    """Options given before the command's name; those after it win."""

    config: Path | None = None
    log_format: Format | None = None
    log_level: Level | None = None


def columns(table: list[list[str]]) -> str:
    """Rows of text, the first one the heading, with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def print_warnings(warned: list[Problem]) -> None:
    """A line each, on standard error."""
    for warning in warned:
        place, _, message = str(warning).partition(": ")
        typer.echo(f"{place}: warning: {message}", err=True)


def print_json(problems: list[Problem], warned: list[Problem], **more: object) -> None:
    """For programs: all that was found, and ``more``."""
    import json
    from dataclasses import asdict

    found = [
        {"severity": severity, **asdict(each)}
        for severity, several in (("error", problems), ("warning", warned))
        for each in several
    ]
    typer.echo(json.dumps({"ok": not problems, **more, "problems": found}, indent=2, ensure_ascii=False))


def asked(context: typer.Context, config: Path | None, method: str, *path: str, **options: str) -> dict[str, Any]:
    """What the running router answers; ends the command when it does not."""
    from router.admin.client import ask, path_of
    from router.config.values import parse_duration
    from router.errors import OperationFailed

    loaded = load_file(config_path(context, config))
    # The first option is how long it may take.
    patience = next(iter(options.values()), "10s")
    try:
        return ask(loaded.admin, method, path_of(*path), parse_duration(patience) + 10, **options)
    except ValueError as error:
        usage(f"'{patience}' {error}")
    except OperationFailed as error:
        fail(str(error))


def config_path(context: typer.Context, config: Path | None) -> Path:
    """The file of this command, or the one given before the command's name."""
    path = config if config is not None else context.obj.config
    if path is None:
        usage("which configuration? Give --config FILE or set ROUTER_CONFIG")
    return Path(path)


def configured(context: typer.Context) -> RouterConfig | None:
    """For the shell, which completes a command: the configuration, if it is known and right."""
    import os

    from router.config.loader import load
    from router.errors import ConfigError

    path: str | None = None
    place: Any = context
    while place is not None and not path:
        path, place = place.params.get("config"), place.parent
    path = path or os.environ.get("ROUTER_CONFIG")
    if not path:
        return None
    try:
        return load(Path(path))
    except ConfigError:
        return None


def load_file(path: Path, *, as_json: bool = False) -> RouterConfig:
    """The configuration; ends the command when it is wrong."""
    from router.config.loader import load
    from router.errors import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        if as_json:
            print_json(error.problems, [])
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(EX_CONFIG) from None


def usage(message: str) -> NoReturn:
    """End the command: it was given wrongly."""
    typer.echo(f"router: {message} (router --help tells more)", err=True)
    raise typer.Exit(2)


def fail(message: str) -> NoReturn:
    """End the command: it could not be done."""
    typer.echo(f"router: {message}", err=True)
    raise typer.Exit(1)
