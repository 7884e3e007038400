"""What is to be done with a statement: the planner's answer, the same for every statement of its shape.

A plan holds no literal's value (plans with ``facts.kill`` or ``facts.explain_route`` are made anew each time).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from router.errors import MySQLError
from router.planner.clauses import Span
from router.planner.description import Asks, View
from router.planner.formulas import Number
from router.planner.loading import Load, Loads
from router.planner.merging import Cell, MergeSpec, OrderKey, Scatter
from router.planner.observed import Observed
from router.planner.routes import (
    Between,
    Both,
    Condition,
    Either,
    OneOf,
    Parameter,
    Placement,
    Reference,
    Slot,
    Told,
    Values,
)
from router.planner.spreading import Made, Spreading
from router.planner.tables import ShardedSchema
from router.planner.variants import Variants
from router.sql.facts import Reason, StatementFacts
from router.sql.lexer import LexMode
from router.wire.packets import ColumnDefinition


class Role(StrEnum):
    """What kind of server of a group; ``replica`` leaves the choice among those that may read to the group."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of statements go to ``group`` too, as ``rule`` says: of so many ``percent``, ``concurrency`` at a time at
    most; ``writes``: not of reads alone."""

    rule: str
    group: str
    percent: float
    concurrency: int
    writes: bool


@dataclass(frozen=True, slots=True)
class Relay:
    """The client's bytes go unchanged to one server of ``group``, its answer goes back unchanged.

    ``rule`` names the rule that decided, if one did. ``special``: not quite; it is about connection ids, which to the
    client are the router's, about transactions, or its time is limited: ``timeout`` is in seconds. ``shard`` is the
    shard meant, ``database`` the one there that stands for the session's. ``anywhere``: it names no tables, so it
    follows a transaction to whichever group that is in. ``spans``: it may be part of a transaction that is on other
    groups too. ``max_lag``: how old, in seconds, what it reads may be. ``mirror``: where a copy goes (``special``).
    ``observed`` counts it.
    """

    group: str
    role: Role
    reason: Reason
    facts: StatementFacts
    rule: str | None = None
    special: bool = False
    shard: str | None = None
    database: str | None = None
    anywhere: bool = False
    spans: bool = False
    timeout: float | None = None
    max_lag: float | None = None
    mirror: Mirror | None = None
    observed: Observed | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Local:
    """Answered by the router: EXPLAIN ROUTE of the statement ``sql``, SHOW SESSION STATE, or ``@@router_gtid``, which
    is asked for or ``told``."""

    sql: bytes
    facts: StatementFacts
    reason: Reason = Reason.LOCAL
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The client gets ``error``; nothing is sent to a server.

    ``token`` is where in the statement the construct stands that the error names, if that is known.
    """

    error: MySQLError
    reason: Reason
    facts: StatementFacts
    rule: str | None = None
    token: int | None = None


class Answers(StrEnum):
    """What a query inside a statement is there for."""

    VALUE = "value"
    LIST = "list"
    EXISTS = "exists"


class Use(StrEnum):
    """What is done with what a query gave: a column of the result, compared with a column, or part of an expression."""

    SHOWN = "shown"
    COMPARED = "compared"
    COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class Step:
    """A query inside a statement that is asked before it.

    It is the tokens ``query`` of the statement, with ``behind`` behind them; ``head`` and what it gives stand for
    ``span``. ``shown``: the position of the result's column it is; from -1 on counted from the end. ``collation`` is
    that of its text, ``compared`` the family of types (or the collation) of what it is compared with.
    """

    answers: Answers
    span: Span
    query: Span
    behind: bytes
    plan: Sharded
    use: Use
    shown: int | None = None
    collation: str | None = None
    compared: str | None = None
    head: str = ""


@dataclass(frozen=True, slots=True)
class First:
    """The ``steps`` that come before a statement, and the plan ``then`` of the statement with what they give.

    ``named`` are positions of columns whose names are as long as the text of their expressions, in which steps stand.
    """

    steps: tuple[Step, ...]
    then: Sharded
    named: tuple[tuple[int, Span], ...] = ()


@dataclass(frozen=True, slots=True)
class Sharded:
    """About sharded tables: which shard is meant is known when the values are (``planner/binding``).

    ``relays`` are the plans for each shard, in the schema's order. When it takes several, ``scatter`` (a read) or
    ``spread`` (a write) says how to ask them all; without, or where that is not possible, ``refused`` is the answer.
    ``made``: ids are put into the rows of an INSERT, even for one shard. ``first``: it takes several steps, but
    for one shard. ``explains``: it is EXPLAIN, in so many tokens, of the statement that all this is about; each shard
    explains what it would be asked. ``loads``: the lines of a file of the client's.
    """

    schema: str
    placement: Placement
    relays: tuple[Relay, ...]
    refused: Refused
    facts: StatementFacts
    scatter: Scatter | Variants | None = None
    spread: Spreading | None = None
    made: Made | None = None
    first: First | None = None
    explains: int | None = None
    loads: Loads | None = None

    @property
    def reason(self) -> Reason:
        """As of the plan for one shard."""
        return self.relays[0].reason


@dataclass(frozen=True, slots=True)
class Part:
    """What one shard is asked: ``sql``, at the place that ``relay`` says.

    ``parameters`` are the numbers of the statement's parameters that stand in ``sql``, in their order; None: all.
    """

    relay: Relay
    sql: bytes
    parameters: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A column at ``position`` (from -1 on: from the end) that has another name, or is another ``column``: ``cell`` in
    every row."""

    position: int
    name: bytes | None
    column: ColumnDefinition | None = None
    cell: Cell = None


@dataclass(frozen=True, slots=True)
class Staged:
    """One execution of a statement that takes several steps (``planner/staging``). ``parameters`` are the numbers that
    the parameters of ``sql`` have in the client's statement; None: the same."""

    plan: Sharded
    values: Values
    sql: bytes
    mode: LexMode
    facts: StatementFacts
    parameters: tuple[int, ...] | None = None

    @property
    def reason(self) -> Reason:
        """As of the plan."""
        return self.plan.reason


@dataclass(frozen=True, slots=True)
class Scattered:
    """One execution of a statement on several shards: what each is asked, and how the rows become one result.

    ``limit`` and ``offset`` are numbers of rows, ``limit`` None without a bound; ``constants`` are the merge's.
    ``shown``: what clients see otherwise than the shards show it. ``labelled``: rows come out shard by shard, behind a
    column with the shard's name. ``told``: values stand in it where the client's statement has queries.
    """

    parts: tuple[Part, ...]
    merge: MergeSpec
    limit: int | None
    offset: int
    facts: StatementFacts
    constants: tuple[Number, ...] = ()
    shown: tuple[Shown, ...] = ()
    labelled: bool = False
    told: bool = False

    @property
    def reason(self) -> Reason:
        """As of its parts."""
        return self.parts[0].relay.reason


@dataclass(frozen=True, slots=True)
class Spread:
    """One execution of a statement that writes on several shards: what each is asked, in the order of the shards.

    ``copies``: the shards hold the same rows, so that their counts must agree and stand for one another; otherwise
    they are added up. ``clock``: all shards must see the same time. ``last`` is the number of the part with the last
    row of an INSERT: the id in its answer is the statement's, as a server's is that of the last row it wrote. But if
    the router has made ids, ``first_id`` is the statement's, and what LAST_INSERT_ID() is from then on. There may be
    one part only, whose text is not the client's. ``ddl``: the shards' tables rather than their rows. ``load``: the
    parts get lines of the client's file.
    """

    parts: tuple[Part, ...]
    facts: StatementFacts
    copies: bool = False
    clock: bool = False
    last: int = 0
    first_id: int | None = None
    ddl: bool = False
    load: Load | None = None

    @property
    def reason(self) -> Reason:
        """As of its parts."""
        return self.parts[0].relay.reason


@dataclass(frozen=True, slots=True)
class Described:
    """About what tables there are: it goes where ``relay`` says, but as the text that ``asks`` makes of it.

    In that the views of information_schema tell of the tables of ``schemas`` that live on shards, too; SCHEMATA shows
    the databases ``shown``, and not what they are called on shards.
    """

    relay: Relay
    asks: Asks
    schemas: tuple[ShardedSchema, ...] = ()
    shown: tuple[ShardedSchema, ...] = ()

    @property
    def facts(self) -> StatementFacts:
        """As of the relay."""
        return self.relay.facts

    @property
    def reason(self) -> Reason:
        """As of the relay."""
        return self.relay.reason

    @property
    def views(self) -> tuple[str, ...]:
        """The views of information_schema that stand in the text."""
        return tuple(sorted({piece.name for piece in self.asks if isinstance(piece, View)}))


Plan = Relay | Local | Refused | Sharded | Described
# What a plan is for the values of one execution.
Bound = Relay | Refused | Scattered | Spread | Staged


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON: what golden tests compare and ``router explain --json`` prints. Defaults are left out."""
    match plan:
        case Relay():
            head: dict[str, Any] = {
                "plan": "relay",
                "group": plan.group,
                "role": plan.role.value,
                "reason": plan.reason.value,
                "rule": plan.rule,
                "max_lag": plan.max_lag,
                "mirror": None if plan.mirror is None else mirror_text(plan.mirror),
            }
        case Described():
            head = {
                "plan": "described",
                "group": plan.relay.group,
                "role": plan.relay.role.value,
                "reason": plan.reason.value,
                "rule": plan.relay.rule,
                "schemas": [schema.name for schema in plan.schemas] or None,
                "views": list(plan.views) or None,
            }
        case Local():
            head = {"plan": "local", "statement": plan.sql.decode("utf-8", "backslashreplace")}
        case Sharded():
            head = {
                "plan": "sharded",
                "explains": True if plan.explains is not None else None,
                "schema": plan.schema,
                "role": plan.relays[0].role.value,
                "reason": plan.reason.value,
                "rule": plan.relays[0].rule,
                "mirror": None if (mirror := plan.relays[0].mirror) is None else mirror_text(mirror),
                "placement": placement_json(plan.placement),
                "several": _several_json(plan),
                "makes": None if plan.made is None else f"ids for {plan.made.column}",
            }
        case Refused():
            head = {
                "plan": "refused",
                "code": int(plan.error.code),
                "sqlstate": plan.error.sqlstate,
                "message": plan.error.message,
                "reason": plan.reason.value,
                "rule": plan.rule,
            }
    return {key: value for key, value in {**head, "facts": _facts_json(plan.facts)}.items() if value is not None}


def mirror_text(mirror: Mirror) -> str:
    """Where copies go, in words."""
    share = "" if mirror.percent == 100 else f"{mirror.percent:g} % "
    return f"{share}copied to group {mirror.group} by rule {mirror.rule}"


def placement_json(placement: Placement) -> list[str]:
    """The placement in words: one line for each class of tables."""
    if placement.rows is not None:
        rows = placement.rows
        return [f"rows of {rows.table.name}: {', '.join(_key_text(key) for key in rows.keys)}"]
    return [f"{route.table.name}: {_condition_text(route.condition)}" for route in placement.routes]


def _several_json(plan: Sharded) -> dict[str, Any] | str:
    if plan.loads is not None:
        return {"loads": "every copy" if plan.loads.table.broadcast else "each line"}
    if plan.spread is not None:
        return _spread_json(plan.spread)
    if plan.first is not None:
        return _first_json(plan.first)
    return plan.refused.error.message if plan.scatter is None else _scatter_json(plan.scatter)


def _first_json(first: First) -> dict[str, Any]:
    steps = [
        {
            "answers": step.answers.value,
            "use": step.use.value,
            "placement": placement_json(step.plan.placement),
            "several": _several_json(step.plan),
        }
        for step in first.steps
    ]
    then = {"placement": placement_json(first.then.placement), "several": _several_json(first.then)}
    return {"first": steps, "then": then}


def _spread_json(spread: Spreading) -> dict[str, Any]:
    given = spread.given
    return {
        "writes": "every copy" if spread.copies else "its own rows" if spread.split else "the statement",
        **({"clock": True} if spread.clock else {}),
        **({} if given is None else {"must_give": given.column}),
    }


def _scatter_json(scatter: Scatter | Variants) -> dict[str, Any]:
    if isinstance(scatter, Variants):
        positions = ", ".join(_text(Slot(number)) for number in scatter.positional)
        return {"depends_on": "which literals are equal" + f", and the columns at {positions}" * bool(positions)}
    merge = scatter.merge
    values: dict[str, Any] = {
        "asks": " ".join(piece if isinstance(piece, str) else "…" for piece in scatter.asks if len(piece)),
        "merge": [_order_text(key) for key in merge.order],
        "distinct": merge.distinct,
        "groups": None if merge.groups is None else [_order_text(key) for key in (*merge.groups, *merge.pairs)],
        "aggregates": [f"{'distinct ' * each.distinct}{each.fold.value} {each.column}" for each in merge.aggregates],
        "computed": [each.column for each in merge.computed],
        "having": merge.having is not None,
        "then_by": [_order_text(key) for key in merge.final],
        "pushes_limit": scatter.pushes_limit,
    }
    return {key: value for key, value in values.items() if value not in (None, "", False, [])}


def _order_text(key: OrderKey) -> str:
    weights = "" if key.weights is None else f" or weights {key.weights}"
    return f"{key.column} {key.compare.value}{weights}{' desc' * key.descending}"


def _condition_text(condition: Condition | None) -> str:
    match condition:
        case None:
            return "every shard"
        case OneOf(keys):
            return "one of " + ", ".join(_key_text(key) for key in keys)
        case Between(low, high):
            return f"from {_text(low)} to {_text(high)}"
        case Both(parts):
            return " and ".join(f"({_condition_text(part)})" for part in parts)
        case Either(parts):
            return " or ".join(f"({_condition_text(part)})" for part in parts)


def _key_text(key: tuple[Reference | None, ...]) -> str:
    return "/".join(_text(part) for part in key)


def _text(reference: Reference | None) -> str:
    match reference:
        case None:
            return "…"
        case Slot():
            return f"{'-' * reference.negative}literal {reference.number + 1}"
        case Parameter():
            return f"{'-' * reference.negative}parameter {reference.number + 1}"
        case Told():
            return f"{'-' * reference.negative}result{'s' * reference.listed} of query {reference.number + 1}"


def _facts_json(facts: StatementFacts) -> dict[str, Any]:
    tables = facts.tables
    values: dict[str, Any] = {
        "kind": facts.kind.value,
        "read": facts.read,
        "reason": facts.reason.value,
        "detail": facts.detail,
        "pins": sorted(pin.value for pin in facts.pins),
        "looks_back": facts.looks_back,
        "found_rows": facts.found_rows,
        "tables": None if tables is None else [f"{t.schema}.{t.name}" if t.schema else t.name for t in tables],
        "qualifiers": sorted(facts.qualifiers),
        "assignments": [f"{each.scope} {each.name}" for each in facts.assignments],
        "use_schema": facts.use_schema,
        "kill": list(facts.kill) if facts.kill else None,
        "function": facts.function,
        "multi": facts.multi,
        "local_infile": facts.local_infile,
        "versioned_comment": facts.has_versioned_comment,
        "vouchable": facts.vouchable,
        "harmless": facts.harmless and not facts.read,
        "hints": {name: value for name, value in _hints(facts).items() if value is not None},
    }
    return {key: value for key, value in values.items() if value not in (None, "", False, [], {}) or key == "read"}


def _hints(facts: StatementFacts) -> dict[str, Any]:
    hints = facts.hints
    return {
        "role": hints.role,
        "group": hints.group,
        "shard": hints.shard,
        "max_lag": hints.max_lag,
        "error": hints.error,
        "trace": hints.trace or None,
    }
