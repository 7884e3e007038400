"""Accounts: what is known of each user, from where they may come, how many they may be."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from router.backend.connector import BackendUser
from router.config.models import RouterConfig, User
from router.errors import AccessDenied, MySQLError
from router.frontend.auth import Account, Directory, RsaKeyPair, backend_user
from router.wire.ed25519 import ed25519_key, format_ed25519
from router.wire.handshake import Credential
from router.wire.scramble import (
    check_native,
    check_sha2_crypt,
    check_sha2_fast,
    make_sha2_crypt,
    native_hash,
    native_scramble,
    sha2_digest,
    sha2_scramble,
)

NONCE = bytes(range(65, 85))
PASSWORD = "Пароль✓"
CRYPT = make_sha2_crypt(PASSWORD.encode(), b"saltsaltsaltsaltsalt", 5000)
NATIVE = "*" + native_hash(PASSWORD.encode()).hex().upper()


def directory(**user: Any) -> Directory:
    """A directory with one user, ``app``."""
    user = user or {"password": PASSWORD}
    settings = {"groups": {"main": {"servers": ["127.0.0.1:3306"]}}, "users": {"app": user}}
    return Directory(RouterConfig.model_validate(settings))


def account(**user: Any) -> Account:
    return directory(**user).account("app")


def hashed(stored: str, **more: Any) -> dict[str, Any]:
    return {"password_hash": stored, "backend": {"password": "secret on the server"}, **more}


# --- credentials ------------------------------------------------------------------------------------------------------


def test_a_password_can_be_proven_in_every_way() -> None:
    credential = account().credential
    assert credential.supports("caching_sha2_password")
    assert credential.supports("mysql_native_password")
    assert credential.supports("client_ed25519")
    assert credential.native is not None
    assert credential.digest is not None
    password = PASSWORD.encode()
    assert check_native(credential.native, NONCE, native_scramble(password, NONCE))
    assert check_sha2_fast(credential.digest, NONCE, sha2_scramble(password, NONCE))


def test_a_native_hash() -> None:
    credential = account(**hashed(NATIVE)).credential
    assert credential == Credential(native_hash=native_hash(PASSWORD.encode()))
    assert not credential.supports("caching_sha2_password")


def test_a_stored_sha2_string() -> None:
    credential = account(**hashed(CRYPT)).credential
    assert credential.sha2_crypt == CRYPT
    assert check_sha2_crypt(credential.sha2_crypt, PASSWORD.encode())
    assert not credential.supports("mysql_native_password")


def test_an_ed25519_key() -> None:
    key = ed25519_key(PASSWORD.encode())
    credential = account(**hashed(format_ed25519(key))).credential
    assert credential == Credential(ed25519_key=key)
    assert credential.supports("client_ed25519")
    assert not credential.supports("caching_sha2_password")


@pytest.mark.parametrize(
    "user", [{"password": PASSWORD}, hashed(NATIVE), hashed(CRYPT)], ids=["text", "native", "sha2"]
)
def test_tls_may_be_required(user: dict[str, Any]) -> None:
    assert not account(**user).credential.require_tls
    assert account(**user, tls="required").credential.require_tls


def test_a_proven_password_is_remembered_as_a_digest_only() -> None:
    known = directory(**hashed(CRYPT, tls="required"))
    known.remember("app", PASSWORD.encode())
    credential = known.lookup("app", "10.0.0.1")
    assert credential is not None
    assert credential.digest == sha2_digest(PASSWORD.encode())
    assert credential.password is None
    assert credential.sha2_crypt == CRYPT
    assert credential.require_tls


# --- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "welcome"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:10.2.0.1", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("127.0.0.1", False),
        (None, False),
    ],
)
def test_hosts(host: str | None, welcome: bool) -> None:
    known = directory(password=PASSWORD, hosts=["10.1.0.0/16", "2001:db8::/32"])
    assert (known.lookup("app", host) is not None) is welcome
    assert known.account("app").may_come_from(host) is welcome


def test_a_unix_socket_counts_as_this_machine() -> None:
    assert directory(password=PASSWORD, hosts=["127.0.0.0/8"]).lookup("app", None) is not None


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "fe80::1%eth0", None])
def test_without_hosts_all_may_come(host: str | None) -> None:
    assert directory().lookup("app", host) is not None


def test_strangers_are_not_known() -> None:
    assert directory().lookup("root", "127.0.0.1") is None
    assert directory().lookup("APP", "127.0.0.1") is None
    assert directory().lookup("", "127.0.0.1") is None


# --- limits and schemas -----------------------------------------------------------------------------------------------


def test_no_more_sessions_than_allowed() -> None:
    user = account(password=PASSWORD, max_connections=2)
    user.enter()
    user.enter()
    with pytest.raises(MySQLError) as refused:
        user.enter()
    assert (refused.value.code, refused.value.sqlstate) == (1226, "42000")
    assert "app" in refused.value.message
    assert user.active == 2
    user.leave()
    user.enter()


def test_without_a_limit_there_is_none() -> None:
    user = account()
    for _ in range(1000):
        user.enter()
    assert user.active == 1000


def test_schemas() -> None:
    user = account(password=PASSWORD, schemas=["shop", "blog"])
    user.check_schema("shop", "h")
    user.check_schema("information_schema", "h")
    user.check_schema("INFORMATION_SCHEMA", "h")
    for name in ("mysql", "Shop", "shop2", ""):
        with pytest.raises(AccessDenied) as refused:
            user.check_schema(name, "client.example")
        assert (refused.value.code, refused.value.sqlstate) == (1044, "42000")
        assert refused.value.message == f"Access denied for user 'app'@'client.example' to database '{name}'"


def test_without_schemas_all_are_allowed() -> None:
    account().check_schema("anything", "h")


# --- accounts on the servers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (None, BackendUser("app", PASSWORD)),
        ({"user": "other"}, BackendUser("other", PASSWORD)),
        ({"password": "p2"}, BackendUser("app", "p2")),
        ({"user": "other", "password": "p2"}, BackendUser("other", "p2")),
        ({"user": "other", "password": ""}, BackendUser("other", "")),
    ],
)
def test_the_account_on_the_servers(backend: dict[str, str] | None, expected: BackendUser) -> None:
    user = account(password=PASSWORD, backend=backend) if backend else account()
    assert user.backend == expected


def test_passwords_do_not_show() -> None:
    user = BackendUser("app", "top secret")
    assert "top secret" not in repr(user)
    assert "top secret" not in f"{user} {[user]}"


def test_backend_user_of_the_configuration() -> None:
    assert backend_user("app", User.model_validate({"password": "x"})) == BackendUser("app", "x")


# --- RSA --------------------------------------------------------------------------------------------------------------


def test_rsa_as_clients_do_it() -> None:
    pair = RsaKeyPair()
    key = serialization.load_pem_public_key(pair.public_pem())
    assert isinstance(key, rsa.RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert pair.decrypt(key.encrypt(b"secret", oaep)) == b"secret"


@pytest.mark.parametrize("data", [b"", b"short", bytes(256), b"\xff" * 256, bytes(1000)])
def test_what_was_not_encrypted_with_the_key(data: bytes) -> None:
    with pytest.raises(ValueError):
        RsaKeyPair().decrypt(data)
