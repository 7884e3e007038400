"""``router hash-password``."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from router.cli.common import fail


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
            fail("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        fail("the password is empty")
    return password
