"""Groups of shards become groups of all: the same as folding, computing and sorting all rows at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import groups as engine_groups
from router.engine.groups import alike, typed
from router.engine.merge import Merge, Row
from router.errors import Unsupported
from router.planner.formulas import Arithmetic, Comparison, Constant, Field, Mean, Quotient
from router.planner.merging import LONGEST_TEXT, Aggregate, Compare, Computed, Fold, MergeSpec, OrderKey
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from tests.engine.test_merge import columns, merged

N, TEXT, MONEY = ColumnType.LONGLONG, ColumnType.VAR_STRING, ColumnType.NEWDECIMAL


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(-50, 50))), max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_folded_groups_are_those_of_all_rows(shards: list[list[tuple[int, int | None]]]) -> None:
    """Each shard sends its own groups: key, COUNT, SUM, MIN, MAX, AVG; and SUM and COUNT for the latter."""
    spec = MergeSpec(
        hidden=2,
        groups=(OrderKey(0, Compare.INTEGER),),
        aggregates=(
            Aggregate(1, Fold.SUM),
            Aggregate(2, Fold.SUM),
            Aggregate(3, Fold.MIN, OrderKey(3, Compare.INTEGER)),
            Aggregate(4, Fold.MAX, OrderKey(4, Compare.INTEGER)),
            Aggregate(5, Fold.AVG, total=-2, count=-1),
        ),
    )
    types = columns(N, N, MONEY, N, N, MONEY, MONEY, N)
    types[5] = replace(types[5], decimals=4)
    found = merged(spec, types, [groups(rows) for rows in shards])
    expected = [row[:-2] for row in groups([row for rows in shards for row in rows])]
    assert found == expected


def groups(rows: list[tuple[int, int | None]]) -> list[Row]:
    result = []
    for key in sorted({key for key, _ in rows}):
        values = [value for each, value in rows if each == key]
        known = [value for value in values if value is not None]
        total = sum(known) if known else None
        average = None if total is None else f"{Decimal(total) / len(known):.4f}"
        if average is not None:
            average = str((Decimal(total or 0) / len(known)).quantize(Decimal("0.0001"), rounding="ROUND_HALF_UP"))
        shown: list[Any] = [key, len(values), total, min(known, default=None), max(known, default=None), average, total]
        result.append([None if each is None else str(each).encode() for each in [*shown, len(known)]])
    return result


def test_one_group_of_all_rows() -> None:
    spec = MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.SUM),))
    assert merged(spec, columns(N), [[[b"0"]], [[b"3"]], [[b"4"]]]) == [[b"7"]]


def test_groups_are_sorted_when_they_are_complete() -> None:
    spec = MergeSpec(
        groups=(OrderKey(0, Compare.INTEGER),),
        aggregates=(Aggregate(1, Fold.SUM),),
        final=(OrderKey(1, Compare.DECIMAL, descending=True),),
    )
    shards: list[list[Row]] = [[[b"1", b"5"], [b"2", b"1"]], [[b"2", b"9"], [b"3", b"7"]]]
    assert merged(spec, columns(N, N), shards, limit=2) == [[b"2", b"10"], [b"3", b"7"]]


def test_the_smallest_text_is_by_its_weight() -> None:
    spec = MergeSpec(hidden=1, groups=(), aggregates=(Aggregate(0, Fold.MIN, OrderKey(-1, Compare.BYTES)),))
    assert merged(spec, columns(TEXT, TEXT), [[["Zoë".encode(), b"\x02"]], [[b"zoe", b"\x01"]], [[None, None]]]) == [
        [b"zoe"]
    ]


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        (MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.SUM),)), ColumnType.FLOAT, "summed"),
        (MergeSpec(order=(OrderKey(0, Compare.BY_TYPE),)), ColumnType.BIT, "ordered or compared"),
        (MergeSpec(groups=(), aggregates=(Aggregate(0, Fold.AVG, total=0, count=0),)), ColumnType.FLOAT, "summed"),
    ],
)
def test_what_is_not_exact_is_refused(spec: MergeSpec, kind: int, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        Merge(spec, columns(kind), 2, None, 0)


PAIRS = MergeSpec(
    hidden=2,
    groups=(OrderKey(0, Compare.INTEGER),),
    pairs=(OrderKey(-1, Compare.INTEGER),),
    aggregates=(Aggregate(1, Fold.SUM, distinct=True), Aggregate(2, Fold.SUM), Aggregate(-2, Fold.SUM, distinct=True)),
)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 3))), max_size=9), min_size=1)
)
def test_each_value_is_counted_once(shards: list[list[tuple[int, int | None]]]) -> None:
    """Rows: group, COUNT(DISTINCT value), COUNT(*), SUM(DISTINCT value), the value."""
    sent: list[list[Row]] = []
    for rows in shards:
        pairs = sorted(set(rows), key=lambda pair: (pair[0], pair[1] is not None, pair[1]))
        sent.append(
            [
                [_cell(group), _cell(int(value is not None)), _cell(rows.count((group, value))), *[_cell(value)] * 2]
                for group, value in pairs
            ]
        )
    found = merged(PAIRS, columns(N, N, N, N, N), sent)
    everything = [row for rows in shards for row in rows]
    assert found == [
        [
            _cell(group),
            _cell(len({value for each, value in everything if each == group and value is not None})),
            _cell(sum(each == group for each, _ in everything)),
        ]
        for group in sorted({group for group, _ in everything})
    ]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 4)), st.integers(0, 4)), max_size=9),
        min_size=1,
        max_size=4,
    )
)
def test_several_values_are_each_counted_once(shards: list[list[tuple[int, int | None, int]]]) -> None:
    """Each shard sends, for every group and pair of values: key, COUNT(DISTINCT a), SUM(DISTINCT b), COUNT(*), a, b."""
    spec = MergeSpec(
        hidden=2,
        groups=(OrderKey(0, Compare.INTEGER),),
        pairs=(OrderKey(-2, Compare.INTEGER), OrderKey(-1, Compare.INTEGER)),
        aggregates=(
            Aggregate(1, Fold.SUM, distinct=True, among=(0,)),
            Aggregate(2, Fold.SUM, distinct=True, among=(1,)),
            Aggregate(3, Fold.SUM),
        ),
    )
    every = []
    for rows in shards:
        distinct = sorted(set(rows), key=lambda row: (row[0], row[1] is not None, row[1] or 0, row[2]))
        every.append(
            [[_cell(key), b"01"[a is not None :][:1], _cell(b), _cell(rows.count((key, a, b))), _cell(a), _cell(b)]
             for key, a, b in distinct]
        )  # fmt: skip
    found = merged(spec, columns(N, N, MONEY, N, N, N), every)
    all_rows = [row for rows in shards for row in rows]
    expected = [
        [
            _cell(key),
            _cell(len({a for group, a, _ in all_rows if group == key and a is not None})),
            _cell(sum({b for group, _, b in all_rows if group == key})),
            _cell(sum(group == key for group, _, _ in all_rows)),
        ]
        for key in sorted({key for key, _, _ in all_rows})
    ]
    assert found == expected


def test_too_many_values_to_remember(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.engine.groups.MAX_ONCE", 2)
    spec = MergeSpec(
        groups=(),
        pairs=(OrderKey(0, Compare.INTEGER), OrderKey(1, Compare.INTEGER)),
        aggregates=(Aggregate(0, Fold.SUM, distinct=True, among=(0,)),),
    )
    with pytest.raises(Unsupported, match="more than 2 values of a group"):
        merged(spec, columns(N, N), [[[b"1", b"1"], [b"2", b"1"], [b"3", b"1"]]])


def _cell(value: int | None) -> bytes | None:
    return None if value is None else b"%d" % value


def test_nothing_at_all_is_a_group() -> None:
    spec = MergeSpec(
        hidden=3,
        groups=(),
        pairs=(OrderKey(-1, Compare.INTEGER),),
        aggregates=(
            Aggregate(0, Fold.SUM, distinct=True, empty=b"0"),
            Aggregate(1, Fold.SUM),
            Aggregate(2, Fold.AVG, total=-3, count=-2),
        ),
    )
    assert merged(spec, columns(N, N, MONEY, MONEY, N, N), [[], []]) == [[b"0", None, None]]
    assert merged(replace(spec, groups=(OrderKey(0, Compare.INTEGER),)), columns(N, N, MONEY, MONEY, N, N), [[]]) == []


@pytest.mark.parametrize(("fold", "expected"), [(Fold.BIT_AND, b"4"), (Fold.BIT_OR, b"7"), (Fold.BIT_XOR, b"3")])
def test_bits(fold: Fold, expected: bytes) -> None:
    assert merged(MergeSpec(groups=(), aggregates=(Aggregate(0, fold),)), columns(N), [[[b"5"]], [[b"6"]]]) == [
        [expected]
    ]


def computed(formula: Any, *shards: Row, kind: int = MONEY, decimals: int = 4, flags: int = 0) -> Any:
    spec = MergeSpec(groups=(), aggregates=(Aggregate(1, Fold.SUM),), computed=(Computed(0, formula),))
    types = columns(kind, N, N)
    types[0] = replace(types[0], decimals=decimals, flags=flags)
    merge = Merge(spec, types, len(shards), None, 0, (Decimal("0.5"), Decimal(-9)))
    for number, row in enumerate(shards):
        merge.add(number, list(row))
        merge.end(number)
    return next(iter(merge.take()))[0]


def test_what_is_computed() -> None:
    rows: tuple[Row, Row] = ([b"wrong", b"1", b"4"], [b"wrong", b"1", b"4"])
    assert computed(Quotient(Field(1), Constant(0), 2), *rows) == b"4.0000"
    assert computed(Arithmetic("*", Field(1), Constant(0)), *rows, decimals=1) == b"1.0"
    assert computed(Arithmetic("+", Field(1), Constant(1)), *rows, kind=N) == b"-7"
    assert computed(Field(1), [None, None, b"4"]) is None
    with pytest.raises(Unsupported, match="depends on how servers round"):
        computed(Arithmetic("+", Field(1), Constant(1)), *rows, kind=N, flags=ColumnFlag.UNSIGNED)
    with pytest.raises(Unsupported, match="computed exactly"):
        computed(Field(1), *rows, kind=ColumnType.DOUBLE)


def test_what_servers_round_differently_is_refused() -> None:
    # 1/201 = 0.004975…: MySQL takes half of 0.0050, MariaDB half of 0.004975….
    half = Comparison("<", Mean(0, -2, -1), Constant(0))
    spec = MergeSpec(
        hidden=2, groups=(), aggregates=(Aggregate(0, Fold.AVG, total=-2, count=-1),), having=half
    )  # fmt: skip
    types = [replace(each, decimals=4) for each in columns(MONEY, MONEY, N)]

    def run(bound: str) -> list[Row]:
        merge = Merge(spec, types, 1, None, 0, (Decimal(bound),))
        merge.add(0, [b"0.0050", b"1", b"201"])
        merge.end(0)
        return list(merge.take())

    assert run("0.006") == [[b"0.0050"]]
    assert run("0.004") == []
    with pytest.raises(Unsupported, match="HAVING"):
        run("0.0050")


def test_having_needs_exact_numbers() -> None:
    spec = MergeSpec(groups=(), having=Comparison(">", Field(0), Constant(0)))
    with pytest.raises(Unsupported, match="compared in HAVING"):
        Merge(spec, columns(TEXT), 1, None, 0, (Decimal(1),))


def test_too_many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_groups, "MAX_GROUPS", 2)
    spec = MergeSpec(groups=(OrderKey(0, Compare.INTEGER),))
    with pytest.raises(Unsupported, match="groups over several shards"):
        merged(spec, columns(N), [[[b"1"], [b"2"], [b"3"]]])


def text_column(length: int, collation: int = 45, flags: int = 0) -> list[ColumnDefinition]:
    return [ColumnDefinition(name=b"t", type=TEXT, collation_id=collation, length=length, flags=flags)]


BY_WEIGHTS = OrderKey(0, Compare.BY_TYPE, descending=True, weights=-1)


def test_text_is_compared_by_its_weights() -> None:
    assert typed(BY_WEIGHTS, text_column(4 * LONGEST_TEXT)) == OrderKey(-1, Compare.BYTES, descending=True)
    assert typed(BY_WEIGHTS, text_column(99_999, collation=63)) == OrderKey(0, Compare.BYTES, descending=True)
    assert typed(BY_WEIGHTS, columns(MONEY)) == OrderKey(0, Compare.DECIMAL, descending=True)


@pytest.mark.parametrize(
    ("key", "column"),
    [
        (BY_WEIGHTS, text_column(4 * LONGEST_TEXT + 4)),
        (BY_WEIGHTS, text_column(LONGEST_TEXT + 1, collation=8)),
        (BY_WEIGHTS, text_column(8, flags=ColumnFlag.ENUM)),
        (OrderKey(0, Compare.BY_TYPE), text_column(8)),
    ],
)
def test_text_whose_weights_are_not_known(key: OrderKey, column: list[ColumnDefinition]) -> None:
    with pytest.raises(Unsupported, match="ordered or compared"):
        typed(key, column)


CONCAT = MergeSpec(
    hidden=2,
    groups=(OrderKey(0, Compare.INTEGER),),
    aggregates=(Aggregate(1, Fold.CONCAT, separator=-2, longest=-1),),
)


def test_texts_are_put_together() -> None:
    types = columns(N, ColumnType.BLOB, TEXT, N)

    def row(group: bytes, text: bytes | None, longest: bytes = b"20") -> Row:
        return [group, text, b"; ", longest]

    shards = [[row(b"1", b"a"), row(b"2", None)], [row(b"1", b"b"), row(b"2", None), row(b"3", b"")], [row(b"1", b"c")]]
    assert merged(CONCAT, types, shards) == [[b"1", b"a; b; c"], [b"2", None], [b"3", b""]]
    plain = replace(CONCAT, aggregates=(Aggregate(1, Fold.CONCAT, longest=-1),))
    assert merged(plain, types, shards)[0] == [b"1", b"a,b,c"]
    for longest in (b"3", b"9", b"0"):
        with pytest.raises(Unsupported, match="group_concat_max_len"):
            merged(CONCAT, types, [[row(b"1", b"a", longest)], [row(b"1", b"bcdef", longest)]])


def test_no_texts_at_all() -> None:
    spec = replace(CONCAT, groups=(), pairs=(OrderKey(0, Compare.INTEGER),))
    assert merged(spec, columns(N, ColumnType.BLOB, TEXT, N), [[], []]) == [[None, None]]


@pytest.mark.parametrize(
    "spec",
    [
        MergeSpec(groups=(OrderKey(0, Compare.INTEGER),)),
        MergeSpec(groups=(OrderKey(0, Compare.INTEGER, descending=True),), pairs=(OrderKey(1, Compare.INTEGER),)),
        MergeSpec(groups=(), pairs=(OrderKey(1, Compare.INTEGER),)),
        MergeSpec(order=(OrderKey(0, Compare.INTEGER),), distinct=True),
    ],
)
def test_rows_that_are_not_sorted_are_no_groups(spec: MergeSpec) -> None:
    rows: list[Row] = [[b"1", b"1"], [b"2", b"3"], [b"1", b"2"]]
    if spec.groups and spec.groups[0].descending:
        rows = [[b"2", b"1"], [b"2", b"0"]]
    with pytest.raises(Unsupported, match="do not send sorted"):
        merged(spec, columns(N, N), [rows])


def test_types_that_are_alike() -> None:
    texts = (ColumnType.VAR_STRING, ColumnType.STRING, ColumnType.BLOB, ColumnType.LONG_BLOB)
    assert len({alike(each) for each in texts}) == 1
    assert alike(ColumnType.LONG) == alike(ColumnType.LONGLONG)
    assert len({alike(each) for each in (ColumnType.LONG, ColumnType.DOUBLE, ColumnType.DATE, TEXT)}) == 4
