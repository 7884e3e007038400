"""Logging: one line per event, both formats, the standard library included, no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from router import log


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json() -> None:
    out = io.StringIO()
    log.setup("json", "info", out)
    structlog.get_logger("router.pool").info("connected", server="main-a", took=0.5, name="中文")
    (line,) = lines(out)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "event": "connected",
        "level": "info",
        "logger": "router.pool",
        "server": "main-a",
        "took": 0.5,
        "name": "中文",
    }


def test_the_standard_library_comes_along() -> None:
    out = io.StringIO()
    log.setup("json", "info", out)
    logging.getLogger("aiohttp.server").warning("odd %s", "request")
    (line,) = lines(out)
    assert (line["event"], line["level"], line["logger"]) == ("odd request", "warning", "aiohttp.server")


def test_levels_also_after_a_second_setup() -> None:
    logger = structlog.get_logger("router.x")
    out = io.StringIO()
    log.setup("json", "warning", out)
    logger.info("quiet")
    logger.warning("loud")
    log.setup("json", "debug", out)
    logger.debug("now heard")
    assert [line["event"] for line in lines(out)] == ["loud", "now heard"]


def test_console_and_auto() -> None:
    out = io.StringIO()
    log.setup("console", "info", out)
    structlog.get_logger("router.x").info("hello", server="a")
    assert "hello" in out.getvalue()
    assert "server=a" in out.getvalue()
    assert "\x1b" not in out.getvalue(), "no colours where there is no terminal"
    out = io.StringIO()
    log.setup("auto", "info", out)
    structlog.get_logger("router.x").info("hello")
    assert lines(out)[0]["event"] == "hello"


def test_auto_on_a_terminal_is_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    log.setup("auto", "info", out)
    structlog.get_logger("router.x").info("hello")
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_secret_is_written(format_: log.Format) -> None:
    out = io.StringIO()
    log.setup(format_, "info", out)
    logger = structlog.get_logger("router.x")
    logger.info("login", user="app", password="hunter2", backend={"PassWord": "hunter2", "user": "b"})
    logger.info("login", auth_response=b"hunter2", value=SecretStr("hunter2"))
    structlog.contextvars.bind_contextvars(client_secret="hunter2")
    logger.info("bound")
    structlog.contextvars.clear_contextvars()
    assert "hunter2" not in out.getvalue()
    assert "app" in out.getvalue()
    assert "***" in out.getvalue()


@pytest.mark.parametrize("format_", ["json", "console"])
def test_tracebacks_come_without_local_variables(format_: log.Format) -> None:
    out = io.StringIO()
    log.setup(format_, "info", out)
    secret = "hunter2"
    try:
        raise ValueError(f"of {len(secret)} letters")
    except ValueError:
        structlog.get_logger("router.x").exception("failed")
    assert "ValueError: of 7 letters" in out.getvalue()
    assert "Traceback" in out.getvalue()
    assert "'hunter2'" not in out.getvalue()


def test_an_event_is_one_line() -> None:
    out = io.StringIO()
    log.setup("json", "info", out)
    structlog.get_logger("router.x").info("two\nlines", sql="SELECT\n1")
    assert len(out.getvalue().splitlines()) == 1


def test_the_newest_lines_are_kept() -> None:
    log.setup("json", "info", io.StringIO())
    logger = structlog.get_logger("router.x")
    for number in range(log.KEPT + 5):
        logger.info("counted", number=number)
    logger.debug("nobody hears of it")
    found = log.recent()
    assert len(found) == log.KEPT
    assert [each.number for each in found] == list(range(found[0].number, found[0].number + log.KEPT))
    last = found[-1]
    assert (last.event, last.level, last.logger, last.fields) == (
        "counted",
        "info",
        "router.x",
        {"number": str(log.KEPT + 4)},
    )
    assert last.ts.endswith("Z")


def test_what_is_kept_is_what_was_written() -> None:
    out = io.StringIO()
    log.setup("json", "info", out)
    structlog.get_logger("router.x").info("login", password="hunter2", nested={"token": "t0ken"}, text="x" * 5000)
    kept = log.recent()[-1]
    assert kept.fields["password"] == "***"
    assert "t0ken" not in str(kept)
    assert len(kept.fields["text"]) == 2000


@pytest.mark.parametrize("how", [True, "the exception", "as sys gives it"])
def test_an_exception_is_kept_in_a_line(how: object) -> None:
    log.setup("json", "info", io.StringIO())
    try:
        raise ValueError("odd")
    except ValueError as error:
        given = {"the exception": error, "as sys gives it": (ValueError, error, None)}.get(str(how), how)
        structlog.get_logger("router.x").error("failed", exc_info=given)
    assert log.recent()[-1].fields == {"exception": "ValueError: odd"}


def test_lines_of_libraries_are_kept() -> None:
    log.setup("json", "info", io.StringIO())
    logging.getLogger("aiohttp.server").warning("odd %s", "request")
    assert (log.recent()[-1].logger, log.recent()[-1].event) == ("aiohttp.server", "odd request")
