"""Findings: what follows from what, and the words for a misspelt name."""

from __future__ import annotations

import pytest

from router.config.findings import Finding, did_you_mean


@pytest.mark.parametrize(
    ("loc", "other", "rests"),
    [
        (("users", "app"), ("users", "app", "password"), True),
        (("users", "app", "password"), ("users",), True),
        (("users", "app"), ("users", "app"), True),
        (("users", "app", "tls"), ("users", "app", "password"), False),
        (("users", "app"), ("users", "apple"), False),
        (("rules", 0), ("rules", 1), False),
    ],
)
def test_a_finding_rests_on_others_above_and_below(
    loc: tuple[str | int, ...], other: tuple[str | int, ...], rests: bool
) -> None:
    assert Finding(loc, "a").rests_on(Finding(other, "b")) is rests


def test_a_finding_rests_on_what_it_depends_on() -> None:
    finding = Finding(("users", "app", "tls"), "a", depends=(("listeners",),))
    assert finding.rests_on(Finding(("listeners", 0, "address"), "b"))
    assert not finding.rests_on(Finding(("limits",), "b"))


def test_did_you_mean() -> None:
    assert did_you_mean("weihgt", ["weight", "name"]) == "; did you mean 'weight'?"
    assert did_you_mean("zzz", ["weight", "name"]) == " (known: name, weight)"
    assert did_you_mean("zzz", []) == ""
