"""Logging set-up: one line per event, as JSON for machines or coloured for people, and never a secret.

Modules write ``log = structlog.get_logger(__name__)`` and ``log.info("event", key=value)``. Libraries that use the
standard library's logging (aiohttp, asyncio) come out of the same pipe. Everything goes to standard error.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_SECRET = re.compile(r"passw|passphrase|secret|token|credential|auth_response|scramble|private_key", re.IGNORECASE)
_HIDDEN = "***"


def setup(format: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:
    """Send all logging to ``stream`` (default: standard error). May be called again, as on a reload."""
    out = sys.stderr if stream is None else stream
    console = format == "console" or (format == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(console, out.isatty())],
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
