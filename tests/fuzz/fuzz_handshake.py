"""Fuzz target: the server side of a login.

``python -m tests.fuzz.fuzz_handshake -runs=10000`` (needs atheris, dependency group ``fuzz``). Whatever a client sends,
`ServerHandshake.receive` answers or, where no packet is due, raises `ProtocolError`; a refusal is final; and nobody is
let in who has not proven a password.
"""

from __future__ import annotations

import sys

from router.errors import ProtocolError
from router.wire.handshake import Accepted, Credential, Refused, ServerHandshake, StartTls, State
from router.wire.scramble import make_sha2_crypt, native_hash
from tests.fuzz.fuzz_packets import main

NONCE = bytes(range(65, 85))
PASSWORD = b"nobody sends this by chance"
USERS = {
    "plain": Credential(password=PASSWORD),
    "app": Credential(native_hash=native_hash(PASSWORD)),
    "empty": Credential(sha2_crypt=make_sha2_crypt(PASSWORD, b"salt" * 5, 1000)),
}


class Key:
    """Stands in for RSA: what begins right decrypts to the rest."""

    def public_pem(self) -> bytes:
        return b"-----BEGIN PUBLIC KEY-----"

    def decrypt(self, data: bytes) -> bytes:
        if data[:1] != b"R":
            raise ValueError("not encrypted")
        return data[1:]


def one_handshake(settings: int, packets: list[tuple[int, bytes]]) -> None:
    """Play one login: `settings` are switches, each packet has an offset from the right sequence id (mostly 0)."""
    machine = ServerHandshake(
        connection_id=1,
        server_version="8.0.36-router",
        nonce=NONCE,
        capabilities=0x81FFF7DF if settings & 1 else 0,
        collation_id=45,
        status=2,
        tls_available=bool(settings & 2),
        tls_required=bool(settings & 4),
        secure_transport=bool(settings & 8),
        lookup=USERS.get,
        rsa=Key() if settings & 16 else None,
        client_host="localhost",
        default_plugin="mysql_native_password" if settings & 32 else "caching_sha2_password",
    )
    machine.greeting()
    sequence = 1
    for offset, payload in packets:
        before = machine.state
        due = before not in (State.TLS, State.REFUSED)
        try:
            effects = machine.receive((sequence + offset) & 0xFF, payload)
        except ProtocolError:
            assert not due
            if before is State.REFUSED:
                assert machine.state is State.REFUSED
                continue
            machine.tls_established()
            continue
        assert due
        assert effects
        assert not any(isinstance(effect, Accepted) for effect in effects), "somebody got in"
        assert (machine.state is State.REFUSED) == isinstance(effects[-1], Refused)
        assert (machine.state is State.TLS) == isinstance(effects[-1], StartTls)
        sequence += 1 if isinstance(effects[-1], StartTls) else 2


def one_input(data: bytes) -> None:
    """One input of the fuzzer: switches, then packets with a length and an offset in front."""
    if not data:
        return
    packets: list[tuple[int, bytes]] = []
    at = 1
    while at + 2 <= len(data):
        size, offset = data[at], data[at + 1] % 8
        packets.append((offset if offset < 3 else 0, data[at + 2 : at + 2 + size]))
        at += 2 + size
    one_handshake(data[0], packets)


if __name__ == "__main__":
    main(one_input, sys.argv)
