"""Values meet plan: the shard that this execution of a statement means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from router.planner.clauses import Instead, Span, parameters, render
from router.planner.keys import Value
from router.planner.loading import Load, Loads, read, text_for_shards
from router.planner.merging import Compare, MergeSpec, OrderKey, Scatter
from router.planner.plan import Bound, Part, Refused, Relay, Scattered, Sharded, Spread, Staged
from router.planner.routes import Misplaced, Reference, Slot, Unplaced, Unplannable, Values
from router.planner.spreading import Given, Ids, Piece, Spreading, pieces_of
from router.planner.variants import Variants
from router.sql.facts import Reason
from router.sql.fingerprint import literals
from router.sql.lexer import LexMode, tokens_of
from router.wire.errcodes import ErrorCode, mysql_error

# Digits of the largest literal that is looked at; no key column takes longer ones.
_LONGEST = 64


class TextValues:
    """The literals of a statement's text. ``codec`` decodes the client's character set; None: only ASCII is known."""

    __slots__ = ("_codec", "_literals", "_mode", "_sql")

    def __init__(self, sql: bytes, mode: LexMode, codec: str | None = None) -> None:
        self._sql = sql
        self._mode = mode
        self._codec = codec
        self._literals: list[bytes] | None = None

    def value(self, reference: Reference) -> Value:
        """What stands there. Raises Unplaced."""
        if not isinstance(reference, Slot):
            raise Unplaced
        if self._literals is None:
            self._literals = literals(self._sql, self._mode)
        if reference.number >= len(self._literals):
            raise Unplaced
        value = literal_value(self._literals[reference.number], self._mode, self._codec)
        return _negated(value) if reference.negative else value


class Both:
    """The parameters of a prepared statement, and the literals of its text."""

    __slots__ = ("_literals", "_parameters")

    def __init__(self, parameters: Values, text: Values) -> None:
        self._parameters = parameters
        self._literals = text

    def value(self, reference: Reference) -> Value:
        """What stands there. Raises Unplaced."""
        return (self._literals if isinstance(reference, Slot) else self._parameters).value(reference)


def literal_value(raw: bytes, mode: LexMode, codec: str | None) -> Value:
    """What a literal is worth. Raises Unplaced for what is no integer, decimal or plain string."""
    if raw.isdigit() and len(raw) <= _LONGEST:
        return int(raw)
    if raw[:1] in b"'\"":
        return _text(raw, mode, codec)
    whole, point, fraction = raw.partition(b".")
    if point and (whole + fraction).isdigit() and len(raw) <= _LONGEST:
        return Decimal(raw.decode())
    raise Unplaced


def _text(raw: bytes, mode: LexMode, codec: str | None) -> str:
    quote, inner = raw[:1], raw[1:-1]
    if (b"\\" in inner and not mode.no_backslash_escapes) or quote in inner.replace(quote * 2, b""):
        raise Unplaced
    inner = inner.replace(quote * 2, quote)
    if inner.isascii():
        return inner.decode()
    if codec is None:
        raise Unplaced
    try:
        return inner.decode(codec)
    except UnicodeDecodeError:
        raise Unplaced from None


def _negated(value: Value) -> Value:
    if isinstance(value, int | Decimal):
        return -value
    raise Unplaced


def bind(plan: Sharded, values: Values, sql: bytes, mode: LexMode, ids: Ids | None = None) -> Bound:
    """The plan of this execution; ``sql`` is the statement's text, to be lexed in ``mode``. Raises NoIds."""
    if (straight := plan.placement.straight) is not None and (found := straight.shard(values)) is not None:
        return plan.relays[found]
    if plan.explains is not None:
        return _explained(plan, plan.explains, values, sql, mode)
    if plan.loads is not None:
        return _loaded(plan, plan.loads, sql, mode)
    rows, spread = plan.placement.rows, plan.spread
    try:
        made = _made(plan, values, ids)
    except Unplaced:
        return _refused(plan, "an id that may be NULL or not")
    if made is None:
        return _refused(plan, "generated ids, which are not at hand")
    try:
        if rows is not None:
            return _inserted(plan, rows.shards(values, made), values, sql, mode, made)
        if spread is not None and spread.ddl:
            return Spread(tuple(Part(plan.relays[number], sql) for number in spread.shards), plan.facts, ddl=True)
        if spread is not None and spread.copies:
            return _copied(plan, spread, values, sql, mode, made)
    except Misplaced as error:
        return _misplaced(plan, error)
    except LookupError:
        return plan.refused
    found = _shard(plan, values)
    if found is not None:
        return plan.relays[found]
    if spread is not None:
        shards = sorted(plan.placement.routes[0].shards(values))
        return Spread(tuple(Part(plan.relays[number], sql) for number in shards), plan.facts, clock=spread.clock)
    if plan.first is not None:
        return Staged(plan, values, sql, mode, plan.facts)
    return _several(plan, values, sql, mode)


def _several(
    plan: Sharded, values: Values, sql: bytes, mode: LexMode, given: Sequence[Instead] = ()
) -> Refused | Scattered:
    """The plan of a read that takes several shards."""
    scatter = plan.scatter.of(literals(sql, mode)) if isinstance(plan.scatter, Variants) else plan.scatter
    if isinstance(scatter, Unplannable):
        return _unsupported(plan, scatter.construct)
    return located(plan.refused, sql, mode) if scatter is None else _scattered(plan, scatter, values, sql, mode, given)


def rest(plan: Sharded, values: Values, sql: bytes, mode: LexMode, given: Sequence[Instead]) -> Refused | Scattered:
    """The plan of a read whose inner queries have been asked; what they gave is among the values, and ``given``."""
    found = _shard(plan, values)
    if found is None:
        return _several(plan, values, sql, mode, given)
    tokens = tokens_of(sql, mode)
    whole = (Span(0, len(tokens)),)
    text = render(whole, sql, tokens, given)
    part = Part(plan.relays[found], text, tuple(parameters(whole, tokens, given)))
    return Scattered((part,), MergeSpec(), None, 0, plan.facts)


def located(refused: Refused, sql: bytes, mode: LexMode) -> Refused:
    """The refusal, with the line and column (in bytes, from 1) of what it names in this very text."""
    tokens = tokens_of(sql, mode) if refused.token is not None else []
    if refused.token is None or refused.token >= len(tokens):
        return refused
    before = sql[: tokens[refused.token].start]
    place = f" (line {before.count(_NEWLINE) + 1}, column {len(before) - before.rfind(_NEWLINE)})"
    construct, semicolon, advice = refused.error.message.partition("; ")
    error = mysql_error(refused.error.code, f"{construct}{place}{semicolon}{advice}")
    return replace(refused, error=error)


_NEWLINE = b"\n"


def _unsupported(plan: Sharded, construct: str) -> Refused:
    message = f"router: not supported on sharded tables: {construct}"
    return replace(plan.refused, error=mysql_error(ErrorCode.NOT_SUPPORTED_YET, message))


def _made(plan: Sharded, values: Values, ids: Ids | None) -> dict[int, int] | None:
    """New ids by row; None when there is nobody to make them."""
    if plan.made is None:
        return {}
    lacking = plan.made.lacking(values)
    if not lacking:
        return {}
    if ids is None:
        return None
    return dict(zip(lacking, ids.take(plan.made.table, len(lacking)), strict=True))


def _refused(plan: Sharded, construct: str) -> Refused:
    message = f"router: not supported on sharded tables: {construct}"
    return replace(plan.refused, error=mysql_error(ErrorCode.NOT_SUPPORTED_YET, message))


def _inserted(
    plan: Sharded, shards: list[int], values: Values, sql: bytes, mode: LexMode, made: dict[int, int]
) -> Relay | Refused | Spread:
    """Rows, each of which belongs to one of ``shards``."""
    spread = plan.spread
    several = len(set(shards)) > 1
    if not several and not made:
        return plan.relays[shards[0]]
    if several and spread is None:
        return plan.refused
    if several and spread is not None and spread.given is not None and not spread.given.hold(values, made):
        return _not_given(plan, spread.given, "rows for several shards")
    pieces = pieces_of(sql, mode, shards, plan.made, made)
    return Spread(
        tuple(Part(plan.relays[shard], piece.sql, piece.parameters) for shard, piece in pieces.items()),
        plan.facts,
        clock=several and spread is not None and spread.clock,
        last=list(pieces).index(shards[-1]),
        first_id=min(made.values(), default=None),
    )


def _copied(
    plan: Sharded, spread: Spreading, values: Values, sql: bytes, mode: LexMode, made: dict[int, int]
) -> Relay | Refused | Spread:
    """Every copy gets the same rows."""
    if len(spread.shards) == 1 and not made:
        return plan.relays[spread.shards[0]]
    if spread.given is not None and not spread.given.hold(values, made):
        return _not_given(plan, spread.given, "rows of a broadcast table")
    piece = pieces_of(sql, mode, None, plan.made, made)[0] if made else Piece(sql, None)
    return Spread(
        tuple(Part(plan.relays[number], piece.sql, piece.parameters) for number in spread.shards),
        plan.facts,
        copies=True,
        clock=spread.clock,
        first_id=min(made.values(), default=None),
    )


def _not_given(plan: Sharded, given: Given, rows: str) -> Refused:
    return _refused(
        plan, f"{rows} without a value for '{given.column}', which each shard would count for itself (AUTO_INCREMENT)"
    )


def _scattered(
    plan: Sharded, scatter: Scatter, values: Values, sql: bytes, mode: LexMode, given: Sequence[Instead] = ()
) -> Refused | Scattered:
    merge = scatter.merge
    try:
        limit = _count(merge.limit, values)
        offset = _count(merge.offset, values) or 0
    except Unplaced:
        return _unsupported(plan, "a LIMIT that is no number")
    try:
        constants = tuple(_number(each, values) for each in merge.constants)
    except Unplaced:
        return _unsupported(plan, "a value beside aggregates over several shards that is no plain number")
    matter = None if limit is None else limit and limit + offset
    text = scatter.text(sql, mode, matter, given)
    stands = scatter.parameters(sql, mode, given)
    parts = tuple(Part(plan.relays[number], text, stands) for number in scatter.shards(values))
    return Scattered(parts, merge, limit, offset, plan.facts, constants)


def _loaded(plan: Sharded, loads: Loads, sql: bytes, mode: LexMode) -> Refused | Spread:
    """Lines of the client's file for the shards of their keys."""
    try:
        statement = read(sql, mode)
    except Unplannable as error:
        return _unsupported(plan, error.construct)
    text = text_for_shards(statement, sql, mode)
    shards = loads.table.shards
    parts = tuple(Part(plan.relays[number], text) for number in shards)
    load = Load(loads, statement.format, statement.charset, {number: part for part, number in enumerate(shards)})
    return Spread(parts, plan.facts, copies=loads.table.broadcast, clock=True, load=load)


# Each row is put behind the shard's name and before a constant, in whose order they are: shard by shard.
_BY_SHARD = MergeSpec(hidden=1, order=(OrderKey(-1, Compare.BYTES),))


def _explained(plan: Sharded, first: int, values: Values, sql: bytes, mode: LexMode) -> Relay | Refused | Scattered:
    """EXPLAIN of the statement that begins at token ``first``: no literals stand before it."""
    start = tokens_of(sql, mode)[first].start
    bound = bind(replace(plan, explains=None), values, sql[start:], mode)
    if isinstance(bound, Relay | Refused):
        return bound
    if isinstance(bound, Staged):
        return _unsupported(
            plan, "EXPLAIN of a statement with subqueries that are asked first; EXPLAIN ROUTE shows them"
        )
    parts = tuple(replace(part, sql=sql[:start] + part.sql) for part in bound.parts)
    return Scattered(parts, _BY_SHARD, None, 0, plan.facts, labelled=True)


def _number(reference: Reference, values: Values) -> Decimal | None:
    value = values.value(reference)
    if value is None:
        return None
    if not isinstance(value, int | Decimal):
        raise Unplaced
    return Decimal(value)


def _count(reference: Reference | None, values: Values) -> int | None:
    if reference is None:
        return None
    value = values.value(reference)
    if not isinstance(value, int) or value < 0:
        raise Unplaced
    return value


def _shard(plan: Sharded, values: Values) -> int | None:
    """The only shard that is meant; None when there are several."""
    placement = plan.placement
    meant: int | None = None
    for route in placement.routes:
        shards = route.shards(values)
        if len(shards) > 1:
            return None
        for shard in shards:
            if meant is not None and meant != shard:
                return None
            meant = shard
    if meant is None:
        # Nothing that is asked for can exist, or it is a broadcast table's: any shard says so.
        return placement.routes[0].table.shards[0] if placement.routes else 0
    return meant


def _misplaced(plan: Sharded, error: Misplaced) -> Refused:
    shown = ", ".join(
        "NULL" if value is None else repr(value) if isinstance(value, str) else str(value) for value in error.key
    )
    columns = ", ".join(error.table.columns)
    message = f"router: table '{error.table.name}' has no shard for {columns} = {shown[:100]}: {error.reason}"
    refused = mysql_error(ErrorCode.NO_PARTITION_FOR_GIVEN_VALUE, message)
    return replace(plan.refused, error=refused, reason=Reason.NO_SHARD)
