"""MyCat's partition functions as sharding functions.

What is not the same function to the last key must not look as if it were: rows would be looked for where they are not.
Functions that only spread keys are replaced by ours, and all rows have to be moved; for others a name stands there that
the router cannot load. Source: `io.mycat.route.function` of MyCat 1.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from router.importing.draft import Block, Items, Place
from router.importing.markup import Element

# A name that cannot be imported: the router refuses statements about such a table.
UNKNOWN = "to_do.shards"
_NUMBER = re.compile(r"(-?[0-9]{1,15})(?:([MK])([0-9]{0,9}))?\Z", re.IGNORECASE)
_UNITS = {"M": 10_000, "K": 1_000}
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")


@dataclass(slots=True)
class Rule:
    """A ``tableRule``: its column and its function."""

    place: Place
    column: str
    function: str
    properties: Mapping[str, Element] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """The text of a property."""
        return self.properties[name].text.strip() if name in self.properties else ""


@dataclass(slots=True)
class Spread:
    """What a function has become: keys of the table, and what has to be said (text, whether it is to do)."""

    keys: Block
    said: list[tuple[str, bool]] = field(default_factory=list)
    # Whether tables with the same rule may be told to follow this one.
    leads: bool = True


class _Unlike(Exception):
    """A function that cannot be carried over, with the reason."""


def spread(rule: Rule, name: str, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
    """The keys for a table whose rule is called ``name``, over these shards in their order."""
    kind = rule.function.rpartition(".")[2]
    convert = _FUNCTIONS.get(kind)
    try:
        if not rule.column and not rule.function:
            raise _Unlike(f"there is no rule {name!r}")
        if not rule.column or "," in rule.column:
            raise _Unlike(f"columns {rule.column!r}")
        if convert is None:
            raise _Unlike(f"there is no function like {kind or 'none'}")
        return convert(rule, shards, files)
    except _Unlike as error:
        stem = re.sub(r"\W", "_", name) or "rule"
        python = f"{UNKNOWN}:{stem if not stem[0].isdigit() else '_' + stem}"
        said = f"{error}: write a function `pick(value, shards=names)`, name it here as `package.module:function`"
        return Spread(Block(python=python), [(said, True)], leads=False)


def _mod(rule: Rule, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
    count = _count(rule, "count")
    if count > len(shards):
        raise _Unlike(f"count={count} is more than the table's {len(shards)} data nodes")
    keys = Block(function="mod")
    if count < len(shards):
        keys["shards"] = Items(*shards[:count])
    return Spread(keys, [("negative keys: MyCat takes the remainder without the sign; move their rows, if any", False)])


def _count(rule: Rule, name: str) -> int:
    text = rule.get(name)
    if not text.isdecimal() or not 0 < int(text[:9]) < 100_000:
        raise _Unlike(f"{name}={text!r} of its function")
    return int(text[:9])


def _default(rule: Rule, shards: Sequence[str], keys: Block, given: str = "") -> None:
    node = given or rule.get("defaultNode")
    if node.isdecimal():
        keys["default"] = _shard(node, shards)


def _shard(number: str, shards: Sequence[str]) -> str:
    if not number.strip().isdecimal() or int(number.strip()[:9]) >= len(shards):
        raise _Unlike(f"data node number {number.strip()!r} of {len(shards)}")
    return shards[int(number.strip()[:9])]


def _lines(rule: Rule, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """``left=right`` of the function's map file."""
    name = rule.get("mapFile")
    if name not in files:
        raise _Unlike(f"its file {name!r} is not in the folder")
    pairs = []
    for line in files[name].decode("utf-8-sig", "replace").splitlines():
        line = line.strip()
        if line and not line.startswith(("#", "//")):
            left, equals, right = line.rpartition("=")
            if not equals:
                raise _Unlike(f"its file {name} has a line without =")
            pairs.append((left.strip(), right.strip()))
    if not pairs:
        raise _Unlike(f"its file {name} is empty")
    return pairs


def _range(rule: Rule, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
    """Intervals with both ends included, of which the first that holds a key counts."""
    found: list[tuple[int, int, str]] = []
    for left, right in _lines(rule, files):
        match = re.fullmatch(r"(.+?)\s*-\s*(.+)", left)
        if match is None:
            raise _Unlike(f"interval {left!r}")
        low, high = _number(match[1]), _number(match[2]) + 1
        for start, end, _ in found:
            if start <= low < end:
                low = end
            elif low < start < high:
                raise _Unlike(f"interval {left!r} lies around another one")
        if low < high:
            found.append((low, high, _shard(right, shards)))
    merged: dict[str, tuple[int, int]] = {}
    for low, high, shard in sorted(found):
        if shard in merged and merged[shard][1] != low:
            raise _Unlike(f"two intervals for {shard}: a shard has one range")
        merged[shard] = (merged[shard][0] if shard in merged else low, high)
    keys = Block(function="range", ranges=Block(flow=len(merged) <= 4))
    for shard, (low, high) in merged.items():
        keys.block("ranges")[shard] = Items(low, high)
    _default(rule, shards, keys)
    return Spread(keys)


def _number(text: str) -> int:
    """``500M``, ``200M1`` (2000001), ``10K``: M is 10,000 here."""
    match = _NUMBER.match(text.strip())
    if match is None:
        raise _Unlike(f"number {text.strip()!r}")
    return int(match[1]) * _UNITS.get((match[2] or "").upper(), 1) + int(match[3] or 0)


def _list(rule: Rule, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
    integers = rule.get("type") in ("", "0")
    values: dict[str, Items] = {}
    default, seen = "", set()
    for left, right in _lines(rule, files):
        if left == "DEFAULT_NODE":
            default = right
            continue
        if integers and not re.fullmatch(r"-?[0-9]{1,18}", left):
            raise _Unlike(f"value {left!r} is no number, and type=0")
        if left in seen:
            raise _Unlike(f"value {left!r} is given twice")
        seen.add(left)
        values.setdefault(_shard(right, shards), Items()).append(int(left) if integers else left)
    keys = Block(function="list", values=Block())
    for shard, each in values.items():
        keys.block("values")[shard] = each
    _default(rule, shards, keys, default)
    said = [] if integers else [("values are compared as the column does; MyCat tells case apart", False)]
    return Spread(keys, said)


def _moved(function: str) -> Callable[[Rule, Sequence[str], Mapping[str, bytes]], Spread]:
    def convert(rule: Rule, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
        kind = rule.function.rpartition(".")[2]
        # A draft that is taken as it stands must not look for rows where they are not.
        raise _Unlike(
            f"{kind} puts rows elsewhere than `function: {function}`, "
            "which may stand here once ALL ROWS HAVE BEEN MOVED; to leave them where they are"
        )

    return convert


def _period(unit: str) -> Callable[[Rule, Sequence[str], Mapping[str, bytes]], Spread]:
    def convert(rule: Rule, shards: Sequence[str], files: Mapping[str, bytes]) -> Spread:
        start = _start(rule, unit, len(shards))
        used = list(shards)
        keys = Block(function=_unit(rule, unit, start), start=start)
        said = [("MyCat reads dates by `dateFormat`; the column must be DATE or DATETIME here", False)]
        end = rule.get("sEndDate")
        if end and unit == "month":
            last = _day(end)
            months = (last.year - start.year) * 12 + last.month - start.month + 1
            if not 0 < months <= len(shards):
                raise _Unlike(f"{months} months from sBeginDate to sEndDate on {len(shards)} data nodes")
            used = used[:months]
            said.append(("dates before `start` are errors; MyCat goes round backwards with them", True))
        elif end:
            raise _Unlike(f"sEndDate with {rule.function.rpartition('.')[2]}")
        elif rule.get("sBeginDate"):
            said.append(("behind the last shard it goes on with the first one; MyCat refuses such dates", False))
        if len(used) < len(shards):
            keys["shards"] = Items(*used)
        if rule.get("sNaturalDay") not in ("", "0"):
            raise _Unlike("sNaturalDay")
        return Spread(keys, said)

    return convert


def _start(rule: Rule, unit: str, count: int) -> date:
    begin = rule.get("sBeginDate")
    if begin:
        return _day(begin)
    if unit == "month" and not rule.get("sEndDate"):
        if count != 12:
            raise _Unlike(f"a shard for each of 12 months, and {count} data nodes")
        return date(1970, 1, 1)
    raise _Unlike("no sBeginDate")


def _day(text: str) -> date:
    match = _DATE.match(text)
    try:
        if match is not None:
            return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        pass
    raise _Unlike(f"date {text!r}")


def _unit(rule: Rule, unit: str, start: date) -> str:
    if unit != "day":
        return unit
    days = rule.get("sPartionDay")
    if days == "7" and start.weekday() == 0:
        return "week"
    if days not in ("", "1"):
        raise _Unlike(f"periods of {days} days (from a {start:%A} on)")
    return "day"


_FUNCTIONS: dict[str, Callable[[Rule, Sequence[str], Mapping[str, bytes]], Spread]] = {
    "PartitionByMod": _mod,
    "AutoPartitionByLong": _range,
    "PartitionByFileMap": _list,
    "PartitionByMurmurHash": _moved("consistent_hash"),
    "PartitionByJumpConsistentHash": _moved("consistent_hash"),
    "PartitionByCRC32PreSlot": _moved("hash"),
    "PartitionByLong": _moved("hash"),
    "PartitionByString": _moved("hash"),
    "PartitionByHashMod": _moved("hash"),
    "PartitionByDate": _period("day"),
    "PartitionByMonth": _period("month"),
    "PartitionByYear": _period("year"),
}
