"""Groups of several shards: partial ones are folded, values of complete ones computed, and then they are sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from router.engine.sums import Spread, added, adding, mean_of_doubles, printed
from router.errors import Unsupported
from router.planner.formulas import (
    Inexact,
    Number,
    Setting,
    Truth,
    average,
    columns_of,
    numbers_of,
    rounded,
    truth_of,
)
from router.planner.merging import (
    LONGEST_TEXT,
    Aggregate,
    Cell,
    Compare,
    Computed,
    Fold,
    MergeSpec,
    OrderKey,
    comparable,
    sort_key,
)
from router.wire.charset import BINARY, Flavor, collation
from router.wire.constants import ColumnFlag, ColumnType
from router.wire.packets import ColumnDefinition
from router.wire.rows import INTEGERS

Row = list[Cell]

MAX_GROUPS = 1_000_000
# Values of one group that are remembered for one of several DISTINCT aggregates.
MAX_ONCE = 1_000_000

_BY_TYPE: dict[int, Compare] = {
    **dict.fromkeys(INTEGERS, Compare.INTEGER),
    ColumnType.NEWDECIMAL: Compare.DECIMAL,
    ColumnType.DOUBLE: Compare.FLOAT,
    ColumnType.DATE: Compare.BYTES,
    ColumnType.DATETIME: Compare.BYTES,
    ColumnType.TIME: Compare.TIME,
    ColumnType.NULL: Compare.BYTES,
}
_TEXTS = frozenset({ColumnType.VAR_STRING, ColumnType.STRING, ColumnType.VARCHAR})
_BLOBS = frozenset({ColumnType.TINY_BLOB, ColumnType.BLOB, ColumnType.MEDIUM_BLOB, ColumnType.LONG_BLOB})


class Groups:
    """Groups that come one after the other, each folded into its first row."""

    def __init__(self, spec: MergeSpec, columns: list[ColumnDefinition], constants: tuple[Number, ...] = ()) -> None:
        """Raises Unsupported where a column's type cannot be folded or compared exactly."""
        assert spec.groups is not None
        self._spec = spec
        self._columns = columns
        wholes = {each.column: whole for each in spec.aggregates if (whole := _whole(each, columns)) is not None}
        folds = [
            (each.distinct, wholes[each.column].fold if each.column in wholes else folding(each, columns))
            for each in spec.aggregates
        ]
        self._folds = [fold for _, fold in folds]
        self._plain = [fold for distinct, fold in folds if not distinct]
        self._sets = _sets(spec, self._folds)
        # With values to be counted once, keys are those of pairs.
        self._grouped = len(spec.groups)
        self._paired = bool(spec.pairs)
        self._final = sort_key(tuple(typed(key, columns) for key in spec.final))
        self._finish = [_showing(each, columns) for each in spec.aggregates if each.fold in (Fold.AVG, Fold.SUM)]
        self._finish += [each.finish for each in wholes.values()]
        setting = Setting(constants, lambda column: columns[column].decimals)
        try:
            self._finish += [_computing(each, columns, setting) for each in spec.computed]
            self._having = None if spec.having is None else truth_of(spec.having, setting)
        except Inexact:
            raise _uncertain("an expression") from None
        for column in () if spec.having is None else columns_of(spec.having):
            _check_exact(columns[column], "compared in HAVING")
        self._key: Any = None
        self._pair: Any = None
        self._row: Row | None = None
        self._finished: list[Row] = []
        self._delivered = False

    def add(self, key: Any, row: Row) -> None:
        """A row of a shard: a partial group."""
        if self._paired:
            self._add_pair(key, row)
            return
        current = self._row
        if current is None or key != self._key:
            if current is not None and key < self._key:
                raise unsorted()
            self._close()
            self._key, self._row = key, row
            return
        for fold in self._folds:
            fold(current, row)

    def _add_pair(self, pair: Any, row: Row) -> None:
        """As ``add``; the key is that of a group and of a value in it."""
        key = pair[: self._grouped] if self._grouped else ()
        current = self._row
        if current is not None and pair < self._pair:
            raise unsorted()
        if current is None or key != self._key:
            self._close()
            self._key, self._pair, self._row = key, pair, row
            for each in self._sets:
                each.begin(pair[self._grouped :])
            return
        for each in self._sets:
            each.add(pair[self._grouped :], current, row)
        folds = self._plain if pair == self._pair or self._sets else self._folds
        self._pair = pair
        for fold in folds:
            fold(current, row)

    def _close(self) -> None:
        row = self._row
        if row is None:
            return
        if len(self._finished) >= MAX_GROUPS:
            message = f"router: not supported on sharded tables: more than {MAX_GROUPS:,} groups over several shards"
            raise Unsupported(1235, "42000", message)
        try:
            for finish in self._finish:
                finish(row)
        except Inexact:
            raise _uncertain("a sum or a variance") from None
        if self._having is None or self._holds(self._having, row):
            self._finished.append(row)

    def _holds(self, having: Callable[[Row], Truth], row: Row) -> bool:
        try:
            return having(row) is True
        except Inexact:
            raise _uncertain("HAVING") from None

    def finish(self) -> Iterator[Row]:
        """All groups, in their final order; once."""
        if self._delivered:
            return
        self._delivered = True
        if self._row is None and self._spec.pairs and not self._grouped:
            self._row = self._nothing()
        self._close()
        if self._spec.final:
            self._finished.sort(key=self._final)
        yield from self._finished

    def _nothing(self) -> Row:
        """What aggregates of no rows at all are."""
        row: Row = [None] * len(self._columns)
        for each in self._spec.aggregates:
            row[each.column] = each.empty
            if each.fold is Fold.AVG:
                row[each.count] = b"0"
        return row


class _Once:
    """Values of one group that count once, and the aggregates that count them."""

    def __init__(self, among: tuple[int, ...], folds: list[_Folding]) -> None:
        self._among = among
        self._folds = folds
        self._seen: set[Any] = set()

    def begin(self, values: tuple[Any, ...]) -> None:
        """The first values of a group."""
        self._seen = {tuple(values[place] for place in self._among)}

    def add(self, values: tuple[Any, ...], current: Row, row: Row) -> None:
        """More values of it."""
        value = tuple(values[place] for place in self._among)
        if value in self._seen:
            return
        if len(self._seen) >= MAX_ONCE:
            message = (
                f"router: not supported on sharded tables: more than {MAX_ONCE:,} values of a group in one of several"
                " aggregates that are DISTINCT"
            )
            raise Unsupported(1235, "42000", message)
        self._seen.add(value)
        for fold in self._folds:
            fold(current, row)


def _sets(spec: MergeSpec, folds: list[_Folding]) -> list[_Once]:
    """The values to remember, where there is more than one thing whose values count once."""
    every = dict.fromkeys(each.among for each in spec.aggregates if each.among)
    return [
        _Once(among, [fold for each, fold in zip(spec.aggregates, folds, strict=True) if each.among == among])
        for among in every
    ]


# -- folding -------------------------------------------------------------------------------------------------------

_Folding = Callable[[Row, Row], None]
_Finishing = Callable[[Row], None]


def folding(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Folding:
    """The function that folds a row into another; Unsupported where it would not be exact."""
    column = aggregate.column
    match aggregate.fold:
        case Fold.SUM:
            plus = _plus(columns[column])

            def add(current: Row, row: Row) -> None:
                current[column] = plus(current[column], row[column])

            return add
        case Fold.AVG:
            total, count = aggregate.total, aggregate.count
            plus_total = _plus(columns[total])

            def add_both(current: Row, row: Row) -> None:
                current[total] = plus_total(current[total], row[total])
                current[count] = added(current[count], row[count])

            return add_both
        case Fold.MIN | Fold.MAX:
            return _extreme(aggregate, columns)
        case _:
            if columns[column].type not in INTEGERS:
                raise _inexact(columns[column], "combined")
            return _bits(aggregate)


def _extreme(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Folding:
    assert aggregate.by is not None
    key = typed(aggregate.by, columns)
    by, compare, column, least = key.column, key.compare, aggregate.column, aggregate.fold is Fold.MIN

    def extreme(current: Row, row: Row) -> None:
        mine, other = current[by], row[by]
        if other is None or mine == other:
            return
        if mine is not None:
            one, another = comparable(mine, compare), comparable(other, compare)
            if one == another or (another < one) is not least:
                return
        current[column], current[by] = row[column], other

    return extreme


def _bits(aggregate: Aggregate) -> _Folding:
    column, fold = aggregate.column, aggregate.fold

    def combine(current: Row, row: Row) -> None:
        one, other = int(current[column] or b"0"), int(row[column] or b"0")
        found = one & other if fold is Fold.BIT_AND else one | other if fold is Fold.BIT_OR else one ^ other
        current[column] = b"%d" % found

    return combine


def _plus(column: ColumnDefinition) -> Callable[[Cell, Cell], Cell]:
    if column.type != ColumnType.DOUBLE:
        _check_exact(column, "summed")
    return adding(column)


def _whole(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Joined | Spread | None:
    """What is only known when its group is complete."""
    if aggregate.fold is Fold.CONCAT:
        return _Joined(aggregate, columns)
    if aggregate.fold is not Fold.VARIANCE:
        return None
    try:
        return Spread(aggregate, columns)
    except Inexact:
        raise _inexact(columns[aggregate.total], "summed") from None


class _Joined:
    """Values of a GROUP_CONCAT, put together when the group is complete."""

    def __init__(self, aggregate: Aggregate, columns: list[ColumnDefinition]) -> None:
        self._aggregate = aggregate
        self._definition = columns[aggregate.column]
        self._row: Row | None = None
        self._pieces: list[bytes] = []
        self._length = 0

    def fold(self, current: Row, row: Row) -> None:
        """Add the values of a row."""
        if current is not self._row:
            self._begin(current)
        self._add(row)

    def _begin(self, row: Row) -> None:
        self._row, self._pieces, self._length = row, [], 0
        self._add(row)

    def _add(self, row: Row) -> None:
        """Servers cut what is too long, in each piece and in the whole: nobody can tell what would have been cut."""
        piece = row[self._aggregate.column]
        if piece is None:
            return
        self._pieces.append(piece)
        self._length += len(piece) + len(self._separator(row))
        if self._length >= int(row[self._aggregate.longest] or b"0"):
            message = (
                f"router: not supported on sharded tables: {_name(self._definition)} as long as group_concat_max_len"
                " allows, or nearly; raise it"
            )
            raise Unsupported(1235, "42000", message)

    def _separator(self, row: Row) -> bytes:
        column = self._aggregate.separator
        return b"," if column is None else row[column] or b""

    def finish(self, row: Row) -> None:
        """The whole."""
        if row is not self._row:
            self._begin(row)
        row[self._aggregate.column] = self._separator(row).join(self._pieces) if self._pieces else None
        self._row = None


def _showing(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Finishing:
    """The function that puts a complete sum or mean into its column."""
    column, definition = aggregate.column, columns[aggregate.column]
    if definition.type != ColumnType.DOUBLE:
        return _averaging(aggregate, columns) if aggregate.fold is Fold.AVG else lambda row: None
    if aggregate.fold is Fold.AVG:
        return mean_of_doubles(aggregate, columns)

    def show(row: Row) -> None:
        if (cell := row[column]) is not None:
            row[column] = printed(float(cell), definition.decimals)

    return show


def _averaging(aggregate: Aggregate, columns: list[ColumnDefinition]) -> _Finishing:
    column, digits = aggregate.column, columns[aggregate.column].decimals

    def finish(row: Row) -> None:
        total, count = row[aggregate.total], row[aggregate.count]
        if total is None or count is None or count == b"0":
            row[column] = None
        else:
            row[column] = f"{rounded(average(total, count, digits), digits):f}".encode()

    return finish


def _computing(computed: Computed, columns: list[ColumnDefinition], setting: Setting) -> _Finishing:
    """The function that puts the formula's value into its column."""
    column, definition = computed.column, columns[computed.column]
    for used in (column, *columns_of(computed.formula)):
        _check_exact(columns[used], "computed")
    ways = numbers_of(computed.formula, setting)

    def finish(row: Row) -> None:
        try:
            found = [_shown(way(row), definition) for way in ways]
        except Inexact:
            raise _uncertain(_name(definition)) from None
        if any(each != found[0] for each in found):
            raise _uncertain(_name(definition))
        row[column] = found[0]

    return finish


def _shown(value: Number, definition: ColumnDefinition) -> Cell:
    """A number as the column shows it. Raises Inexact for one that the column cannot hold."""
    if value is None:
        return None
    if definition.type in INTEGERS:
        low, high = (0, 2**64) if definition.flags & ColumnFlag.UNSIGNED else (-(2**63), 2**63)
        if value != int(value) or not low <= value < high:
            raise Inexact
        return b"%d" % int(value)
    shown = rounded(value, definition.decimals)
    if len(shown.as_tuple().digits) > _MOST_DIGITS:
        raise Inexact
    return f"{shown if shown else abs(shown):f}".encode()


# As many digits a decimal has.
_MOST_DIGITS = 65


# -- types ---------------------------------------------------------------------------------------------------------


def typed(key: OrderKey, columns: list[ColumnDefinition]) -> OrderKey:
    """The key, with what its column is. Raises Unsupported for types that are not compared exactly."""
    if key.compare is not Compare.BY_TYPE:
        return key
    column = columns[key.column]
    found = _BY_TYPE.get(column.type)
    if found is not None:
        return OrderKey(key.column, found, key.descending)
    if column.type not in _TEXTS or column.flags & (ColumnFlag.ENUM | ColumnFlag.SET):
        raise _inexact(column, "ordered or compared")
    if column.collation_id == BINARY:
        return OrderKey(key.column, Compare.BYTES, key.descending)
    if key.weights is None:
        raise _inexact(column, "ordered or compared")
    if column.length > LONGEST_TEXT * _widest(column):
        raise _inexact(column, f"ordered or compared beyond {LONGEST_TEXT} characters")
    return OrderKey(key.weights, Compare.BYTES, key.descending)


def alike(kind: int) -> int:
    """One type for those of text and bytes, and one for integers: which of them a computed column has depends on how
    the server runs the statement, and shards may do so differently."""
    if kind in INTEGERS:
        return ColumnType.LONGLONG
    return ColumnType.VAR_STRING if kind in _TEXTS or kind in _BLOBS else kind


def _widest(column: ColumnDefinition) -> int:
    """How many bytes of its length stand for one character; 1 where that is not known."""
    known = {each.charset for flavor in _FLAVORS if (each := collation(column.collation_id, flavor)) is not None}
    return _WIDTHS.get(known.pop(), 1) if len(known) == 1 else 1


_FLAVORS: tuple[Flavor, ...] = ("mysql", "mariadb")
_WIDTHS = {"utf8mb4": 4, "utf8mb3": 3}


def _check_exact(column: ColumnDefinition, what: str) -> None:
    if column.type not in INTEGERS and column.type != ColumnType.NEWDECIMAL:
        raise _inexact(column, what)


def _inexact(column: ColumnDefinition, what: str) -> Unsupported:
    kind = ColumnType(column.type).name.lower()
    message = (
        f"router: not supported on sharded tables: {_name(column)} of type {kind} cannot be {what} exactly over several"
        " shards"
    )
    return Unsupported(1235, "42000", message)


def unsorted() -> Unsupported:
    """A group that is complete would come again."""
    message = "router: not supported on sharded tables: groups that the servers do not send sorted (max_sort_length?)"
    return Unsupported(1235, "42000", message)


def _uncertain(what: str) -> Unsupported:
    message = f"router: not supported on sharded tables: {what} whose value depends on how servers round"
    return Unsupported(1235, "42000", message)


def _name(column: ColumnDefinition) -> str:
    return f"'{column.name.decode('utf-8', 'replace')}'"
