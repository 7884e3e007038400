"""Where deploy/ is, and Prometheus from the packages of this machine's distribution: unpacked, without its service."""

from __future__ import annotations

import re
from pathlib import Path

from router.admin.metrics_page import families, sample_names
from tests.suites.sources import debian_packages

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
# Of the Prometheus client library and of Prometheus itself.
OTHERS = frozenset(
    {"process_open_fds", "process_max_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
)
_NAME = re.compile(r"\b(?:router|process|python)_[a-z_]+\b")


def prometheus(program: str) -> str:
    """Path of ``prometheus`` or ``promtool``; the test is skipped without it, or fails in CI."""
    return str(debian_packages("prometheus", ("prometheus",)) / "usr/bin" / program)


def metric_names() -> set[str]:
    """Everything that a query may ask for by name."""
    return {name for family in families() for name in sample_names(family)} | OTHERS


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression asks for; recorded ones are not among them (they have a colon)."""
    bare = re.sub(r'"[^"]*"', '""', re.sub(r"\b(?:by|on|without|ignoring) \([^)]*\)", "", expression))
    return set(_NAME.findall(re.sub(r"\b[a-z_]+:[a-z0-9_:]+", "", bare)))
