"""The server side of a login as a machine: packets in, effects out; no socket, no clock, no randomness.

::

    greeting ─► RESPONSE ──SSLRequest──► TLS ──tls_established()──► RESPONSE
                  │  the client's plugin fits ────────────────────────────────┐
                  └──AuthSwitchRequest──► SWITCHED ───────────────────────────┤
                                                                              ▼
                  caching_sha2 with only a stored $A$ string: FULL ──asks for the key──► RSA
                                                                              ▼
                                        VERIFIED ──welcome()──► COMMANDS ──change_user()──► SWITCHED …
    any of them ──wrong, malformed or out of order──► REFUSED, which nothing leaves

An unknown user is taken through the exchange of a user with a known password, against a decoy, and gets the same error;
what really happened is in `Refused.cause`, for the log only. After `Accepted` the client still waits: whoever drives
the machine checks what else a login needs (limits, schema) and then sends `ServerHandshake.welcome` or the effects of
`ServerHandshake.refuse`.

See "Connection Phase" and "Caching_sha2_password information" in the MySQL internals manual.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from router.errors import MySQLError, ProtocolError
from router.wire.commands import ComChangeUser, parse_command
from router.wire.constants import EXTENDED, NONCE_SIZE, Capability
from router.wire.ed25519 import ED25519, check_ed25519, ed25519_key
from router.wire.errcodes import ErrorCode, mysql_error
from router.wire.framing import frame
from router.wire.packets import (
    AuthMoreData,
    AuthSwitchRequest,
    ErrPacket,
    Greeting,
    HandshakeResponse,
    OkPacket,
    SslRequest,
    encode_ok,
)
from router.wire.scramble import (
    CACHING_SHA2,
    NATIVE_PASSWORD,
    check_native,
    check_sha2_crypt,
    check_sha2_fast,
    native_hash,
    parse_sha2_crypt,
    sha2_digest,
    xor_password,
)

REQUIRED_CAPABILITIES: Final = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH
"""Offered whatever the caller says: the exchange is built on them."""

_FAST_OK: Final = b"\x03"
_FULL: Final = b"\x04"
_ASK_FOR_KEY: Final = b"\x02"
_NO_PASSWORD: Final = (b"", b"\0")


class RsaKey(Protocol):
    """The key pair for passwords over plain TCP."""

    def public_pem(self) -> bytes:
        """The public key, PEM (SubjectPublicKeyInfo)."""

    def decrypt(self, data: bytes) -> bytes:
        """Undo RSA with OAEP (SHA-1) padding; raises `ValueError` for what was not encrypted so."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What is known of one user's password, in any combination; nothing at all means that nobody gets in.

    ``native_hash`` is SHA1(SHA1(password)), ``sha2_digest`` SHA256(SHA256(password)), ``sha2_crypt`` MySQL's stored
    ``$A$`` string, ``ed25519_key`` MariaDB's public key. A stored form that can't be one raises `ValueError` here and
    not at a login.
    """

    password: bytes | None = None
    native_hash: bytes | None = None
    sha2_digest: bytes | None = None
    sha2_crypt: str | None = None
    ed25519_key: bytes | None = None
    require_tls: bool = False

    def __post_init__(self) -> None:
        if self.native_hash is not None and len(self.native_hash) != len(native_hash(b"")):
            raise ValueError("a native hash has 20 bytes")
        if self.sha2_digest is not None and len(self.sha2_digest) != len(sha2_digest(b"")):
            raise ValueError("a caching_sha2 digest has 32 bytes")
        if self.sha2_crypt is not None:
            parse_sha2_crypt(self.sha2_crypt)
        if self.ed25519_key is not None and len(self.ed25519_key) != len(ed25519_key(b"")):
            raise ValueError("an ed25519 key has 32 bytes")

    @property
    def native(self) -> bytes | None:
        """What checks a mysql_native_password response, if anything does."""
        return self.native_hash if self.password is None else native_hash(self.password)

    @property
    def digest(self) -> bytes | None:
        """What checks a caching_sha2_password response without the password, if anything does."""
        return self.sha2_digest if self.password is None else sha2_digest(self.password)

    @property
    def key(self) -> bytes | None:
        """What checks a client_ed25519 signature, if anything does."""
        return self.ed25519_key if self.password is None else ed25519_key(self.password)

    @property
    def empty(self) -> bool:
        """Whether the password is known to be empty."""
        if self.password is not None:
            return not self.password
        return self.sha2_digest == sha2_digest(b"") or self.native_hash == native_hash(b"")

    def is_password(self, password: bytes) -> bool:
        """Whether this is the password, as far as caching_sha2_password can tell."""
        if (digest := self.digest) is not None:
            return hmac.compare_digest(sha2_digest(password), digest)
        return self.sha2_crypt is not None and check_sha2_crypt(self.sha2_crypt, password)

    def supports(self, plugin: str) -> bool:
        """Whether a client can prove the password with `plugin`."""
        if plugin == NATIVE_PASSWORD:
            return self.native is not None
        if plugin == ED25519:
            return self.password is not None or self.ed25519_key is not None
        return plugin == CACHING_SHA2 and (self.digest is not None or self.sha2_crypt is not None)


@dataclass(frozen=True, slots=True)
class Login:
    """A proven login. ``capabilities`` are what both sides agreed on.

    ``password`` is set only when the client had to send it (full authentication): its digest may then be remembered.
    ``max_packet`` is the client's word, 0 for none.
    """

    username: str
    database: str | None
    capabilities: int
    collation_id: int
    attributes: dict[str, str]
    max_packet: int
    auth_plugin: str
    password: bytes | None = None
    zstd_level: int = 0


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes (frames included) to the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Start TLS as the server on the transport, then call `ServerHandshake.tls_established`.

    Bytes already received behind the request belong to TLS.
    """


@dataclass(frozen=True, slots=True)
class Accepted:
    """The password is proven; the client waits for `ServerHandshake.welcome` or `ServerHandshake.refuse`."""

    login: Login


@dataclass(frozen=True, slots=True)
class Refused:
    """The login failed; the client has been told (`error`). Close when that is written. ``cause`` is for the log."""

    error: MySQLError
    cause: str


Effect = Send | StartTls | Accepted | Refused


class State(Enum):
    """Where a login stands."""

    RESPONSE = "waiting for the client's response"
    TLS = "waiting for TLS"
    SWITCHED = "waiting for the answer to a switch of plugin"
    FULL = "waiting for the password or the request for a key"
    RSA = "waiting for the encrypted password"
    VERIFIED = "proven, to be welcomed"
    COMMANDS = "logged in"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a client says of itself before proving it."""

    username: str
    database: str | None
    collation_id: int
    attributes: dict[str, str]
    plugin: str
    credential: Credential
    known: bool


class ServerHandshake:
    """One client's login, and later its changes of user.

    `nonce` is 20 bytes without NUL, unpredictable and never used again. `collation_id` must fit one byte.
    `secure_transport` tells that passwords may pass in clear (a unix socket). `lookup` gives what is known of a user,
    None for an unknown one. `decoy_nonce` keeps the decoys of unknown users from being guessed.
    """

    def __init__(
        self,
        *,
        connection_id: int,
        server_version: str,
        nonce: bytes,
        capabilities: int,
        collation_id: int,
        status: int,
        tls_available: bool,
        tls_required: bool,
        secure_transport: bool,
        lookup: Callable[[str], Credential | None],
        rsa: RsaKey | None,
        client_host: str,
        default_plugin: str = CACHING_SHA2,
        decoy_nonce: bytes = b"",
    ) -> None:
        offered = capabilities | REQUIRED_CAPABILITIES
        self._offered = int(offered | Capability.SSL) if tls_available else int(offered) & ~int(Capability.SSL)
        self._connection_id = connection_id
        self._server_version = server_version
        self._collation_id = collation_id
        self._status = status
        self._tls_required = tls_required
        self._tls = False
        self._secure_transport = secure_transport
        self._lookup = lookup
        self._rsa = rsa
        self._client_host = client_host
        self._default_plugin = default_plugin
        self._decoy_nonce = decoy_nonce
        self._nonce = self._first_nonce = _checked(nonce)
        self._sequence = 0  # of the next frame, whoever sends it
        self._agreed = 0
        self._max_packet = 0
        self._zstd_level = 0
        self._claim: _Claim | None = None
        self._welcomed = False
        self.state = State.RESPONSE

    @property
    def secure(self) -> bool:
        """Whether a password may pass in clear: TLS is up, or the transport is secure by itself."""
        return self._tls or self._secure_transport

    @property
    def capabilities(self) -> int:
        """What client and server agreed on; 0 before the client's response."""
        return self._agreed

    def greeting(self) -> bytes:
        """The first frame, to be sent once."""
        greeting = Greeting(
            server_version=self._server_version,
            connection_id=self._connection_id,
            nonce=self._nonce,
            capabilities=self._offered & 0xFFFFFFFF,
            mariadb_capabilities=self._offered >> EXTENDED,
            collation_id=self._collation_id,
            status=self._status,
            auth_plugin=self._default_plugin.encode("ascii"),
        )
        return self._frame(greeting.encode())

    def receive(self, sequence: int, payload: bytes) -> list[Effect]:
        """Take the client's next packet.

        Malformed packets are refused, not raised: the client is told. Raises `ProtocolError` in a state that waits for
        no packet; after a refusal that is for ever.
        """
        if self.state in (State.TLS, State.VERIFIED, State.COMMANDS, State.REFUSED):
            raise ProtocolError(f"no packet of the handshake is due: {self.state.value}")
        expected, self._sequence = self._sequence, (sequence + 1) & 0xFF
        if sequence != expected:
            return self._refuse_code(
                ErrorCode.NET_PACKETS_OUT_OF_ORDER, "Got packets out of order", f"frame {sequence}, not {expected}"
            )
        try:
            match self.state:
                case State.RESPONSE:
                    return self._on_response(payload)
                case State.SWITCHED:
                    return self._verify(payload)
                case State.FULL:
                    return self._on_full(payload)
                case _:
                    return self._on_encrypted(payload)
        except ProtocolError as error:
            return self._refuse_code(ErrorCode.HANDSHAKE, "Bad handshake", str(error))

    def tls_established(self) -> None:
        """TLS asked for by `StartTls` is up; the client sends its response again."""
        if self.state is not State.TLS:
            raise ProtocolError(f"TLS was not asked for: {self.state.value}")
        self._tls = True
        self.state = State.RESPONSE

    def welcome(self, status: int, state_changes: bytes = b"") -> bytes:
        """The OK frame that ends the login, with the session's status flags; the command phase begins."""
        if self.state is not State.VERIFIED:
            raise ProtocolError(f"nobody to welcome: {self.state.value}")
        self.state = State.COMMANDS
        self._welcomed = True
        return self._frame(encode_ok(OkPacket(status=status, state_changes=state_changes), self._agreed))

    def refuse(self, error: MySQLError, cause: str = "") -> list[Effect]:
        """Refuse the login for a reason of the caller's, in place of the greeting too; there is no way on."""
        if self.state is State.REFUSED:
            raise ProtocolError("already refused")
        self.state = State.REFUSED
        self._claim = None
        packet = ErrPacket.of(error)
        if not self._agreed:
            packet = replace(packet, sqlstate="")  # a client not known to speak 4.1 would show it as text
        return [Send(self._frame(packet.encode())), Refused(error, cause or error.message)]

    def resume(self) -> None:
        """Take back the refusal of a change of user: the client goes on as who it was, as in MariaDB."""
        if self.state is not State.REFUSED or not self._welcomed:
            raise ProtocolError(f"nothing to go on with: {self.state.value}")
        self.state = State.COMMANDS

    def change_user(self, payload: bytes, sequence: int, nonce: bytes, *, tired: bool = False) -> list[Effect]:
        """Take a COM_CHANGE_USER of a logged-in client; go on with `receive`. ``tired``: refuse whatever it says.

        A refusal ends the connection, as in MySQL, unless there is a `resume`. The response inside the command answers
        the old nonce and could be a replay: clients that know plugins are asked again, with the new `nonce`.
        """
        if self.state is not State.COMMANDS:
            raise ProtocolError(f"no change of user is due: {self.state.value}")
        self._sequence = (sequence + 1) & 0xFF
        if tired:
            return self._refuse_code(ErrorCode.UNKNOWN_COM, "Unknown command", "too many wrong changes of user")
        try:
            command = parse_command(payload, self._agreed)
        except ProtocolError as error:
            return self._refuse_code(ErrorCode.HANDSHAKE, "Bad handshake", str(error))
        if not isinstance(command, ComChangeUser):
            raise ProtocolError("not a COM_CHANGE_USER")
        self._claim = self._claimed(
            command.username,
            command.database,
            self._collation_id if command.collation_id is None else command.collation_id,
            command.attributes,
            command.auth_plugin,
        )
        if not self._agreed & Capability.PLUGIN_AUTH:
            return self._verify_without_plugins(command.auth_response)
        plugin = self._preferred_plugin()
        # libmariadb's native plugin answers the greeting's nonce in a change of user, whatever the switch says.
        self._nonce = self._first_nonce if plugin == NATIVE_PASSWORD else _checked(nonce)
        return self._switch(plugin)

    # -- states -------------------------------------------------------------------------------------------------------

    def _on_response(self, payload: bytes) -> list[Effect]:
        if len(payload) >= 2 and not payload[1] << 8 & Capability.PROTOCOL_41:
            return self._refuse_old_client("the client speaks the protocol of before MySQL 4.1")
        if SslRequest.matches(payload) and not self._tls:
            if not self._offered & Capability.SSL:
                raise ProtocolError("the client starts TLS that was not offered")
            SslRequest.decode(payload)
            self.state = State.TLS
            return [StartTls()]
        response = HandshakeResponse.decode(payload, self._offered)
        self._agreed = (response.capabilities | response.mariadb_capabilities << EXTENDED) & self._offered
        self._max_packet = response.max_packet
        self._zstd_level = response.zstd_level
        if self._tls_required and not self.secure:
            return self._refuse_code(
                ErrorCode.SECURE_TRANSPORT_REQUIRED,
                "Connections using insecure transport are prohibited while --require_secure_transport=ON.",
                "TLS is required",
            )
        if response.capabilities & ~self._offered & Capability.COMPRESS:
            raise ProtocolError("the client compresses, which was not offered: turn compression off in the client")
        if self._agreed & Capability.SSL and not self._tls:
            raise ProtocolError("the client announces TLS and does not start it")
        self._claim = self._claimed(
            response.username, response.database, response.collation_id, response.attributes, response.auth_plugin
        )
        if not self._agreed & Capability.SECURE_CONNECTION:
            return self._refuse_old_client("the client scrambles as before MySQL 4.1")
        if not self._agreed & Capability.PLUGIN_AUTH:
            return self._verify_without_plugins(response.auth_response)
        # A client that does not know the greeting's plugin answers with its own and nothing: it waits for a nonce.
        unanswered = self._claim.plugin != self._default_plugin and response.auth_response in _NO_PASSWORD
        unanswered |= self._claim.plugin == ED25519  # which signs a longer nonce than a greeting has
        if self._claim.credential.supports(self._claim.plugin) and not unanswered:
            return self._verify(response.auth_response)
        return self._switch(self._preferred_plugin())

    def _verify(self, response: bytes) -> list[Effect]:
        """Check the response to our nonce by the plugin of the claim."""
        claim = self._claimant()
        credential = claim.credential
        if response in _NO_PASSWORD:
            return self._conclude(credential.empty, "no password given", using_password=False)
        if claim.plugin == NATIVE_PASSWORD:
            stored = credential.native
            return self._conclude(
                stored is not None and not credential.empty and check_native(stored, self._nonce, response)
            )
        if claim.plugin == ED25519:
            key = credential.key
            return self._conclude(key is not None and check_ed25519(key, self._long_nonce, response))
        digest = credential.digest
        allowed = self._tls or not credential.require_tls
        if digest is not None and allowed and not credential.empty and check_sha2_fast(digest, self._nonce, response):
            return self._conclude(True, fast=True)
        # As in MySQL, whose cache may be out of date: a wrong scramble is no verdict yet, for nobody.
        self.state = State.FULL
        return [self._more(_FULL)]

    def _verify_without_plugins(self, response: bytes) -> list[Effect]:
        """A client without PLUGIN_AUTH knows native scrambles only, and can't be told to switch."""
        claim = self._claimant()
        if not claim.credential.supports(NATIVE_PASSWORD):
            return self._refuse_old_client("the client knows no plugins and the user has no native hash")
        self._become(NATIVE_PASSWORD)
        return self._verify(response)

    def _on_full(self, payload: bytes) -> list[Effect]:
        """The client proves itself to caching_sha2_password with the password itself."""
        if payload == _ASK_FOR_KEY and self._rsa is not None:
            self.state = State.RSA
            return [self._more(self._rsa.public_pem())]
        if self.secure:
            return self._check_password(payload)
        if self._rsa is None:
            return self._conclude(False, "full authentication needs TLS or an RSA key")
        return self._on_encrypted(payload)

    def _on_encrypted(self, payload: bytes) -> list[Effect]:
        assert self._rsa is not None
        try:
            decrypted = self._rsa.decrypt(payload)
        except ValueError:
            return self._conclude(False, "the password is not encrypted with our key")
        return self._check_password(xor_password(decrypted, self._nonce))

    def _check_password(self, terminated: bytes) -> list[Effect]:
        if terminated[-1:] != b"\0":
            return self._conclude(False, "the password has no closing NUL")
        password = terminated[:-1]
        return self._conclude(bool(password) and self._claimant().credential.is_password(password), password=password)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def _conclude(
        self,
        correct: bool,
        cause: str = "wrong password",
        *,
        using_password: bool = True,
        password: bytes | None = None,
        fast: bool = False,
    ) -> list[Effect]:
        """Accept the claim if the proof was `correct` and the user exists, else refuse in the same words always.

        `fast` tells a caching_sha2_password client that it need not send the password.
        """
        claim = self._claimant()
        if not claim.known:
            correct, cause = False, "unknown user"
        elif correct and claim.credential.require_tls and not self._tls:
            correct, cause = False, "the user must come by TLS"
        if not correct:
            return self._refuse_code(
                ErrorCode.ACCESS_DENIED,
                f"Access denied for user '{claim.username}'@'{self._client_host}'"
                f" (using password: {'YES' if using_password else 'NO'})",
                cause,
            )
        self.state = State.VERIFIED
        self._claim = None
        login = Login(
            username=claim.username,
            database=claim.database,
            capabilities=self._agreed,
            collation_id=claim.collation_id,
            attributes=claim.attributes,
            max_packet=self._max_packet,
            auth_plugin=claim.plugin,
            zstd_level=self._zstd_level,
            password=password,
        )
        return [self._more(_FAST_OK), Accepted(login)] if fast else [Accepted(login)]

    def _switch(self, plugin: str) -> list[Effect]:
        self._become(plugin)
        self.state = State.SWITCHED
        challenge = self._long_nonce if plugin == ED25519 else self._nonce + b"\0"
        request = AuthSwitchRequest(plugin.encode("ascii"), challenge)
        return [Send(self._frame(request.encode()))]

    @property
    def _long_nonce(self) -> bytes:
        """The nonce as client_ed25519 wants it: 32 bytes, as new and as unpredictable."""
        return hmac.digest(self._decoy_nonce, self._nonce, "sha256")

    def _more(self, data: bytes) -> Send:
        return Send(self._frame(AuthMoreData(data).encode()))

    def _refuse_code(self, code: ErrorCode, message: str, cause: str) -> list[Effect]:
        return self.refuse(mysql_error(code, message), cause)

    def _refuse_old_client(self, cause: str) -> list[Effect]:
        return self._refuse_code(
            ErrorCode.NOT_SUPPORTED_AUTH_MODE,
            "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
            cause,
        )

    # -- the claim ----------------------------------------------------------------------------------------------------

    def _claimed(
        self,
        username: bytes,
        database: bytes | None,
        collation_id: int,
        attributes: dict[bytes, bytes],
        plugin: bytes | None,
    ) -> _Claim:
        name = username.decode("utf-8", "surrogateescape")
        credential = self._lookup(name)
        return _Claim(
            username=name,
            database=None if database is None else database.decode("utf-8", "surrogateescape"),
            collation_id=collation_id,
            attributes={
                key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in attributes.items()
            },
            plugin=(plugin or b"").decode("ascii", "replace"),
            credential=self._decoy(username) if credential is None else credential,
            known=credential is not None,
        )

    def _decoy(self, username: bytes) -> Credential:
        """A password nobody has: the same for every attempt at one name. It is refused even if it were guessed."""
        return Credential(password=hmac.digest(self._decoy_nonce, username, "sha256"))

    def _claimant(self) -> _Claim:
        assert self._claim is not None
        return self._claim

    def _become(self, plugin: str) -> None:
        self._claim = replace(self._claimant(), plugin=plugin)

    def _preferred_plugin(self) -> str:
        """A plugin with which the user can prove the password: the better of the client's and the greeting's."""
        claim = self._claimant()
        named = claim.plugin if claim.plugin in (CACHING_SHA2, ED25519) else self._default_plugin
        wanted = (named, self._default_plugin, NATIVE_PASSWORD, ED25519)
        return next((plugin for plugin in wanted if claim.credential.supports(plugin)), CACHING_SHA2)

    def _frame(self, payload: bytes) -> bytes:
        data = frame(payload, self._sequence)
        self._sequence = (self._sequence + 1) & 0xFF
        return data


def _checked(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_SIZE or b"\0" in nonce:
        raise ValueError(f"a nonce has {NONCE_SIZE} bytes and no NUL")
    return nonce
