"""``router import``: the configuration of another router as a draft of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.common import fail

if TYPE_CHECKING:
    from router.importing.draft import Draft


def import_proxysql(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Dumps of the admin database (SQL), or proxysql.cnf.")
    ],
) -> None:
    """Print a configuration made of ProxySQL's; exit code 1: something in it needs a human."""
    from router.importing.proxysql import import_proxysql

    _converted(lambda: import_proxysql([(str(file), _content(file)) for file in files]))


def import_mycat(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with server.xml, schema.xml and rule.xml.")],
) -> None:
    """Print a configuration made of MyCat's (1.6); exit code 1: something in it needs a human."""
    from router.importing.mycat import import_mycat

    if not folder.is_dir():
        fail(f"{folder} is no folder")
    found = sorted(file for file in folder.iterdir() if file.suffix in (".xml", ".txt") and file.is_file())
    _converted(lambda: import_mycat(str(folder), {file.name: _content(file) for file in found}))


def _content(file: Path) -> bytes:
    """What is in the file, or a little more of it than is accepted."""
    from router.importing.draft import MAX_SOURCE

    try:
        with file.open("rb") as source:
            return source.read(MAX_SOURCE + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def _converted(convert: Callable[[], Draft]) -> None:
    from router.importing.draft import ImportProblem

    try:
        draft = convert()
    except ImportProblem as error:
        fail(str(error))
    typer.echo(str(draft), nl=False)
    for remark in sorted(draft.remarks, key=lambda remark: remark.place):
        typer.echo(str(remark), err=True)
    if not draft.complete:
        raise typer.Exit(1)
