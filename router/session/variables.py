"""The variables of a session, and the difference that takes a server connection there.

A session carries a ``VariableSet``; a server connection carries the one it has applied. Equal sets are the same
object (interned), so that on the hot path "does this connection already look like my session?" is one ``is``.
When they differ, only the difference is sent (after PgBouncer's ``varcache``).

User variables whose values are plain literals are among them, under names with an ``@``. No statement takes them from
a connection again but COM_RESET_CONNECTION: a set that has some is *personal*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from router.session.profile import CHARSET_VARIABLES, ServerProfile

# A value made of these characters means the same inside '…' under every sql_mode and character set.
_REPLAYABLE: Final = re.compile(r"[ !\"#$%&()*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z{|}~]*")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")

_INTERNED_LIMIT: Final = 4096
_interned: dict[tuple[tuple[str, str], ...], VariableSet] = {}


class VariableSet:
    """An immutable set of variable values that differ from a new connection's; compare with ``is`` first.

    ``personal``: there are user variables among them; ``shared``: the set without these.
    """

    __slots__ = ("_items", "personal", "shared", "values")

    def __init__(self, items: tuple[tuple[str, str], ...]) -> None:
        """Use ``VariableSet.of``, which interns."""
        self._items = items
        self.values: Mapping[str, str] = dict(items)
        self.personal = bool(items) and items[0][0].startswith("@")  # they sort before letters
        self.shared: VariableSet = self
        if self.personal:
            self.shared = VariableSet.of({name: value for name, value in items if not name.startswith("@")})

    @staticmethod
    def of(values: Mapping[str, str]) -> VariableSet:
        """The one object for these values (unless the table was emptied in between; ``==`` still holds).

        Personal sets are one session's and not interned.
        """
        items = tuple(sorted(values.items()))
        if items and items[0][0].startswith("@"):
            return VariableSet(items)
        found = _interned.get(items)
        if found is None:
            if len(_interned) >= _INTERNED_LIMIT:
                _interned.clear()
            found = _interned[items] = VariableSet(items)
        return found

    def with_changes(self, changes: Mapping[str, str]) -> VariableSet:
        """This set with ``changes`` applied over it."""
        return VariableSet.of({**self.values, **changes})

    def without(self, name: str) -> VariableSet:
        """This set less one variable, which is as on a new connection then."""
        return VariableSet.of({key: value for key, value in self.values.items() if key != name})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VariableSet) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"VariableSet({dict(self._items)!r})"


EMPTY: Final = VariableSet.of({})


def replayable(values: Iterable[str]) -> bool:
    """Whether every value can be written into a SET without escaping, which depends on modes not yet applied."""
    return all(_REPLAYABLE.fullmatch(value) is not None for value in values)


def assignments(wanted: VariableSet, applied: VariableSet, profile: ServerProfile) -> list[str]:
    """The terms of a SET that turn ``applied`` into ``wanted`` on a server of ``profile``.

    A variable only the connection has goes back to DEFAULT, its global value, as on a new connection. User variables
    cannot: a connection keeps them until it is reset.
    """
    changed = {name: value for name, value in wanted.values.items() if applied.values.get(name) != value}
    terms = []
    if not changed.keys().isdisjoint(CHARSET_VARIABLES) and (names := _names(wanted.values, profile)) is not None:
        terms.append(names)
        changed = {name: value for name, value in changed.items() if name not in CHARSET_VARIABLES}
    terms.extend(f"{name} = {_literal(name, value, profile)}" for name, value in changed.items())
    terms.extend(f"{name} = DEFAULT" for name in applied.values if name not in wanted.values)
    return terms


def _names(values: Mapping[str, str], profile: ServerProfile) -> str | None:
    """SET NAMES where it says it all: MariaDB then labels results with the collation, as after a login."""
    client, results, collation = (values.get(name, "") for name in CHARSET_VARIABLES)
    if client != results or profile.charset_by_collation.get(collation) != client:
        return None
    return f"NAMES {client} COLLATE {collation}"


def _literal(name: str, value: str, profile: ServerProfile) -> str:
    if name == "character_set_results" and value == "":
        return "NULL"
    if name.startswith("@") or (name in profile.numeric and _NUMBER.fullmatch(value)):
        return value
    return f"'{value}'"
