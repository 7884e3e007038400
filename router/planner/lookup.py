"""Sharding function `lookup`: a table of the schema's own group says which shard a key is on.

Planning asks nobody: what is not known yet is raised as ``NeedsKeys``, somebody asks the table (``cluster/lookups``),
and the statement is bound again. Answers are kept for a while, and so many of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from router.planner.keys import Key
from router.planner.sharding import ShardingFunction

# Keys whose shard is remembered, for each table.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Table ``name`` of ``schema``, on ``group``: column ``key`` has the keys, ``shard`` the names of their shards."""

    group: str
    schema: str
    name: str
    key: str
    shard: str


class NeedsKeys(Exception):
    """The shards of these keys are not known yet."""

    def __init__(self, function: Lookup, keys: Iterable[Key]) -> None:
        super().__init__("keys that are to be looked up")
        self.function = function
        self.keys = tuple(dict.fromkeys(keys))


class Lookup(ShardingFunction):
    """What ``table`` says, as far as it has been asked; ``names`` are those of the shards, in their order."""

    def __init__(self, table: LookupTable, names: Sequence[str], default: int | None = None) -> None:
        super().__init__(len(names), default)
        self.table = table
        self.names = tuple(names)
        self._known: OrderedDict[Key, int] = OrderedDict()
        self._missing: frozenset[Key] = frozenset()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._known)

    def shard(self, key: Key) -> int:
        """The shard of a row with this key. Raises NoShard, NeedsKeys."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
            return found
        if key in self._missing:
            return self._default()
        raise NeedsKeys(self, (key,))

    def learn(self, found: Mapping[Key, int], missing: Iterable[Key]) -> None:
        """What the table has said; that it has no row is to be forgotten when the statement has been bound."""
        for key, shard in found.items():
            self._known[key] = shard
            self._known.move_to_end(key)
        while len(self._known) > max(MOST, len(found)):
            self._known.popitem(last=False)
        self._missing = frozenset(missing)

    def bound(self) -> None:
        """The statement that asked has been bound."""
        self._missing = frozenset()

    def forget(self, keys: Iterable[Key]) -> None:
        """What was said of these may have changed."""
        for key in keys:
            self._known.pop(key, None)
