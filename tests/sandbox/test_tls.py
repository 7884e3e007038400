"""Certificates of the sandbox: a chain that a strict client accepts, and a key only its owner can read."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from router.sandbox.tls import make_certificates


def handshake(client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str) -> str | None:
    """Run a TLS handshake in memory; the protocol version agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting
    return client.version()


def test_the_certificate_is_trusted_by_its_authority(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "tls")
    client = ssl.create_default_context(cafile=str(made.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    for name in ("127.0.0.1", "localhost", "::1"):
        assert handshake(client, server, name) == "TLSv1.3"


def test_the_key_is_private(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
