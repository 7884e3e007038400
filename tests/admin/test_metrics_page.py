"""The metrics' reference page says all there is, and is as the code is."""

from __future__ import annotations

import re
from pathlib import Path

from router.admin.metrics_page import ADVICE, LABELS, families, labels_of, page, sample_names

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8") == page()


def test_every_family_is_there() -> None:
    text = page()
    for family in families():
        assert f"| `{sample_names(family)[0].replace('_bucket', '_…')}` | {family.type} |" in text
        assert family.documentation in text


def test_labels_are_explained_and_no_others() -> None:
    assert {label for family in families() for label in labels_of(family)} == set(LABELS)


def test_advice_is_for_something_and_shown() -> None:
    assert set(ADVICE) <= {family.name for family in families()}
    text = page()
    for advice in ADVICE.values():
        assert text.count(advice) == 1, advice


def test_names_of_samples() -> None:
    names = {name for family in families() for name in sample_names(family)}
    assert {"router_ready", "router_build_info", "router_errors_total", "router_query_duration_seconds_bucket"} <= names
    assert all(re.fullmatch(r"router_[a-z_]+", name) for name in names)
