"""The arithmetic of passwords against values of real servers and of another client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.wire import scramble

NONCE = bytes(range(1, 21))
UMLAUT = "pässwörd".encode()


# the expected responses are PyMySQL's
@pytest.mark.parametrize(
    ("password", "native", "sha2"),
    [
        (
            b"secret",
            "b32bb3a583e1340c0a1108d58b1be49781ad8c2f",
            "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9",
        ),
        (
            UMLAUT,
            "9891a8536587af22d12e126cf5f7a8ea86d63b0e",
            "8526563d365f5cb2cf44b162e5251a5cc348e1a1afeec271669611d0fdac23f7",
        ),
        (
            b"x" * 80,
            "2942f993c65dcd4fc33726729e8084e91a9f7da2",
            "b96460ba61ca795157863b82d3617ab14c1b648893f3867dd7f4bb424ead2ab0",
        ),
        (b"", "", ""),
    ],
)
def test_responses(password: bytes, native: str, sha2: str) -> None:
    assert scramble.native_scramble(password, NONCE).hex() == native
    assert scramble.sha2_scramble(password, NONCE).hex() == sha2


def test_hashes_as_servers_compute_them() -> None:
    """``PASSWORD('secret')`` of MariaDB 10.11, ``SHA2(UNHEX(SHA2('secret', 256)), 256)`` of MySQL 9.7."""
    assert scramble.native_hash(b"secret").hex() == "14e65567abdb5135d0cfd9a70b3032c179a49ee7"
    digest = "3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7"
    assert scramble.sha2_digest(b"secret").hex() == digest


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=20, max_size=20), st.binary(max_size=40))
def test_only_the_right_password_is_proven(password: bytes, nonce: bytes, other: bytes) -> None:
    native, digest = scramble.native_hash(password), scramble.sha2_digest(password)
    assert scramble.check_native(native, nonce, scramble.native_scramble(password, nonce))
    assert scramble.check_sha2_fast(digest, nonce, scramble.sha2_scramble(password, nonce))
    right = other == password
    assert scramble.check_native(native, nonce, scramble.native_scramble(other, nonce)) is right
    assert scramble.check_sha2_fast(digest, nonce, scramble.sha2_scramble(other, nonce)) is right


@pytest.mark.parametrize("response", [b"", b"\0", bytes(19), bytes(20), bytes(21), bytes(32), bytes(33)])
def test_responses_of_any_length_are_just_wrong(response: bytes) -> None:
    assert not scramble.check_native(scramble.native_hash(b"secret"), NONCE, response)
    assert not scramble.check_sha2_fast(scramble.sha2_digest(b"secret"), NONCE, response)


def test_another_nonce_proves_nothing() -> None:
    response = scramble.native_scramble(b"secret", NONCE)
    assert not scramble.check_native(scramble.native_hash(b"secret"), NONCE[::-1], response)


@given(st.binary(max_size=70))
def test_xor_password_goes_both_ways(password: bytes) -> None:
    hidden = scramble.xor_password(password, NONCE)
    assert scramble.xor_password(hidden, NONCE) == password
    assert len(hidden) == len(password)


def test_xor_password_vector() -> None:
    assert scramble.xor_password(b"secret\0", NONCE).hex() == "72676076607207"


@given(st.binary(min_size=20, max_size=20))
def test_nonce_holds_nothing_a_client_stumbles_over(random: bytes) -> None:
    nonce = scramble.nonce_from(random)
    assert len(nonce) == 20
    assert not set(nonce) & {0, ord("$")}
    assert max(nonce) < 0x80


def test_nonce_needs_enough_randomness() -> None:
    with pytest.raises(ValueError, match="20 random bytes"):
        scramble.nonce_from(b"short")


# glibc's crypt() with $5$rounds=5000$ and these salts; lengths around the digest's size take different paths
@pytest.mark.parametrize(
    ("password", "digest"),
    [
        (b"", "fZ6M5HzkVbdG/lB/Id.WJL8Z4MwBAkXlboKmx8NceL8"),
        (b"a", "37CelltD6iMn9nFf.xJrAnACdAdHwtWz5Z4YML7HKcB"),
        (b"Hello world!", "a5C8Ofk71MUIoKve2QuP9FMl.dwNgseF5tR1LGAL7iB"),
        (b"x" * 31, "QGKrq2FTlmm/Ai1G2QiykNCnbAAHVyfISYFrgOigFr."),
        (b"y" * 32, "JzSrDYQrTi0GItsInGcVEHNbg4WhQE6hgkvPdXMoTe9"),
        (b"z" * 33, "ACpNIk.lyayFgExF2g0Cdw6IF5NUGR7x4/4rKqH/0P1"),
        (b"w" * 100, "VAxWxhG2bF.fwDseZ6oivH0a7YPaez6WIlPzFfrMn73"),
        (UMLAUT, "n0Avg6tVLRxDQGGlqCTrO8BwlXXYk9mkAru5YH25m62"),
    ],
)
def test_sha256_crypt_of_glibc(password: bytes, digest: str) -> None:
    assert scramble.sha256_crypt(password, b"saltstringsaltst", 5000).decode() == digest


# mysql.user.authentication_string of MySQL 9.7, as HEX()
STORED = {
    b"secret": "2441243030412416713D41650B1D120A74215D26730575265E4A2C"
    "6E7963464B77684355432E6C78566964663750314363616D45537A78756665754366732F78504A434E6942",
    b"x" * 40: "244124303041240574160A01032C72551B0F6C46062778232F1674"
    "36374F385646544E474357365343715645315958434E79544A2E6874756C314F79364C4A66544267476532",
    UMLAUT: "2441243030412467281030040165213F1E65516F7C7C7F052C02012E"
    "7A454C7745416256694944346C63687443464566634751305750464D6865645A505A534F5862337A6239",
}


@pytest.mark.parametrize("password", STORED)
def test_sha2_crypt_of_mysql_9_7(password: bytes) -> None:
    stored = bytes.fromhex(STORED[password]).decode("latin-1")
    assert scramble.check_sha2_crypt(stored, password)
    assert not scramble.check_sha2_crypt(stored, password + b"x")
    parsed = scramble.parse_sha2_crypt(stored)
    assert parsed.rounds == 10_000
    assert str(parsed) == stored
    assert scramble.make_sha2_crypt(password, parsed.salt, parsed.rounds) == stored


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "$A$005$",
        "$A$005$" + "s" * 20 + "d" * 42,
        "$A$005$" + "s" * 20 + "d" * 44,
        "$A$000$" + "s" * 20 + "d" * 43,
        "$A$-05$" + "s" * 20 + "d" * 43,
        "$A$005$" + "s" * 20 + "$" * 43,
        "$A$005$" + "\u20ac" * 20 + "d" * 43,
        "$5$005$" + "s" * 20 + "d" * 43,
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7",
    ],
)
def test_strings_that_are_no_sha2_crypt(stored: str) -> None:
    with pytest.raises(ValueError, match="caching_sha2_password"):
        scramble.parse_sha2_crypt(stored)


@pytest.mark.parametrize(
    ("password", "salt", "rounds"),
    [(b"p", b"short", 5000), (b"p", bytes(20), 5001), (b"p", bytes(20), 0), (b"p" * 257, bytes(20), 5000)],
)
def test_make_sha2_crypt_refuses(password: bytes, salt: bytes, rounds: int) -> None:
    with pytest.raises(ValueError):
        scramble.make_sha2_crypt(password, salt, rounds)


def test_an_overlong_password_costs_nothing() -> None:
    stored = scramble.make_sha2_crypt(b"secret", b"s" * 20, 1000)
    assert not scramble.check_sha2_crypt(stored, b"x" * 10_000_000)
