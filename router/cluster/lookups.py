"""Asks the tables of sharding function `lookup` where keys are (``planner/lookup``)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from router.backend.connector import BackendUser
from router.cluster.topology import Topology
from router.errors import BackendError
from router.planner.keys import Canonical, Key
from router.planner.lookup import NeedsKeys

# Seconds for which an answer is believed.
KEPT = 10.0
# Keys of one question.
_AT_ONCE = 200


class Lookups:
    """``accounts``: schema → account that may read its tables."""

    def __init__(self, topology: Topology, accounts: Mapping[str, BackendUser]) -> None:
        self._topology = topology
        self._accounts = accounts

    async def fetch(self, wanted: NeedsKeys) -> None:
        """Have the function learn where the keys are. Raises BackendError."""
        function, keys = wanted.function, wanted.keys
        table = function.table
        account = self._accounts.get(table.schema)
        if account is None:
            raise BackendError("no user may read it")
        primary = await self._topology.groups[table.group].writer()
        places = {name: number for number, name in enumerate(function.names)}
        found: dict[Key, int] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            (rows,) = await primary.connector.ask(account, self._question(wanted, some))
            for number, name in rows:
                shard = name.decode() if isinstance(name, bytes) else str(name)
                if shard not in places:
                    raise BackendError(f"column '{table.shard}' says '{shard[:60]}', which is no shard of the table")
                found[some[int(number)]] = places[shard]
        function.learn(found, (key for key in keys if key not in found))
        if found:
            asyncio.get_running_loop().call_later(KEPT, function.forget, tuple(found))

    def _question(self, wanted: NeedsKeys, keys: Sequence[Key]) -> str:
        """One row for each key that is there: its number, and the shard. The table compares, as it calls keys equal."""
        table = wanted.function.table
        source = f"{_quoted(table.schema)}.{_quoted(table.name)}"
        return " UNION ALL ".join(
            f"SELECT {number}, {_quoted(table.shard)} FROM {source} "  # noqa: S608 - names of the configuration
            f"WHERE {_quoted(table.key)} = {_literal(key[0])}"
            for number, key in enumerate(keys)
        )


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literal(value: Canonical) -> str:
    match value:
        case int() | Decimal():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
        case str():
            return f"_utf8mb4 0x{value.encode().hex()}" if value else "''"
        case bytes():
            return f"0x{value.hex()}" if value else "''"
        case datetime():
            return f"TIMESTAMP'{value.isoformat(' ')}'"
        case date():
            return f"DATE'{value.isoformat()}'"
