"""Routing hints in comments: ``/*+ router(primary) */``, ``/*+ router(group=analytics, max_lag=0s) */``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_CALL = re.compile(r"\brouter\s*\(([^()]*)(\)?)", re.IGNORECASE)
_ROUTER = re.compile(r"\brouter\b", re.IGNORECASE)
_ARGUMENT = re.compile(r"\s*([a-z_]+)\s*(?:=\s*([\w.\-]+)\s*)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_KNOWN = "primary, replica, shard=NAME, group=NAME, max_lag=DURATION, trace"


@dataclass(frozen=True, slots=True)
class Hints:
    """What the hints of one statement ask for.

    ``role`` is primary or replica, ``max_lag`` seconds, ``trace`` whether to tell what happens. ``error`` says what is
    wrong with them, if anything is.
    """

    role: str | None = None
    group: str | None = None
    shard: str | None = None
    max_lag: float | None = None
    error: str | None = None
    trace: bool = False


NO_HINTS = Hints()


def parse_hints(comments: list[str]) -> Hints:
    """The hints in the given ``/*+ … */`` comments, all of them together; contradictions are an error."""
    hints = NO_HINTS
    for comment in comments:
        calls = 0
        for call in _CALL.finditer(comment):
            calls += 1
            if not call[2]:
                return Hints(error=f"router({call[1].strip()}: closing parenthesis missing")
            for argument in call[1].split(","):
                hints = _add(hints, argument)
                if hints.error is not None:
                    return hints
        if len(_ROUTER.findall(comment)) != calls:
            return Hints(error=f"write hints as router(…); known are {_KNOWN}")
    return hints


def _add(hints: Hints, argument: str) -> Hints:
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        return _wrong(argument)
    name, value = match[1].lower(), match[2]
    if name in ("primary", "replica") and value is None:
        return _once(hints, "role", name)
    if name == "trace" and value is None:
        return replace(hints, trace=True)
    if name in ("group", "shard") and value is not None:
        return _once(hints, name, value)
    if name == "max_lag" and value is not None:
        duration = _DURATION.fullmatch(value)
        if duration is None:
            return Hints(error=f"router(max_lag={value}): write a duration such as 500ms, 5s or 1m")
        return _once(hints, name, float(duration[1]) * _SECONDS[duration[2]])
    return _wrong(argument)


def _once(hints: Hints, name: str, value: str | float) -> Hints:
    before = getattr(hints, name)
    if before is not None and before != value:
        return Hints(error=f"hints contradict each other: {name} is both {before} and {value}")
    return replace(hints, **{name: value})  # type: ignore[arg-type]


def _wrong(argument: str) -> Hints:
    return Hints(error=f"router({argument.strip()}) is not known; known are {_KNOWN}")
