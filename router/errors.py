"""Every exception the router raises on purpose, in one tree.

::

    RouterError
    ├── ConfigError            the configuration file is wrong; lists every problem with its place
    ├── NoSuchName             an operator's word names nothing of the configuration
    ├── OperationFailed        a running router could not be asked for something, or has refused
    ├── ProtocolError          the peer's bytes break the MySQL protocol
    │   └── PacketTooLarge     a packet header announces more than the limit
    ├── MySQLError             what a client gets as an ERR packet: code, SQLSTATE, message
    │   ├── AccessDenied       login or schema access refused
    │   └── Unsupported        a construct the router refuses rather than guesses
    └── BackendError           a server could not do its part
        ├── BackendUnavailable no server can take the statement
        │   └── TurnedAway     this one takes nothing new: another may, or it itself later
        ├── PoolTimeout        no connection became free within ``queue_timeout``
        └── ConnectionLost     the connection to the server broke

A class exists only where somebody catches it.
"""

from __future__ import annotations

from dataclasses import dataclass


class RouterError(Exception):
    """Base of all errors raised by the router."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file.

    ``line`` and ``column`` count from 1; ``path`` is the dotted place in the file, such as ``groups.main.servers.0``.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(RouterError):
    """The configuration was refused; ``problems`` lists everything that is wrong, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class NoSuchName(RouterError):
    """A group or a server that is not in the configuration; the text says what may have been meant."""


class OperationFailed(RouterError):
    """A running router cannot be asked, or has refused; the text is for people."""


class ProtocolError(RouterError):
    """The peer sent bytes that break the protocol; the connection cannot go on."""


class PacketTooLarge(ProtocolError):
    """A packet is announced that exceeds the limit; raised from its header, before it is stored."""


class MySQLError(RouterError):
    """An error as a client sees it.

    ``code`` is a MySQL error number, ``sqlstate`` five characters, ``message`` the text.
    """

    def __init__(self, code: int, sqlstate: str, message: str) -> None:
        super().__init__(f"{code} ({sqlstate}): {message}")
        self.code = code
        self.sqlstate = sqlstate
        self.message = message


class AccessDenied(MySQLError):
    """A login or the use of a schema is refused."""


class Unsupported(MySQLError):
    """The statement names a construct the router refuses rather than answers wrongly."""


class BackendError(RouterError):
    """A server could not do its part."""


class BackendUnavailable(BackendError):
    """No server of the group can take the statement now; ``refused``: it was asked and said no, waiting is no use."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class TurnedAway(BackendUnavailable):
    """The server, or its group, takes no new statements for now. Nothing is wrong with it."""


class PoolTimeout(BackendError):
    """No server connection became free within the pool's ``queue_timeout``."""


class ConnectionLost(BackendError):
    """The connection to the server broke, or was broken by us because its state was in doubt."""
