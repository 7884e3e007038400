"""MariaDB's ed25519 against MariaDB's own numbers and PyMySQL's signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql._auth import ed25519_password

from router.wire.ed25519 import check_ed25519, ed25519_key, ed25519_sign, format_ed25519, parse_ed25519

NONCE = bytes(range(100, 132))
FOO = "vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4TI"


# SELECT ed25519_password(…) of MariaDB 10.11
@pytest.mark.parametrize(
    ("password", "stored"),
    [
        (b"foo", FOO),
        (b"foobar", "qv2mG6HWCuy32Slb5xhV4THStewNz2VINVPbgk+XAJ8"),
        (b"foo bar", "Y5fV74JAVRMOK2cdnUsYS+WW9sXaaL/o+6WGKOgqnzc"),
        (b"bar", "pfzkeWMzkTefY1oshXS+/kATeN51M+4jxi3/cbyTd10"),
    ],
)
def test_keys_as_mariadb_computes_them(password: bytes, stored: str) -> None:
    assert format_ed25519(ed25519_key(password)) == stored
    assert parse_ed25519(stored) == ed25519_key(password)


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32))
def test_signatures_are_those_of_another_client(password: bytes, nonce: bytes) -> None:
    signature = ed25519_sign(password, nonce)
    assert signature == ed25519_password(password, nonce)
    assert check_ed25519(ed25519_key(password), nonce, signature)


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 511))
def test_only_the_right_password_is_proven(password: bytes, other: bytes, bit: int) -> None:
    signature = ed25519_sign(password, NONCE)
    key = ed25519_key(password)
    assert check_ed25519(ed25519_key(other), NONCE, signature) is (other == password)
    assert not check_ed25519(key, NONCE[::-1], signature)
    damaged = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not check_ed25519(key, NONCE, damaged)


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 128])
def test_signatures_of_another_length_are_just_wrong(size: int) -> None:
    assert not check_ed25519(ed25519_key(b"foo"), NONCE, bytes(size))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), b"\1" + bytes(31), b"\xff" * 32])
def test_keys_that_are_none_prove_nothing(key: bytes) -> None:
    """Points of small order would accept signatures that anybody can make."""
    assert not check_ed25519(key, NONCE, bytes(64))
    assert not check_ed25519(key, NONCE, b"\1" + bytes(63))


@pytest.mark.parametrize("text", ["", FOO + "=", FOO[1:], FOO + "A", "*" + FOO[1:], FOO[:-1] + "\n", "é" * 43])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="not an ed25519 key"):
        parse_ed25519(text)
