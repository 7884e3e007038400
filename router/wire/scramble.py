"""The arithmetic of ``mysql_native_password`` and ``caching_sha2_password``.

Passwords and nonces are arguments, nothing is random, and secrets are only ever compared with `hmac.compare_digest`.
Sources: "Native Authentication" and "Caching_sha2_password information" in the MySQL internals manual; U. Drepper,
"Unix crypt using SHA-256 and SHA-512" (2007), which the server's stored ``$A$`` strings follow with a salt of 20 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from router.wire.constants import NONCE_SIZE

NATIVE_PASSWORD: Final = "mysql_native_password"
CACHING_SHA2: Final = "caching_sha2_password"

MAX_PASSWORD: Final = 256
"""Bytes of the longest password MySQL takes. The crypt costs the square of the length: longer ones never match."""

_SHA1_SIZE: Final = 20
_SHA256_SIZE: Final = 32
_CRYPT_SALT_SIZE: Final = 20
_CRYPT_UNIT: Final = 1000
_CRYPT_FORM: Final = re.compile(r"\$A\$([0-9A-Fa-f]{3})\$([\x00-\xff]{20})([./0-9A-Za-z]{43})")


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    """XOR of two strings of one length."""
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")


def nonce_from(random: bytes) -> bytes:
    """A challenge made of 20 random bytes: seven bits each, never NUL (clients end strings there) nor ``$``."""
    if len(random) != NONCE_SIZE:
        raise ValueError(f"a nonce is made of {NONCE_SIZE} random bytes, not {len(random)}")
    return bytes(byte + 1 if byte in (0x00, 0x24) else byte for byte in (value & 0x7F for value in random))


def native_scramble(password: bytes, nonce: bytes) -> bytes:
    """What a client of mysql_native_password answers to `nonce`; nothing for an empty password."""
    if not password:
        return b""
    stage1 = _sha1(password)
    return _xor(stage1, _sha1(nonce, _sha1(stage1)))


def native_hash(password: bytes) -> bytes:
    """SHA1(SHA1(password)), the 20 bytes MySQL shows as ``*`` and 40 hexadecimal digits."""
    return _sha1(_sha1(password))


def check_native(stored: bytes, nonce: bytes, response: bytes) -> bool:
    """Whether `response` to `nonce` proves the password whose `native_hash` is `stored`."""
    if len(response) != _SHA1_SIZE or len(stored) != _SHA1_SIZE:
        return False
    return hmac.compare_digest(_sha1(_xor(response, _sha1(nonce, stored))), stored)


def sha2_scramble(password: bytes, nonce: bytes) -> bytes:
    """What a client of caching_sha2_password answers to `nonce`; nothing for an empty password."""
    if not password:
        return b""
    stage1 = _sha256(password)
    return _xor(stage1, _sha256(_sha256(stage1), nonce))


def sha2_digest(password: bytes) -> bytes:
    """SHA256(SHA256(password)), the 32 bytes MySQL keeps in its cache of authenticated users."""
    return _sha256(_sha256(password))


def check_sha2_fast(digest: bytes, nonce: bytes, response: bytes) -> bool:
    """Whether `response` to `nonce` proves the password whose `sha2_digest` is `digest`."""
    if len(response) != _SHA256_SIZE or len(digest) != _SHA256_SIZE:
        return False
    return hmac.compare_digest(_sha256(_xor(response, _sha256(digest, nonce))), digest)


def xor_password(password: bytes, nonce: bytes) -> bytes:
    """`password` (with its closing NUL) XOR `nonce` repeated: what is encrypted with RSA, and the way back."""
    repeated = nonce * (len(password) // len(nonce) + 1)
    return _xor(password, repeated[: len(password)])


@dataclass(frozen=True, slots=True)
class Sha2Crypt:
    """A stored ``$A$`` string taken apart; ``digest`` is the base-64-like text of 43 characters."""

    rounds: int
    salt: bytes
    digest: bytes

    def __str__(self) -> str:
        return f"$A${self.rounds // _CRYPT_UNIT:03X}${self.salt.decode('latin-1')}{self.digest.decode('latin-1')}"


def parse_sha2_crypt(stored: str) -> Sha2Crypt:
    """Take apart ``$A$RRR$`` + 20 characters of salt + 43 of digest, as in ``mysql.user.authentication_string``.

    ``RRR`` is the number of rounds in thousands, hexadecimal. Raises `ValueError` for anything else.
    """
    match = _CRYPT_FORM.fullmatch(stored)
    rounds = int(match[1], 16) * _CRYPT_UNIT if match else 0
    if not match or not rounds:
        raise ValueError("not a caching_sha2_password string: want $A$, 3 digits, $, 20 of salt, 43 of digest")
    return Sha2Crypt(rounds, match[2].encode("latin-1"), match[3].encode("latin-1"))


def make_sha2_crypt(password: bytes, salt: bytes, rounds: int = 5000) -> str:
    """The string MySQL would store for `password`: 20 bytes of `salt`, `rounds` in thousands up to 4,095,000."""
    if len(salt) != _CRYPT_SALT_SIZE:
        raise ValueError(f"the salt has {_CRYPT_SALT_SIZE} bytes, not {len(salt)}")
    if rounds % _CRYPT_UNIT or not 0 < rounds // _CRYPT_UNIT <= 0xFFF:
        raise ValueError("rounds are counted in thousands, from 1000 to 4095000")
    if len(password) > MAX_PASSWORD:
        raise ValueError(f"a password has at most {MAX_PASSWORD} bytes")
    return str(Sha2Crypt(rounds, salt, sha256_crypt(password, salt, rounds)))


def check_sha2_crypt(stored: str, password: bytes) -> bool:
    """Whether `password` is the one behind the ``$A$`` string `stored`; costs milliseconds, by design."""
    if len(password) > MAX_PASSWORD:
        return False
    wanted = parse_sha2_crypt(stored)
    return hmac.compare_digest(sha256_crypt(password, wanted.salt, wanted.rounds), wanted.digest)


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """Drepper's SHA-256 crypt: the 43 characters behind the salt. Steps are numbered as in his paper."""
    size = len(password)
    other = _sha256(password, salt, password)  # 4-8
    start = bytearray(password + salt)  # 1-3
    start += (other * (size // _SHA256_SIZE + 1))[:size]  # 9-10
    bits = size
    while bits:  # 11
        start += other if bits & 1 else password
        bits >>= 1
    state = _sha256(bytes(start))  # 12
    p = (_sha256(password * size) * (size // _SHA256_SIZE + 1))[:size]  # 13-16
    s = (_sha256(salt * (16 + state[0])) * (len(salt) // _SHA256_SIZE + 1))[: len(salt)]  # 17-20
    # step 21: an odd round hashes p, the middle, the state; an even one the state, the middle, p. The middle holds s
    # unless the round divides by 3 and p unless by 7, so what stands around the state repeats every 42 rounds.
    middles = [(s if turn % 3 else b"") + (p if turn % 7 else b"") for turn in range(42)]
    around = [p + middle if turn & 1 else middle + p for turn, middle in enumerate(middles)]
    sha256 = hashlib.sha256
    for number in range(rounds):
        rest = around[number % 42]
        state = sha256(rest + state if number & 1 else state + rest).digest()
    return _crypt_base64(state)


_ALPHABET: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GROUPS: Final = (
    (0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14),
    (15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29),
)  # fmt: skip


def _crypt_base64(digest: bytes) -> bytes:
    """Step 22: groups of three bytes in Drepper's order, least significant six bits first."""
    text = bytearray()
    for high, middle, low in _GROUPS:
        group = digest[high] << 16 | digest[middle] << 8 | digest[low]
        text += bytes(_ALPHABET[group >> shift & 0x3F] for shift in (0, 6, 12, 18))
    group = digest[31] << 8 | digest[30]
    text += bytes(_ALPHABET[group >> shift & 0x3F] for shift in (0, 6, 12))
    return bytes(text)
