"""The small values of the configuration file: addresses, durations, sizes, networks, file names.

Each has one parser (text in, value out, ``ValueError`` when it is not one) and one annotated type for the models.
Messages never repeat the text they refuse: it may have come from a secret; the loader adds what is safe to show.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\Z"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/%-]*)?\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?\Z", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

# A sockaddr_un holds 108 bytes on Linux, the terminating NUL included.
_MAX_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect: a host and a TCP port, or the path of a unix socket.

    Exactly one of ``host`` and ``path`` is set; ``port`` goes with ``host``. ``str()`` gives the form of the file.
    """

    host: str | None = None
    port: int | None = None
    path: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``host:port``, ``[v6]:port`` or ``unix:/path``; ``ValueError`` says what is wrong."""
        if text.startswith("unix:"):
            return cls._parse_unix(text.removeprefix("unix:"))
        host, colon, port_text = text.rpartition(":")
        if not colon or not port_text.isascii() or not port_text.isdigit():
            raise ValueError("must be host:port, [v6]:port or unix:/path (the port is missing)")
        port = int(port_text)
        if port > 65535:
            raise ValueError("has a port above 65535")
        if host.startswith("[") and host.endswith("]"):
            return cls(host=str(_ipv6(host[1:-1])), port=port)
        if ":" in host:
            raise ValueError('must be written "[v6]:port", in quotes, for an IPv6 address')
        if not _HOST.match(host):
            raise ValueError("does not name a host before the port")
        return cls(host=host, port=port)

    @classmethod
    def _parse_unix(cls, path: str) -> Address:
        if not path.startswith("/"):
            raise ValueError("must give an absolute path after unix:, such as unix:/run/router/router.sock")
        if len(path.encode()) > _MAX_SOCKET_PATH:
            raise ValueError(f"is too long for a unix socket (at most {_MAX_SOCKET_PATH} bytes)")
        return cls(path=path)

    @property
    def is_unix(self) -> bool:
        """Whether this is a unix socket."""
        return self.path is not None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: a unix socket, 127.0.0.0/8, ::1 or ``localhost``."""
        if self.host is None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in (self.host or "") else f"{self.host}:{self.port}"


def _ipv6(text: str) -> ipaddress.IPv6Address:
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("does not hold an IPv6 address between the brackets") from None


def parse_duration(value: object) -> float:
    """Seconds from ``500ms``, ``5s``, ``1m``, ``8h``, ``1d`` or a bare number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0 or not math.isfinite(value):
            raise ValueError("must not be negative")
        return float(value)
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration such as 500ms, 5s, 1m or 8h (a bare number is seconds)")
    return round(float(match[1]) * _SECONDS[match[2] or "s"], 6)


def parse_size(value: object) -> int:
    """Bytes from ``64KiB``, ``16MiB``, ``1MB`` or a bare number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("must not be negative")
        return value
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a size such as 64KiB, 16MiB or 1MB (a bare number is bytes)")
    return int(float(match[1]) * _BYTES[(match[2] or "b").lower()])


def format_duration(seconds: float) -> str:
    """The shortest spelling that ``parse_duration`` reads back: ``500ms``, ``5s``, ``8h``."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def format_size(size: int) -> str:
    """The shortest spelling that ``parse_size`` reads back: ``64MiB``, ``1000``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit.lower()] == 0:
            return f"{size // _BYTES[unit.lower()]}{unit}"
    return str(size)


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise ValueError("must be host:port, [v6]:port or unix:/path, as text")
    return Address.parse(value.strip())


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an address or a network such as 10.0.0.0/8, as text")
    try:
        return ipaddress.ip_network(value.strip())
    except ValueError as error:
        if "host bits" in str(error):
            inside = ipaddress.ip_network(value.strip(), strict=False)
            raise ValueError(f"has bits set outside its mask; {inside} is the network") from None
        raise ValueError("must be an address or a network such as 10.0.0.0/8 (host names are not looked up)") from None


def _no_bool(value: object) -> object:
    if isinstance(value, bool):  # YAML true would otherwise pass as the number 1
        raise ValueError("must be a whole number")
    return value


def _workers(value: object) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a number of processes from 1 up, or auto")
    return value


def _existing_file(value: object, info: ValidationInfo) -> Path:
    """A file name relative to the configuration file; the loader gives its folder as ``context["folder"]``."""
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise ValueError("must be the name of a file")
    context: dict[str, Any] = info.context or {}
    path = Path(context.get("folder", ".")) / value
    if "folder" in context and not path.is_file():
        raise ValueError("names a file that does not exist (relative names start at the configuration file)")
    return path


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str | date | datetime):
        raise ValueError("must be a number, a date or text")
    return value


def _bound(value: object) -> object:
    return None if value is None else _scalar(value)


def _url(value: object) -> str:
    if not isinstance(value, str) or not _URL.match(value):
        raise ValueError("must be http://host:port or https://host:port, perhaps with a path, without a password")
    return value


def _max_lag(value: object) -> float:
    return math.inf if value == "any" else parse_duration(value)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


# In the JSON schema a title names the kind of text; the reference page prints it.
_ADDRESS_SCHEMA = {"title": "address", "type": "string", "pattern": r"^(unix:/.+|.+:[0-9]+|.*\$\{.*)$"}
_NETWORK_SCHEMA = {"title": "network", "type": "string"}
_URL_SCHEMA = {"title": "url", "type": "string", "pattern": r"^(https?://.+|.*\$\{.*)$"}
_FILE_SCHEMA = {"title": "file", "type": "string"}
_DURATION_SCHEMA = {
    "title": "duration",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)? *(ms|s|m|h|d)?|.*\$\{.*)$"},
    ],
}
_SIZE_SCHEMA = {
    "title": "size",
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)? *([KkMmGg][Ii]?)?[Bb]?|.*\$\{.*)$"},
    ],
}
_WORKERS_SCHEMA = {"title": "number or `auto`", "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}
_SCALAR_SCHEMA = {"title": "number, date or text", "type": ["number", "string"]}
_BOUND_SCHEMA = {"title": "number, date, text or null", "type": ["number", "string", "null"]}
_NAMES_SCHEMA = {
    "title": "name or list of names",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}

AnyNetwork: TypeAlias = IPv4Network | IPv6Network
AnyScalar: TypeAlias = int | float | str | date | datetime

AddressField = Annotated[Address, PlainValidator(_address), PlainSerializer(str), WithJsonSchema(_ADDRESS_SCHEMA)]
Network = Annotated[AnyNetwork, PlainValidator(_network), WithJsonSchema(_NETWORK_SCHEMA)]
Url = Annotated[str, PlainValidator(_url), WithJsonSchema(_URL_SCHEMA)]
FileName = Annotated[Path, PlainValidator(_existing_file), WithJsonSchema(_FILE_SCHEMA)]
Seconds = Annotated[float, PlainValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
MaxLag = Annotated[
    float,
    PlainValidator(_max_lag),
    WithJsonSchema({"title": "duration or any", "anyOf": [_DURATION_SCHEMA, {"const": "any"}]}),
]
Bytes = Annotated[int, PlainValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
Positive = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
NonNegative = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Workers = Annotated[int | str, PlainValidator(_workers), WithJsonSchema(_WORKERS_SCHEMA)]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Name], BeforeValidator(_as_list), WithJsonSchema(_NAMES_SCHEMA)]
Scalar = Annotated[AnyScalar, PlainValidator(_scalar), WithJsonSchema(_SCALAR_SCHEMA)]
Bound = Annotated[AnyScalar | None, PlainValidator(_bound), WithJsonSchema(_BOUND_SCHEMA)]


def is_within(address: str, networks: Iterable[AnyNetwork]) -> bool:
    """Whether an IP address is in one of the networks; an IPv4 address written as IPv6 counts as the former."""
    parsed = ipaddress.ip_address(address)
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)
