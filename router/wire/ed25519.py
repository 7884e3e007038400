"""The arithmetic of MariaDB's ``client_ed25519``.

Ed25519 (RFC 8032), except that the secret scalar comes from the SHA-512 of the whole password where the RFC hashes a
seed of 32 bytes: verifying is the usual business, signing and the public key are not.
Source: MariaDB server, ``plugin/auth_ed25519/`` (``server_ed25519.c``, ``ref10/sign.c``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from nacl import bindings
from nacl.exceptions import BadSignatureError

ED25519: Final = "client_ed25519"

ED25519_NONCE_SIZE: Final = 32
_KEY_SIZE: Final = 32
_SIGNATURE_SIZE: Final = 64
_FORM: Final = re.compile(r"[A-Za-z0-9+/]{43}")


def _secret(password: bytes) -> tuple[bytes, bytes]:
    """The clamped scalar, and the half of the hash that makes signatures deterministic."""
    digest = hashlib.sha512(password).digest()
    scalar = bytes([digest[0] & 0xF8]) + digest[1:31] + bytes([digest[31] & 0x7F | 0x40])
    return scalar, digest[32:]


def ed25519_key(password: bytes) -> bytes:
    """The public key of a password: 32 bytes, what MariaDB stores."""
    return bytes(bindings.crypto_scalarmult_ed25519_base_noclamp(_secret(password)[0]))


def ed25519_sign(password: bytes, nonce: bytes) -> bytes:
    """What a client answers to ``nonce``: 64 bytes."""
    scalar, prefix = _secret(password)
    r = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(prefix + nonce).digest())
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(r)
    key = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    k = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(point + key + nonce).digest())
    s = bindings.crypto_core_ed25519_scalar_add(bindings.crypto_core_ed25519_scalar_mul(k, scalar), r)
    return bytes(point + s)


def check_ed25519(key: bytes, nonce: bytes, signature: bytes) -> bool:
    """Whether ``signature`` of ``nonce`` proves the password whose public key is ``key``."""
    if len(signature) != _SIGNATURE_SIZE or len(key) != _KEY_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signature + nonce, key)
    except BadSignatureError:
        return False
    return True


def parse_ed25519(stored: str) -> bytes:
    """The public key in ``mysql.global_priv``: 43 characters of base64. Raises `ValueError` for anything else."""
    try:
        if _FORM.fullmatch(stored):
            return base64.b64decode(stored + "=", validate=True)
    except binascii.Error:
        pass
    raise ValueError("not an ed25519 key: want 43 characters of base64")


def format_ed25519(key: bytes) -> str:
    """The text that MariaDB stores for a public key."""
    return base64.b64encode(key).decode("ascii").rstrip("=")
