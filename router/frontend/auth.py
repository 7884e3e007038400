"""Who may log in: the users of the configuration as accounts.

The proof of a password is the handshake's business (``wire/handshake.py``); here is what is known of each user, where
they may come from, how many they may be, and which account on the servers is theirs.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from router.backend.connector import BackendUser
from router.config.models import RouterConfig, User
from router.config.values import is_within
from router.wire.ed25519 import parse_ed25519
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.handshake import Credential
from router.wire.scramble import sha2_digest


class Account:
    """One user of the router; ``active`` counts their sessions."""

    __slots__ = (
        "_config",
        "active",
        "backend",
        "credential",
        "default_schema",
        "hosts",
        "max_connections",
        "name",
        "replay",
        "schemas",
    )

    def __init__(self, name: str, config: User) -> None:
        self.name = name
        self.active = 0
        self.configure(config)

    def configure(self, config: User) -> None:
        """Go by this configuration from now on."""
        self._config = config
        self.credential = _credential(config)
        self.backend = backend_user(self.name, config)
        self.schemas = None if config.schemas is None else frozenset(config.schemas)
        self.default_schema = config.default_schema
        self.hosts: list[IPv4Network | IPv6Network] | None = config.hosts
        self.max_connections = config.max_connections
        self.replay = config.transaction_replay or 0

    def changed_to(self, config: User) -> None:
        """As ``configure``; a password that has been proven need not be proven anew when nothing has changed."""
        if config != self._config:
            self.configure(config)

    def may_come_from(self, host: str | None) -> bool:
        """Whether a client at IP address ``host`` may use this account; None is a unix socket, as 127.0.0.1."""
        return self.hosts is None or is_within(host or "127.0.0.1", self.hosts)

    def enter(self) -> None:
        """One more session; raises MySQLError 1226 when there are too many."""
        if self.max_connections is not None and self.active >= self.max_connections:
            raise mysql_error(
                ErrorCode.USER_LIMIT_REACHED,
                f"User '{self.name}' has exceeded the 'max_user_connections' resource "
                f"(current value: {self.max_connections})",
            )
        self.active += 1

    def leave(self) -> None:
        """One session less."""
        self.active -= 1

    def check_schema(self, schema: str, host: str) -> None:
        """Raises MySQLError 1044 unless the user may choose ``schema``."""
        if self.schemas is not None and schema not in self.schemas and schema.lower() != "information_schema":
            raise mysql_error(
                ErrorCode.DB_ACCESS_DENIED,
                f"Access denied for user '{self.name}'@'{host}' to database '{schema}'",
            )


class Directory:
    """All accounts by name."""

    def __init__(self, config: RouterConfig) -> None:
        self._accounts = {name: Account(name, user) for name, user in config.users.items()}
        # Of users who were logging in when they went: what they say is refused.
        self._gone: dict[str, Account] = {}

    def adopt(self, config: RouterConfig) -> None:
        """The users of another configuration; the sessions of those who stay go on."""
        accounts = {}
        for name, user in config.users.items():
            account = accounts[name] = self._accounts.get(name) or Account(name, user)
            account.changed_to(user)
        self._gone = {name: account for name, account in self._accounts.items() if name not in accounts}
        self._accounts = accounts

    def account(self, name: str) -> Account:
        """The account of a user who has logged in."""
        return self._accounts.get(name) or self._gone[name]

    def lookup(self, name: str, host: str | None) -> Credential | None:
        """What is known of ``name`` for a client at ``host``; None for strangers and for the wrong place."""
        account = self._accounts.get(name)
        if account is None or not account.may_come_from(host):
            return None
        return account.credential

    def remember(self, name: str, password: bytes) -> None:
        """The user has just proven ``password`` in clear: the next login can use the fast path (in memory only)."""
        account = self.account(name)
        account.credential = replace(account.credential, sha2_digest=sha2_digest(password))


def backend_user(name: str, config: User) -> BackendUser:
    """The account on the servers: the same name and password unless ``backend`` says otherwise."""
    own = config.password.get_secret_value() if config.password is not None else ""
    if config.backend is None:
        return BackendUser(name, own)
    password = config.backend.password
    return BackendUser(config.backend.user or name, own if password is None else password.get_secret_value())


def _credential(config: User) -> Credential:
    require_tls = config.tls == "required"
    if config.password is not None:
        return Credential(password=config.password.get_secret_value().encode(), require_tls=require_tls)
    if config.password_hash is None:
        return Credential(password=b"", require_tls=require_tls)
    stored = config.password_hash.get_secret_value()
    if stored.startswith("*"):
        return Credential(native_hash=bytes.fromhex(stored[1:]), require_tls=require_tls)
    if not stored.startswith("$"):
        return Credential(ed25519_key=parse_ed25519(stored), require_tls=require_tls)
    return Credential(sha2_crypt=stored, require_tls=require_tls)


class RsaKeyPair:
    """The key pair with which clients send a password over plain TCP; made at start, never stored."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def public_pem(self) -> bytes:
        """The public key."""
        return self._pem

    def decrypt(self, data: bytes) -> bytes:
        """RSA-OAEP with SHA-1, as clients do it; ``ValueError`` for anything else."""
        sha1 = hashes.SHA1()
        return self._key.decrypt(data, padding.OAEP(mgf=padding.MGF1(sha1), algorithm=sha1, label=None))
