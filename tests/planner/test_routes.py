"""From conditions and values to shards."""

from __future__ import annotations

from decimal import Decimal

import pytest

from router.planner.keys import Value
from router.planner.routes import (
    Between,
    Both,
    Condition,
    Either,
    Misplaced,
    OneOf,
    Parameter,
    Reference,
    Route,
    Rows,
    Slot,
    Told,
    Unplaced,
    WithGiven,
    combine,
    references,
)
from tests.planner.fix_shards import shop_schema

SHOP = shop_schema()
EVERY = {0, 1, 2}


class Given:
    """Values by slot; those that are not there are no plain values."""

    def __init__(self, *values: Value) -> None:
        self.values = dict(enumerate(values))

    def value(self, reference: Reference) -> Value:
        if reference.number not in self.values:
            raise Unplaced
        return self.values[reference.number]


def one(*numbers: int) -> OneOf:
    return OneOf(tuple((Slot(number),) for number in numbers))


@pytest.mark.parametrize(
    ("condition", "values", "shards"),
    [
        (None, Given(), EVERY),
        (one(0), Given(4), {1}),
        (one(0, 1), Given(4, 5), {1, 2}),
        (one(0, 1), Given(4, 7), {1}),
        (one(0, 1), Given(4), EVERY),
        (one(0), Given("4x"), EVERY),
        (one(0), Given(None), EVERY),
        (Both((one(0), one(1))), Given(4, 5), set()),
        (Both((one(0), one(9))), Given(4), {1}),
        (Either((one(0), one(1))), Given(4, 5), {1, 2}),
        (Either((one(0), one(9))), Given(4), EVERY),
        (Between(Slot(0), Slot(1)), Given(4, 5), EVERY),
    ],
)
def test_shards_of_a_condition(condition: Condition | None, values: Given, shards: set[int]) -> None:
    assert Route(SHOP.tables["customers"], condition).shards(values) == shards


def test_values_without_a_shard_have_no_rows() -> None:
    assert Route(SHOP.tables["places"], one(0)).shards(Given("IT")) == set()
    assert Route(SHOP.tables["places"], one(0, 1)).shards(Given("IT", "us")) == {1}


def test_ranges() -> None:
    levels = SHOP.tables["levels"]
    assert Route(levels, Between(Slot(0), Slot(1))).shards(Given(5, 7)) == {1}
    assert Route(levels, Between(None, Slot(0))).shards(Given(7)) == {0, 1}
    assert Route(levels, Between(Slot(0), None)).shards(Given("7x")) == EVERY
    codes = Route(SHOP.tables["places"], Between(Slot(0), Slot(0)))
    assert codes.shards(Given("DE")) == EVERY, "the collation's order is not ours"


def test_rows() -> None:
    rows = Rows(SHOP.tables["customers"], ((Slot(0),), (Slot(1),)))
    assert rows.shards(Given(4, "5")) == [1, 2]
    for values, reason in ((Given(4, "x"), "not certain"), (Given(4, 2**31), "not certain"), (Given(4), "not certain")):
        with pytest.raises(Misplaced, match=reason):
            rows.shards(values)
    with pytest.raises(Misplaced, match="no default"):
        Rows(SHOP.tables["places"], ((Slot(0),),)).shards(Given("IT"))


def test_keys_of_several_columns() -> None:
    prices = SHOP.tables["prices"]
    assert prices.columns == ("country", "id")
    assert prices.function is not None
    condition = combine([[one(0)], [Between(Slot(1), Slot(2)), one(1, 2)]])
    assert condition == OneOf(((Slot(0), Slot(1)), (Slot(0), Slot(2))))
    assert Route(prices, condition).shards(Given("DE", 1, 1)) == {prices.function.shard(("DE", 1))}
    assert combine([[one(0)], []]) is None
    assert combine([[]]) is None
    assert combine([[one(0), one(1)]]) == Both((one(0), one(1)))
    assert combine([[one(*range(100))], [one(*range(100))]]) is None, "too many to look at"


def test_references() -> None:
    condition = Either((one(0, 1), Both((Between(Slot(2), None), OneOf(((Parameter(3),),))))))
    assert list(references(condition)) == [Slot(0), Slot(1), Slot(2), Parameter(3)]


class NoValues:
    """An execution without values."""

    def value(self, reference: Reference) -> Value:
        raise Unplaced


def test_what_queries_gave_is_a_value() -> None:
    values = WithGiven(NoValues(), ((5,), (1, None, 2), None, (Decimal(-1),), ("x",)))
    assert values.value(Told(0)) == 5
    assert values.value(Told(3, negative=True)) == 1
    assert values.listed(Told(1, listed=True)) == (1, 2)
    for reference in (Told(1), Told(2), Told(4, negative=True), Slot(0)):
        with pytest.raises(Unplaced):
            values.value(reference)
    with pytest.raises(Unplaced):
        values.listed(Told(2, listed=True))
