"""Logging set-up: one line per event, as JSON for machines or coloured for people, and never a secret.

Modules write ``log = structlog.get_logger(__name__)`` and ``log.info("event", key=value)``. Libraries that use the
standard library's logging (aiohttp, asyncio) come out of the same pipe. Everything goes to standard error; the newest
lines are kept as well, for operators who look from elsewhere (``recent``).
"""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal, TextIO

import structlog

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_SECRET = re.compile(r"passw|passphrase|secret|token|credential|auth_response|scramble|private_key", re.IGNORECASE)
_HIDDEN = "***"
KEPT: Final = 1000
# Of one value; a line that is kept is for reading.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log. ``number`` counts them from 1 on; ``ts`` as in the log (ISO 8601, UTC)."""

    number: int
    ts: str
    level: str
    logger: str
    event: str
    fields: dict[str, str]


_numbers = count(1)
_recent: deque[LogLine] = deque(maxlen=KEPT)


def recent() -> list[LogLine]:
    """The newest lines, the oldest of them first; ``KEPT`` at most."""
    return list(_recent)


@dataclass(frozen=True, slots=True)
class Setting:
    """How is logged."""

    format: Format = "auto"
    level: Level = "info"


_in_force = Setting()


def in_force() -> Setting:
    """As it was set up last."""
    return _in_force


def setup(format: Format = "auto", level: Level = "info", stream: TextIO | None = None, **always: object) -> None:
    """Send all logging to ``stream`` (default: standard error), each line with ``always``. May be called again."""
    global _in_force
    _in_force = Setting(format, level)
    out = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        lambda _logger, _method, event: {**event, **always},
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        hide_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers are made at import, before this runs, and levels change on reload
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _keep,
                *_rendering(console, out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _rendering(console: bool, colors: bool) -> list[structlog.typing.Processor]:
    if console:
        # Tracebacks without local variables: those hold passwords and rows.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, timestamp_key="ts")]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of keys that sound like a secret, at any depth."""
    for key, value in event.items():
        if _SECRET.search(str(key)):
            event[key] = _HIDDEN
        elif isinstance(value, Mapping):
            event[key] = hide_secrets(_logger, _method, dict(value))
    return event


def _keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remember what is about to be written: of an exception what it says, not where it came from."""
    rest = {name: value for name, value in event.items() if name not in ("ts", "level", "logger", "event", "exc_info")}
    if (error := _exception(event.get("exc_info"))) is not None:
        rest["exception"] = f"{type(error).__name__}: {error}"
    fields = {name: str(value)[:_LONGEST] for name, value in rest.items()}
    ts, level, logger, text = (str(event.get(name, "")) for name in ("ts", "level", "logger", "event"))
    _recent.append(LogLine(next(_numbers), ts, level, logger, text[:_LONGEST], fields))
    return event


def _exception(given: object) -> BaseException | None:
    """``exc_info`` is an exception, or what ``sys.exc_info`` gives, or that this is to be asked."""
    if isinstance(given, tuple):
        return given[1] if isinstance(given[1], BaseException) else None
    return given if isinstance(given, BaseException) else sys.exception() if given else None
