"""A client that logs in as MySQL's does, and the server side it talks to, for tests of logins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from router.wire.constants import Capability
from router.wire.ed25519 import ED25519, ed25519_sign
from router.wire.framing import PacketDecoder
from router.wire.handshake import (
    Accepted,
    Credential,
    Effect,
    Login,
    Refused,
    Send,
    ServerHandshake,
    StartTls,
)
from router.wire.packets import (
    AuthMoreData,
    AuthSwitchRequest,
    ErrPacket,
    Greeting,
    HandshakeResponse,
    decode_err,
)
from router.wire.scramble import (
    CACHING_SHA2,
    NATIVE_PASSWORD,
    make_sha2_crypt,
    native_scramble,
    sha2_scramble,
    xor_password,
)

NONCE = bytes(range(65, 85))
SECOND_NONCE = bytes(range(97, 117))
PASSWORD = "sécret".encode()
SHA2_CRYPT = make_sha2_crypt(PASSWORD, b"saltsaltsaltsaltsalt", 1000)
OFFERED = int(
    Capability.LONG_PASSWORD
    | Capability.FOUND_ROWS
    | Capability.LONG_FLAG
    | Capability.CONNECT_WITH_DB
    | Capability.PROTOCOL_41
    | Capability.TRANSACTIONS
    | Capability.SECURE_CONNECTION
    | Capability.MULTI_STATEMENTS
    | Capability.MULTI_RESULTS
    | Capability.PLUGIN_AUTH
    | Capability.CONNECT_ATTRS
    | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA
    | Capability.SESSION_TRACK
    | Capability.DEPRECATE_EOF
)
CLIENT = OFFERED & ~(Capability.CONNECT_WITH_DB | Capability.SESSION_TRACK)


class RsaPair:
    """A real key pair, as the router would have it."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._padding = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)

    def public_pem(self) -> bytes:
        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def decrypt(self, data: bytes) -> bytes:
        return self._private.decrypt(data, self._padding)

    def encrypt_with(self, pem: bytes, data: bytes) -> bytes:
        public = serialization.load_pem_public_key(pem)
        assert isinstance(public, rsa.RSAPublicKey)
        return public.encrypt(data, self._padding)


KEY = RsaPair()


def server(users: dict[str, Credential], **changes: Any) -> ServerHandshake:
    arguments: dict[str, Any] = {
        "connection_id": 7,
        "server_version": "8.0.36-router",
        "nonce": NONCE,
        "capabilities": OFFERED,
        "collation_id": 255,
        "status": 2,
        "tls_available": False,
        "tls_required": False,
        "secure_transport": False,
        "lookup": users.get,
        "rsa": None,
        "client_host": "10.0.0.9",
        "decoy_nonce": b"decoy",
    }
    return ServerHandshake(**(arguments | changes))


@dataclass
class Client:
    """A client that answers as MySQL's does, and remembers what it was told."""

    password: bytes
    plugin: str = CACHING_SHA2
    username: str = "app"
    capabilities: int = CLIENT
    database: bytes | None = None
    secure: bool = False
    nonce: bytes = b""
    sequence: int = 0
    heard: list[str] = field(default_factory=list)
    error: ErrPacket | None = None
    login: Login | None = None
    cause: str = ""

    def scramble(self) -> bytes:
        if self.plugin == NATIVE_PASSWORD:
            return native_scramble(self.password, self.nonce)
        if self.plugin == CACHING_SHA2:
            return sha2_scramble(self.password, self.nonce) or b"\0"
        if self.plugin == ED25519:
            return ed25519_sign(self.password, self.nonce)
        return b"proof of another kind"

    def response(self) -> bytes:
        return HandshakeResponse(
            capabilities=self.capabilities | (Capability.CONNECT_WITH_DB if self.database else 0),
            max_packet=1 << 24,
            collation_id=45,
            username=self.username.encode(),
            auth_response=self.scramble(),
            database=self.database,
            auth_plugin=self.plugin.encode(),
            attributes={b"program_name": b"test"},
        ).encode()

    def take(self, data: bytes) -> list[bytes]:
        decoder = PacketDecoder(1 << 20)
        decoder.feed(data)
        payloads = []
        while (packet := decoder.next_packet()) is not None:
            assert packet.sequence == self.sequence, "the server numbers its frames on from the client's"
            self.sequence = (packet.sequence + 1) % 256
            payloads.append(packet.payload)
        assert decoder.buffered == 0
        return payloads

    def log_in(self, machine: ServerHandshake) -> Client:
        [greeting] = self.take(machine.greeting())
        self.nonce = Greeting.decode(greeting).nonce
        return self.talk(machine, self.response())

    def talk(self, machine: ServerHandshake, payload: bytes | None) -> Client:
        while payload is not None:
            sequence = self.sequence
            self.sequence = (self.sequence + 1) % 256
            payload = self.react(machine.receive(sequence, payload))
        return self

    def react(self, effects: list[Effect]) -> bytes | None:
        answer = None
        for effect in effects:
            match effect:
                case Send(data):
                    for payload in self.take(data):
                        answer = self.hear(payload)
                case Accepted(login):
                    self.login = login
                case Refused(error, cause):
                    self.cause = cause
                    assert self.error is not None
                    assert (error.code, error.message.encode()) == (self.error.code, self.error.message)
                case StartTls():
                    self.heard.append("tls")
        return answer

    def hear(self, payload: bytes) -> bytes | None:
        if payload[0] == 0xFF:
            self.error = decode_err(payload)
            self.heard.append(f"error {self.error.code}")
            return None
        if payload[0] == 0xFE:
            switch = AuthSwitchRequest.decode(payload)
            self.plugin = switch.plugin.decode()
            self.nonce = switch.data
            if self.plugin == ED25519:
                assert len(self.nonce) == 32
            else:
                assert self.nonce[-1:] == b"\0"
                self.nonce = self.nonce[:-1]
            self.heard.append(f"switch {self.plugin}")
            return self.scramble()
        data = AuthMoreData.decode(payload).data
        if data == b"\x03":
            self.heard.append("fast")
            return None
        if data == b"\x04":
            self.heard.append("full")
            return self.password + b"\0" if self.secure else b"\x02"
        self.heard.append("key")
        return KEY.encrypt_with(data, xor_password(self.password + b"\0", self.nonce))
