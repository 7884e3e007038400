"""The PROXY protocol, versions 1 and 2: what a load balancer says of the client, in front of everything else.

After HAProxy's specification ("The PROXY protocol", sections 2.1 to 2.3): a listener that expects a header must get
one, and must not guess; LOCAL and UNKNOWN mean the balancer's own connection, such as a health check.

The reader asks for exactly the bytes that are missing: what follows the header is not its business.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import unpack
from typing import Final

from router.errors import ProtocolError

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEAD: Final = 16
_V1: Final = b"PROXY "
_V1_LONGEST: Final = 107
# Addresses and extensions (TLVs) behind the head of version 2; no balancer sends as much.
_V2_LONGEST: Final = 4096
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_INET: Final = 1
_INET6: Final = 2
_WIDTHS: Final = {_INET: 4, _INET6: 16}


class ProxyHeader:
    """Reads one header: give it the ``need`` bytes it asks for until that is 0.

    Then ``source`` is the client's address, None when the header speaks of no other client than the connection's own.
    """

    __slots__ = ("_data", "need", "source")

    def __init__(self) -> None:
        self._data = b""
        self.need = len(_SIGNATURE)
        self.source: str | None = None

    def feed(self, data: bytes) -> None:
        """Take the bytes asked for. Raises ProtocolError when they are no header."""
        self._data += data
        if self._data.startswith(_V1):
            self._line()
        elif not self._data.startswith(_SIGNATURE):
            raise ProtocolError("no PROXY header, which this listener expects from this network")
        elif len(self._data) < _V2_HEAD:
            self.need = _V2_HEAD - len(self._data)
        else:
            self._binary()

    def _line(self) -> None:
        """Version 1: ``PROXY TCP4 192.0.2.1 198.51.100.2 56324 3306``, and it may end with any byte."""
        if not self._data.endswith(b"\n"):
            if len(self._data) >= _V1_LONGEST:
                raise ProtocolError(f"a PROXY line of more than {_V1_LONGEST} bytes")
            self.need = 1
            return
        self.need = 0
        fields = self._data.removesuffix(b"\r\n").split(b" ")
        if fields[1:2] == [b"UNKNOWN"]:
            return
        try:
            kind, source, destination, *ports = (field.decode("ascii") for field in fields[1:])
            addresses = ip_address(source), ip_address(destination)
            plausible = len(ports) == 2 and all(port.isdecimal() and int(port) <= 0xFFFF for port in ports)
        except ValueError:
            raise ProtocolError(f"a PROXY line that is none: {self._data!r}") from None
        wanted = {"TCP4": IPv4Address, "TCP6": IPv6Address}.get(kind)
        if wanted is None or not plausible or not all(isinstance(each, wanted) for each in addresses):
            raise ProtocolError(f"a PROXY line that is none: {self._data!r}")
        self.source = str(addresses[0])

    def _binary(self) -> None:
        """Version 2: version and command, family and transport, length, addresses, extensions."""
        command, family, length = unpack(">BBH", self._data[len(_SIGNATURE) : _V2_HEAD])
        if command not in (_LOCAL, _PROXY):
            raise ProtocolError(f"a PROXY header with command {command:#x}")
        if length > _V2_LONGEST:
            raise ProtocolError(f"a PROXY header of {length} bytes")
        self.need = _V2_HEAD + length - len(self._data)
        if self.need or command == _LOCAL:
            return
        width = _WIDTHS.get(family >> 4)
        if width is None:
            return  # unspecified, or a unix socket at the balancer: its own connection is all we know
        if length < 2 * width + 4:
            raise ProtocolError("a PROXY header that is too short for its addresses")
        self.source = str(ip_address(self._data[_V2_HEAD : _V2_HEAD + width]))
