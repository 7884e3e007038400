"""The protocol's basic types: integers of fixed and encoded length, and byte strings, each as a pull/push pair.

``pull_*`` functions read at a position and return the value and the position behind it; they never read past the end:
bytes that are not there raise `ProtocolError` naming what was wanted and where. ``push_*`` functions return bytes.
See "Protocol::Integer Types" and "Protocol::String Types" in the MySQL internals manual.
"""

from __future__ import annotations

from router.errors import ProtocolError

NULL_MARK = 0xFB
"""Stands in place of a length-encoded string for SQL NULL."""


def _missing(what: str, data: bytes, position: int) -> ProtocolError:
    return ProtocolError(f"{what} at byte {position} runs past the end of a packet of {len(data)} bytes")


def pull_bytes(data: bytes, position: int, size: int) -> tuple[bytes, int]:
    """Read exactly `size` bytes."""
    end = position + size
    if size < 0 or end > len(data):
        raise _missing(f"string of {size} bytes", data, position)
    return data[position:end], end


def pull_int(data: bytes, position: int, size: int) -> tuple[int, int]:
    """Read an unsigned little-endian integer of `size` bytes."""
    end = position + size
    if end > len(data):
        raise _missing(f"integer of {size} bytes", data, position)
    return int.from_bytes(data[position:end], "little"), end


def push_int(value: int, size: int) -> bytes:
    """Write an unsigned little-endian integer of `size` bytes; a value that does not fit raises `OverflowError`."""
    return value.to_bytes(size, "little")


def pull_lenenc_int(data: bytes, position: int) -> tuple[int, int]:
    """Read a length-encoded integer. 0xFB (NULL) and 0xFF (error) are not integers and raise."""
    if position >= len(data):
        raise _missing("length-encoded integer", data, position)
    first = data[position]
    if first < NULL_MARK:
        return first, position + 1
    if first == 0xFC:
        return pull_int(data, position + 1, 2)
    if first == 0xFD:
        return pull_int(data, position + 1, 3)
    if first == 0xFE:
        return pull_int(data, position + 1, 8)
    raise ProtocolError(f"byte 0x{first:02X} at {position} does not begin a length-encoded integer")


def push_lenenc_int(value: int) -> bytes:
    """Write a length-encoded integer in its shortest form; `value` must be in 0 … 2**64-1, else `OverflowError`."""
    if value < NULL_MARK:
        return value.to_bytes(1, "little")
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def pull_lenenc_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """Read a string that is preceded by its length as a length-encoded integer."""
    size, position = pull_lenenc_int(data, position)
    return pull_bytes(data, position, size)


def push_lenenc_bytes(value: bytes) -> bytes:
    """Write a string preceded by its length."""
    return push_lenenc_int(len(value)) + value


def pull_lenenc_bytes_or_null(data: bytes, position: int) -> tuple[bytes | None, int]:
    """Like `pull_lenenc_bytes`, where 0xFB in place of the length means NULL."""
    if position < len(data) and data[position] == NULL_MARK:
        return None, position + 1
    return pull_lenenc_bytes(data, position)


def push_lenenc_bytes_or_null(value: bytes | None) -> bytes:
    """Like `push_lenenc_bytes`, with 0xFB for NULL."""
    return b"\xfb" if value is None else push_lenenc_bytes(value)


def pull_nul_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """Read a string up to its terminating NUL, which is consumed and not returned."""
    end = data.find(b"\0", position)
    if end < 0 or position > len(data):
        raise _missing("NUL-terminated string", data, position)
    return data[position:end], end + 1


def pull_nul_bytes_or_rest(data: bytes, position: int) -> tuple[bytes, int]:
    """Like `pull_nul_bytes`, where the end of the packet also ends the string.

    Servers accept a last field without its NUL, and some clients rely on it.
    """
    end = data.find(b"\0", position)
    if end < 0:
        return data[position:], max(position, len(data))
    return data[position:end], end + 1


def push_nul_bytes(value: bytes) -> bytes:
    """Write a NUL-terminated string; a NUL inside would truncate it for the reader and raises `ValueError`."""
    if b"\0" in value:
        raise ValueError("a NUL-terminated string cannot hold a NUL")
    return value + b"\0"
