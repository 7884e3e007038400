"""What depends on literals is decided by which are equal and which column a position names, once for each."""

from __future__ import annotations

import pytest

from router.planner.merging import MergeSpec, Scatter
from router.planner.routes import Unplannable
from router.planner.variants import Literals, Variants

MADE = Scatter((), (), MergeSpec(), pushes_limit=False)


def test_labels_and_positions() -> None:
    seen: list[Literals] = []

    def build(literals: Literals) -> Scatter:
        seen.append(literals)
        return MADE

    variants = Variants((0, 2, 3), (3,), build)
    assert variants.of([b"7", b"x", b"7", b"2"]) is MADE
    assert variants.of([b"9", b"y", b"9", b"2"]) is MADE
    assert seen == [Literals({0: 0, 2: 0, 3: 2}, {3: 2})]
    variants.of([b"7", b"x", b"8", b"2"])
    variants.of([b"7", b"x", b"7", b"3"])
    assert [each.positions[3] for each in seen] == [2, 2, 3]


def test_what_cannot_be_built() -> None:
    def build(literals: Literals) -> Scatter:
        raise Unplannable("this")

    variants = Variants((0,), (0,), build)
    assert isinstance(first := variants.of([b"1"]), Unplannable)
    assert first.construct == "this"
    assert variants.of([b"1"]) is first


@pytest.mark.parametrize("raw", [[b"'x'"], [b"0"], [b"1.5"], [b"99999"], []])
def test_no_positions(raw: list[bytes]) -> None:
    assert isinstance(Variants((0,), (0,), lambda literals: MADE).of(raw), Unplannable)


def test_not_all_are_remembered() -> None:
    built: list[Literals] = []
    variants = Variants((0,), (0,), lambda literals: built.append(literals) or MADE)  # type: ignore[func-returns-value]
    for number in range(1, 200):
        variants.of([b"%d" % number])
    assert len(variants._made) <= 64
    assert len(built) == 199
