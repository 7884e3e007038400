"""The tables against the servers they were made from."""

from __future__ import annotations

import codecs
import hashlib

import pytest

from router.wire.charset import (
    BINARY,
    MULTIBYTE_UNSAFE,
    UTF8MB4_GENERAL_CI,
    Collation,
    Flavor,
    collation,
    collation_named,
    default_collation,
    python_codec,
)


def every(flavor: Flavor) -> list[Collation]:
    return [item for number in range(65536) if (item := collation(number, flavor)) is not None]


@pytest.mark.parametrize(
    ("flavor", "count", "digest"),
    [
        ("mysql", 286, "f2cc3c45dbb2a5e3b87d6c2967db0764f9c4d9e23bc0f7be7cb477057bee6e99"),
        ("mariadb", 1242, "7e09f7da5f876c5b88fa59b2bde62313993d6c6b1641923adfdc26c7bb0b95d2"),
    ],
)
def test_the_whole_table_is_the_servers(flavor: Flavor, count: int, digest: str) -> None:
    """The digest is of ``id name charset is_default`` lines as MySQL 9.7.4 and MariaDB 10.11.19 list them."""
    items = every(flavor)
    assert len(items) == count
    text = "".join(f"{item.id} {item.name} {item.charset} {int(item.default)}\n" for item in items)
    assert hashlib.sha256(text.encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("number", "flavor", "name", "charset"),
    [
        (8, "mysql", "latin1_swedish_ci", "latin1"),
        (33, "mariadb", "utf8mb3_general_ci", "utf8mb3"),
        (45, "mysql", "utf8mb4_general_ci", "utf8mb4"),
        (63, "mysql", "binary", "binary"),
        (224, "mariadb", "utf8mb4_unicode_ci", "utf8mb4"),
        (245, "mysql", "utf8mb4_croatian_ci", "utf8mb4"),
        (245, "mariadb", "utf8mb4_croatian_mysql561_ci", "utf8mb4"),
        (255, "mysql", "utf8mb4_0900_ai_ci", "utf8mb4"),
        (308, "mysql", "utf8mb4_zh_0900_as_cs", "utf8mb4"),
        (1070, "mariadb", "utf8mb4_nopad_bin", "utf8mb4"),
        (2304, "mariadb", "utf8mb4_uca1400_ai_ci", "utf8mb4"),
        (2496, "mariadb", "utf8mb4_uca1400_croatian_ai_ci", "utf8mb4"),
        (3271, "mariadb", "utf32_uca1400_croatian_nopad_as_cs", "utf32"),
    ],
)
def test_collations(number: int, flavor: Flavor, name: str, charset: str) -> None:
    found = collation(number, flavor)
    assert found is not None
    assert (found.id, found.name, found.charset) == (number, name, charset)
    assert collation_named(name, flavor) == found


@pytest.mark.parametrize(
    ("number", "flavor"), [(0, "mysql"), (255, "mariadb"), (2304, "mysql"), (65535, "mariadb"), (-1, "mysql")]
)
def test_ids_without_a_collation(number: int, flavor: Flavor) -> None:
    assert collation(number, flavor) is None


def test_names() -> None:
    assert collation_named("UTF8MB4_Unicode_CI", "mysql") == collation(224, "mysql")
    assert collation_named("utf8_bin", "mariadb") == collation(83, "mariadb")
    assert collation_named("klingon_ci", "mysql") is None


def test_defaults_differ_between_flavors() -> None:
    assert default_collation("utf8mb4", "mysql") == collation(255, "mysql")
    assert default_collation("utf8mb4", "mariadb") == collation(UTF8MB4_GENERAL_CI, "mariadb")
    assert default_collation("UTF8", "mysql") == collation(33, "mysql")
    assert default_collation("binary", "mysql") == collation(BINARY, "mysql")
    assert default_collation("gb18030", "mariadb") is None


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_every_character_set_has_a_default_and_an_honest_codec(flavor: Flavor) -> None:
    for charset in {item.charset for item in every(flavor)}:
        assert default_collation(charset, flavor) is not None
        codec = python_codec(charset)
        assert codec is None or codecs.lookup(codec)


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("latin1", b"\x80\xe9", "€é"),
        ("gbk", b"\xc4\xe3\xba\xc3", "你好"),
        ("euckr", b"\x81A", "\uac02"),
        ("utf8mb4", b"\xf0\x9f\x90\xac", "🐬"),
        ("ucs2", b"\x00A", "A"),
        ("utf16le", b"A\x00", "A"),
    ],
)
def test_codecs(charset: str, data: bytes, text: str) -> None:
    codec = python_codec(charset)
    assert codec is not None
    assert data.decode(codec) == text


def test_character_sets_without_a_codec() -> None:
    assert python_codec("binary") is None
    assert python_codec("swe7") is None


def test_backslash_as_a_second_byte_is_why_they_are_unsafe() -> None:
    """Python's codecs agree with the servers here; no other multi-byte set takes these bytes as second ones."""
    signs = b"\\`|{}~@"
    charsets = {item.charset for item in every("mysql")} | {item.charset for item in every("mariadb")}
    for charset in charsets - {"ucs2", "utf16", "utf16le", "utf32"}:
        codec = python_codec(charset)
        if codec is None:
            continue
        inside = any(len(decoded(bytes([lead, sign]), codec)) == 1 for lead in range(0x80, 0x100) for sign in signs)
        assert inside is (charset in MULTIBYTE_UNSAFE), charset


def decoded(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return "not one character"
