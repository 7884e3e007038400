"""Counts of one kind of statement."""

from __future__ import annotations

from router.planner.observed import Kind, Observed

KIND = Kind("SELECT ?", "app", "shop", "main:replica")


def test_what_is_counted() -> None:
    observed = Observed(KIND, 3)
    observed.add(1, 0.2, 100.0, 5, failed=False)
    observed.add(0, 0.1, 101.0, 0, failed=True)
    observed.add(2, 0.3, 102.0, 1, failed=False)
    assert (observed.count, observed.errors, observed.rows) == (3, 1, 6)
    assert (observed.least, observed.most, round(observed.seconds, 6)) == (0.1, 0.3, 0.6)
    assert (observed.first, observed.last) == (100.0, 102.0)
    assert observed.buckets == [1, 1, 1]


def test_a_digest_has_one_id_whoever_sends_it() -> None:
    assert KIND.id == Kind("SELECT ?", "other", "", "shards").id
    assert KIND.id != Kind("SELECT a", "app", "shop", "main:replica").id
    assert len(KIND.id) == 16
