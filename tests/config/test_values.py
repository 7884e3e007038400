"""Addresses, durations, sizes and networks: every spelling, and every spelling that is refused."""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from router.config import values
from router.config.values import Address, Url, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:3306", Address("10.0.0.1", 3306)),
        ("db_1.example-a.com:1", Address("db_1.example-a.com", 1)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:3307", Address("::1", 3307)),
        ("[fd00:0::1]:65535", Address("fd00::1", 65535)),
        ("unix:/run/mysqld/mysqld.sock", Address(path="/run/mysqld/mysqld.sock")),
    ],
)
def test_address(text: str, expected: Address) -> None:
    address = Address.parse(text)
    assert address == expected
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.1", "port is missing"),
        ("10.0.0.1:", "port is missing"),
        ("10.0.0.1:33o6", "port is missing"),
        ("10.0.0.1:٣٣٠٦", "port is missing"),
        ("10.0.0.1:65536", "above 65535"),
        ("::1:3306", "quotes"),
        ("[10.0.0.1]:3306", "IPv6"),
        (":3306", "host"),
        ("a b:3306", "host"),
        ("-a:3306", "host"),
        ("http://x:3306", "quotes"),
        ("unix:run/x.sock", "absolute"),
        ("unix:/" + "x" * 107, "too long"),
    ],
)
def test_not_an_address(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_loopback(text: str, loopback: bool) -> None:
    assert Address.parse(text).is_loopback is loopback


def test_unix() -> None:
    assert Address.parse("unix:/x").is_unix
    assert not Address.parse("localhost:1").is_unix


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5),
        ("1m", 60),
        ("8h", 28800),
        ("1d", 86400),
        ("1.5s", 1.5),
        ("5", 5),
        (5, 5),
        (0.25, 0.25),
    ],
)
def test_duration(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5x", "-5s", -1, True, None, "5s 3m", [], float("inf"), float("nan"), "1e3"])
def test_not_a_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|negative"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("16MiB", 2**24),
        ("1MB", 10**6),
        ("1kb", 1000),
        ("10", 10),
        (10, 10),
        ("1GiB", 2**30),
        ("7B", 7),
    ],
)
def test_size(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "64K", "16 MiBs", -1, True, 1.5, None, "-1MB"])
def test_not_a_size(text: object) -> None:
    with pytest.raises(ValueError, match=r"size|negative"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_durations_and_sizes_print_what_they_read(number: int) -> None:
    assert parse_duration(format_duration(number)) == number
    assert parse_duration(format_duration(number % 1000 / 1000)) == number % 1000 / 1000
    assert parse_size(format_size(number)) == number


def test_spelling() -> None:
    assert [format_duration(value) for value in (0.5, 5, 90, 3600, 0)] == ["500ms", "5s", "90s", "1h", "0s"]
    assert [format_size(value) for value in (2**26, 1000, 0)] == ["64MiB", "1000", "0"]


def accepted(annotation: Any, value: object, folder: Path | None = None) -> object:
    adapter: TypeAdapter[object] = TypeAdapter(annotation)
    return adapter.validate_python(value, context={"folder": folder} if folder is not None else None)


def test_networks() -> None:
    assert accepted(values.Network, "10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert accepted(values.Network, "10.0.0.1") == ip_network("10.0.0.1/32")
    assert accepted(values.Network, "fd00::/8") == ip_network("fd00::/8")
    with pytest.raises(ValidationError, match=r"10\.0\.0\.0/8 is the network"):
        accepted(values.Network, "10.1.0.0/8")
    for wrong in ("localhost", "", 10, "10.0.0.0/33"):
        with pytest.raises(ValidationError, match="network such as"):
            accepted(values.Network, wrong)


def test_whole_numbers_are_not_booleans() -> None:
    assert accepted(values.Positive, "50") == 50
    for wrong in (True, 0, "x", 1.5):
        with pytest.raises(ValidationError):
            accepted(values.Positive, wrong)
    assert accepted(values.NonNegative, 0) == 0
    with pytest.raises(ValidationError):
        accepted(values.NonNegative, -1)


def test_workers() -> None:
    assert [accepted(values.Workers, value) for value in (1, "4", "auto")] == [1, 4, "auto"]
    for wrong in (0, True, "many", 1.5, None):
        with pytest.raises(ValidationError, match="auto"):
            accepted(values.Workers, wrong)


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    assert accepted(values.FileName, "ca.pem", tmp_path) == tmp_path / "ca.pem"
    assert accepted(values.FileName, str(tmp_path / "ca.pem"), Path("/elsewhere")) == tmp_path / "ca.pem"
    assert accepted(values.FileName, "anything.pem") == Path("anything.pem")
    with pytest.raises(ValidationError, match="does not exist"):
        accepted(values.FileName, "other.pem", tmp_path)
    for wrong in ("", 5):
        with pytest.raises(ValidationError, match="name of a file"):
            accepted(values.FileName, wrong, tmp_path)


def test_scalars_names_and_bounds() -> None:
    assert [accepted(values.Scalar, value) for value in (1, "a", date(2024, 1, 2))] == [1, "a", date(2024, 1, 2)]
    assert accepted(values.Bound, datetime(2024, 1, 2)) == datetime(2024, 1, 2)
    assert accepted(values.Bound, None) is None
    assert accepted(values.Names, "id") == ["id"]
    assert accepted(values.Names, ["a", "b"]) == ["a", "b"]
    for wrong in (None, True, [1]):
        with pytest.raises(ValidationError):
            accepted(values.Scalar, wrong)


def test_refusals_do_not_repeat_the_value() -> None:
    secret = "hunter2 hunter2"
    for parse in (Address.parse, parse_duration, parse_size):
        with pytest.raises(ValueError) as raised:
            parse(secret)
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("2001:db8::5", True), ("::1", False)],
)
def test_addresses_in_networks(address: str, inside: bool) -> None:
    assert values.is_within(address, [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]) is inside
    assert not values.is_within(address, [])


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:4318", "https://otel.example/otlp/", "http://[::1]:4318", "http://a"]
)
def test_urls(text: str) -> None:
    assert TypeAdapter(Url).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "127.0.0.1:4318", "ftp://a", "http://u:p@a", "http://a/?b", "http://a b", 5])
def test_not_urls(text: object) -> None:
    with pytest.raises(ValidationError, match="must be http://host:port"):
        TypeAdapter(Url).validate_python(text)
