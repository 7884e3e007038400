"""What MySQL makes of a parameter's type, which depends on how the statement has been executed before.

From 8.0.22 on a ``?`` is resolved when the statement is prepared and again when a value of another kind comes – but
not always: after an integer a string is converted to an integer, after a string an integer makes it an integer.
Executions of one session must therefore not be felt by another that finds the statement prepared.

The rules were read off MySQL 9.7: the answers of 6,000 pairs of random histories that end in the same state by these
rules, and then in the same execution, are equal. Where it depends on more (several kinds of date and time), the state
is the history. MariaDB looks at the values of each execution alone.
"""

from __future__ import annotations

from functools import lru_cache

from router.wire.constants import ColumnType as Type

# One state for every parameter; None before the first execution.
Derived = tuple[str, ...] | None

_STRING = "s"
_MOMENTS = "tam"
_UNSIGNED = 0x80
_KINDS: dict[int, str] = {
    **dict.fromkeys((Type.TINY, Type.SHORT, Type.LONG, Type.INT24, Type.LONGLONG), "i"),
    **dict.fromkeys((Type.FLOAT, Type.DOUBLE), "d"),
    **dict.fromkeys((Type.DECIMAL, Type.NEWDECIMAL), "D"),
    Type.DATE: "a",
    Type.TIME: "m",
    **dict.fromkeys((Type.DATETIME, Type.TIMESTAMP), "t"),
}


@lru_cache(maxsize=4096)
def derive(before: Derived, types: bytes, nulls: bytes) -> Derived:
    """The states after an execution with these parameter ``types`` (two bytes each) and this NULL bitmap."""
    states = []
    for number in range(len(types) // 2):
        state = before[number] if before is not None else ""
        if nulls[number >> 3] >> (number & 7) & 1:
            states.append(state or _STRING)
        else:
            states.append(_after(state, _KINDS.get(types[2 * number], _STRING), types[2 * number + 1] & _UNSIGNED))
    return tuple(states)


def _after(state: str, kind: str, unsigned: int) -> str:
    if kind == "i" and unsigned:
        kind = "I"
    if state in ("", _STRING) or kind == state:
        return kind
    if state[-1] in _MOMENTS:
        return state + kind if kind in _MOMENTS and kind != state[-1] else state
    if kind in _MOMENTS:
        return kind
    stronger = {"i": "dDI", "I": "dDi", "D": "d"}.get(state, "")
    return kind if kind in stronger else state
