"""`router hash-password`."""

from __future__ import annotations

import pytest
import typer

from router.cli import passwords
from router.config.checks import is_password_hash
from router.wire.scramble import check_sha2_crypt, native_hash
from tests.cli.ground import router


def test_hash_password() -> None:
    result = router("hash-password", stdin="pässword\n")
    stored = result.stdout.strip()
    assert is_password_hash(stored)
    assert check_sha2_crypt(stored, "pässword".encode())
    assert stored != router("hash-password", stdin="pässword\n").stdout.strip(), "every hash has its own salt"
    result = router("hash-password", "--plugin", "mysql_native_password", stdin="x")
    assert result.stdout.strip() == "*" + native_hash(b"x").hex().upper()
    assert is_password_hash(result.stdout.strip())
    result = router("hash-password", "--plugin", "ed25519", stdin="foo")
    assert result.stdout.strip() == "vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4TI"
    assert is_password_hash(result.stdout.strip())


def test_hash_password_takes_no_argument_and_no_empty_password() -> None:
    assert router("hash-password", "hunter2").returncode == 2
    result = router("hash-password", stdin="\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert "empty" in result.stderr


def test_hash_password_asks_twice_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["one", "two"]
    monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": staticmethod(lambda: True)}))
    with pytest.raises(typer.Exit) as raised:
        passwords._ask_password()
    assert raised.value.exit_code == 1
    answers[:] = ["one", "one"]
    assert passwords._ask_password() == "one"
