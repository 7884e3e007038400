"""The vocabulary: names that configuration files and metrics use."""

from __future__ import annotations

from typing import get_args

from router.config.rules import Statement
from router.sql.facts import PinReason, Reason, StatementFacts, StatementKind


def test_every_kind_has_a_name_that_rules_know() -> None:
    known = set(get_args(Statement))
    assert {kind.rule_name for kind in StatementKind} == known


def test_values_are_plain_labels() -> None:
    for label in (*PinReason, *Reason):
        assert label.value == label.name.lower()
        assert str(label) == label.value


def test_detail_does_not_make_facts_differ() -> None:
    facts = [StatementFacts(StatementKind.DO, read=False, reason=Reason.WRITE, detail=text) for text in ("a", "b")]
    assert facts[0] == facts[1]
