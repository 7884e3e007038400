"""Random SELECTs over the tables of ``data``, as Hypothesis strategies that shrink towards the simplest.

What they return is fixed by what they say: LIMIT comes with an order of all rows, and where one of several equal texts
stands for a group, the collation tells them all apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.differential.compare import Order


@dataclass(frozen=True, slots=True)
class Table:
    """A table to choose from: its sharding key, the columns that make a row unique, and others by kind."""

    name: str
    key: str | None
    unique: tuple[str, ...]
    numbers: tuple[str, ...]
    exact: tuple[str, ...]
    texts: tuple[str, ...]


TABLES = (
    Table(
        "customers",
        "id",
        ("id",),
        ("id", "region_id", "balance", "points", "score"),
        ("level", "born", "tag", "joined", "flags"),
        ("name", "city"),
    ),
    Table(
        "orders",
        "customer_id",
        ("customer_id", "id"),
        ("customer_id", "id", "total", "ref", "discount"),
        ("created",),
        ("status",),
    ),
    Table(
        "items",
        "customer_id",
        ("customer_id", "order_id", "line"),
        ("customer_id", "order_id", "line", "quantity", "price"),
        ("shipped",),
        ("product",),
    ),
    Table("regions", None, ("id",), ("id",), ("country",), ("name",)),
    Table("codes", "code", ("code",), ("n", "customer_id"), (), ("code",)),
    Table("events", "id", ("id",), ("id", "n"), ("at",), ("kind",)),
    Table("levels", "id", ("id", "step"), ("id", "step", "score"), ("title",), ()),
    Table("places", "country", ("country", "id"), ("id", "size"), ("opened",), ("country",)),
    Table("prices", "country", ("country", "id"), ("id", "price"), ("country", "valid"), ()),
)
_LITERALS = {
    "id": ("7", "'7'", "8", "0", "-7", "290", "1000", "7.5", "'9x'", "NULL"),
    "tag": ("'a'", "'A'", "'b'", "''", "'a '", "'é'", "NULL"),
    "born": ("'1955-03-04'", "'1960-01-01'", "'1974-01-01'"),
    "joined": ("'2015-01-01'", "'2016-06-01 12:00:00'"),
    "created": ("'2020-06-01'", "'2021-01-01 00:00:00'"),
    "shipped": ("'2020-06-01'", "'2021-01-01'"),
    "level": ("'gold'", "'silver'", "2"),
    "flags": ("'red'", "'red,blue'", "0", "''"),
    "country": ("'de'", "'DE'", "'fr'", "'at'", "'de '"),
    "opened": ("'2020-01-20'", "'2020-02-20'"),
    "valid": ("'2021-01-10'", "'2021-01-20'"),
    "at": ("'2020-01-20'", "'2020-02-20 12:00:00'"),
    "title": ("'a'", "'b'", "''"),
    "kind": ("'new'", "'paid'", "''"),
    "name": ("'anna'", "'Zoe'", "'north'", "''", "'ß'", "'müller '"),
    "city": ("'paris'", "'Köln'", "''", "'z'"),
    "status": ("'new'", "'paid'", "''"),
    "product": ("'pen'", "'PAPER'", "''"),
    "code": ("'X01'", "'x01 '", "'a00'", "'ä01'", "'b'"),
}
_DOUBLES = ("score", "discount")
# Most are of one family.
_CHOICE = (*TABLES[:3] * 4, *TABLES)
# What stands alone in FROM.
_ALONE = (*TABLES[:3], *TABLES)
_IDS = ("id", "customer_id", "ref", "order_id")
_SMALL = ("1", "2", "0", "3", "NULL", "100", "0.25", "-1", "5000")


@dataclass(frozen=True, slots=True)
class Source:
    """A table in FROM under an alias; ``optional``: on that side of an outer join."""

    table: Table
    alias: str

    def column(self, name: str) -> str:
        """The column's full name."""
        return f"{self.alias}.{name}"


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, and what is fixed of the order of its rows."""

    sql: str
    order: Order


@st.composite
def literals(draw: st.DrawFn, column: str) -> str:
    """A value that may stand beside a column."""
    name = column.rpartition(".")[2]
    return draw(st.sampled_from(_LITERALS.get("id" if name in _IDS else name, _SMALL)))


@st.composite
def columns(draw: st.DrawFn, sources: Sequence[Source], kinds: str = "net") -> str:
    """A column: of (n)umbers, (e)xact values, (t)exts."""
    source = draw(st.sampled_from(sources))
    table = source.table
    names = table.numbers * ("n" in kinds) + table.exact * ("e" in kinds) + table.texts * ("t" in kinds)
    return source.column(draw(st.sampled_from(names or table.unique)))


@st.composite
def predicates(draw: st.DrawFn, sources: Sequence[Source], depth: int = 2) -> str:
    """A condition on what the sources hold."""
    kind = draw(
        st.sampled_from(("key", "key", "plain", "plain", "and", "or", "not", "in", "exists", "scalar", "alone"))
    )
    if depth == 0 and kind not in ("key", "plain"):
        kind = "plain"
    if kind in ("and", "or"):
        pair = (draw(predicates(sources, depth - 1)), draw(predicates(sources, depth - 1)))
        return f"({f' {kind.upper()} '.join(pair)})"
    if kind == "not":
        return f"NOT ({draw(predicates(sources, depth - 1))})"
    if kind == "alone":
        return draw(uncorrelated(sources))
    if kind in ("in", "exists", "scalar"):
        return draw(subqueries(sources, kind))
    keyed = [source.column(source.table.key) for source in sources if source.table.key is not None]
    column = draw(st.sampled_from(keyed)) if kind == "key" and keyed else draw(columns(sources))
    return draw(comparisons(column))


@st.composite
def comparisons(draw: st.DrawFn, column: str) -> str:
    """A condition on one column."""
    values = literals(column)
    match draw(st.sampled_from(("=", "<", ">=", "<>", "<=>", "IN", "BETWEEN", "NULL"))):
        case "IN":
            listed = ", ".join(draw(st.lists(values, min_size=1, max_size=4)))
            return f"{column} {draw(st.sampled_from(('IN', 'NOT IN')))} ({listed})"
        case "BETWEEN":
            return f"{column} {draw(st.sampled_from(('', 'NOT ')))}BETWEEN {draw(values)} AND {draw(values)}"
        case "NULL":
            return f"{column} {draw(st.sampled_from(('IS NULL', 'IS NOT NULL')))}"
        case operator:
            return f"{column} {operator} {draw(values)}"


@st.composite
def subqueries(draw: st.DrawFn, sources: Sequence[Source], kind: str) -> str:
    """A condition with a query inside, tied to the outer row or not."""
    outer = draw(st.sampled_from(sources))
    inner = Source(draw(st.sampled_from(_CHOICE)), f"s{draw(st.integers(0, 99))}")
    held = draw(st.sampled_from(("1 = 1", "", "")))
    where = [held or draw(comparisons(draw(columns([inner]))))]
    if kind == "in":
        left, right = _pair(draw, outer, inner)
        if draw(st.booleans()):
            where.append(draw(_ties(outer, inner)))
        return (
            f"{left} {draw(st.sampled_from(('IN', 'NOT IN')))} "
            f"(SELECT {right} FROM {inner.table.name} {inner.alias} WHERE {' AND '.join(where)})"
        )
    if draw(st.integers(0, 7)) < 7:
        where.append(draw(_ties(outer, inner)))
    body = f"FROM {inner.table.name} {inner.alias} WHERE {' AND '.join(where)}"
    if kind == "exists":
        return f"{draw(st.sampled_from(('EXISTS', 'NOT EXISTS')))} (SELECT 1 {body})"
    value = draw(st.sampled_from(("COUNT(*)", f"MAX({inner.column(inner.table.unique[-1])})")))
    return f"(SELECT {value} {body}) {draw(st.sampled_from(('>', '=', '<')))} {draw(st.sampled_from(('2', '0', '50')))}"


@st.composite
def uncorrelated(draw: st.DrawFn, sources: Sequence[Source]) -> str:
    """A condition with a query inside that has nothing to do with the row around it."""
    source = draw(st.sampled_from(sources))
    inner = Source(draw(st.sampled_from((source.table, *_CHOICE))), f"s{draw(st.integers(0, 99))}")
    kind = draw(st.sampled_from("nnnett"))
    column, other = draw(columns([source], kind)), draw(columns([inner], kind))
    held = draw(comparisons(draw(columns([inner]))))
    if draw(st.booleans()):
        held += f" AND {draw(comparisons(draw(columns([inner]))))}"
    body = f"FROM {inner.table.name} {inner.alias} WHERE {held}"
    operator = draw(st.sampled_from(("=", "<>", "<", ">=", "<=>")))
    unique = ", ".join(inner.column(each) for each in inner.table.unique)
    match draw(st.integers(0, 7)):
        case 0 | 1:
            # MariaDB finds rows that are NOT IN a query with NULLs when their value does not fit its type (points).
            ways = ("IN", "= ANY") if column.endswith(".points") else ("IN", "NOT IN", "= ANY", "<> ALL")
            return f"{column} {draw(st.sampled_from(ways))} (SELECT {other} {body})"
        case 2:
            return f"{draw(st.sampled_from(('EXISTS', 'NOT EXISTS')))} (SELECT {other} {body})"
        case 3:
            return f"{column} {operator} (SELECT {other} {body} ORDER BY {unique} LIMIT 1)"
        case 4:
            return f"{column} + (SELECT COUNT(*) {body}) {operator} (SELECT MIN({other}) {body})"
        case 5:
            return f"COALESCE((SELECT MAX({other}) {body}), 7.25) {operator} {column}"
        case _:
            return f"{column} {operator} (SELECT {draw(st.sampled_from(('MIN', 'MAX', 'AVG', 'SUM')))}({other}) {body})"


def _pair(draw: st.DrawFn, outer: Source, inner: Source) -> tuple[str, str]:
    if outer.table in TABLES[:3] and inner.table in TABLES[:3] and draw(st.integers(0, 15)) < 15:
        assert outer.table.key is not None
        assert inner.table.key is not None
        return outer.column(outer.table.key), inner.column(inner.table.key)
    return draw(columns([outer], "n")), draw(columns([inner], "n"))


@st.composite
def _ties(draw: st.DrawFn, left: Source, right: Source) -> str:
    """What ties two sources together."""
    one, other = _pair(draw, left, right)
    return f"{other} {draw(st.sampled_from(('=', '=', '=', '<=>')))} {one}"


@st.composite
def sources_of(draw: st.DrawFn) -> tuple[list[Source], str]:
    """FROM: one to three tables, most of them joined by their keys."""
    more = draw(st.sampled_from((0, 0, 0, 1, 1, 2)))
    found = [Source(draw(st.sampled_from(_CHOICE if more else _ALONE)), "a")]
    text = f"{found[0].table.name} a"
    for alias in "bc"[:more]:
        source = Source(draw(st.sampled_from(_CHOICE)), alias)
        tie = draw(_ties(draw(st.sampled_from(found)), source))
        if draw(st.sampled_from((False, False, True))):
            tie += f" AND {draw(comparisons(draw(columns([*found, source]))))}"
        name = draw(st.sampled_from((source.table.name, source.table.name, "derived")))
        if name == "derived":
            held = draw(comparisons(draw(columns([Source(source.table, "d")]))))
            name = f"(SELECT * FROM {source.table.name} d WHERE {held})"
        text += f" {draw(st.sampled_from(('JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN')))} {name} {alias} ON {tie}"
        found.append(source)
    return found, text


@st.composite
def aggregates(draw: st.DrawFn, sources: Sequence[Source]) -> str:
    """An aggregate whose value is the same in any order of the rows."""
    number, exact = draw(columns(sources, "n")), draw(columns(sources, "ne"))
    any_ = draw(columns(sources))
    return draw(
        st.sampled_from(
            (
                "COUNT(*)",
                f"COUNT({exact})",
                f"SUM({number})",
                f"MIN({exact})",
                f"MAX({exact})",
                f"AVG({number})",
                f"COUNT(DISTINCT {any_})",
                f"SUM(DISTINCT {number})",
                f"AVG(DISTINCT {number})",
                f"SUM({number}) + COUNT(*)",
                f"SUM({number}) / COUNT(*)",
                f"ROUND(AVG({number}), 1)",
                f"COALESCE(SUM({number}), 0) * 2 - 1",
                f"BIT_XOR({number})",
                f"SUM(CASE WHEN {exact} IS NULL THEN 1 ELSE 0 END)",
                "'x'",
            )
        )
    )


@st.composite
def expressions(draw: st.DrawFn, sources: Sequence[Source], *, exact: bool = False) -> str:
    """An expression of one column; ``exact``: of which equal values are written alike."""
    number, text = draw(columns(sources, "n")), draw(columns(sources, "e" if exact else "et"))
    if exact and number.rpartition(".")[2] in _DOUBLES:
        number = sources[0].column(sources[0].table.unique[-1])  # 0 and -0 are equal
    return draw(
        st.sampled_from(
            (
                f"{number} % 3",
                f"{number} + 1",
                f"-{number}",
                f"{number} IS NULL",
                f"COALESCE({number}, 0)",
                f"FLOOR({number} / 10)",
                f"CASE WHEN {number} > 2 THEN 'b' ELSE 'A' END",
                f"CONCAT({text}, '-')",
                f"COALESCE({text}, 'none')",
                f"LENGTH({text})",
            )
        )
    )


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """A SELECT."""
    sources, tables = draw(sources_of())
    where = f" WHERE {draw(predicates(sources))}" if draw(st.booleans()) else ""
    body = f"FROM {tables}{where}"
    kind = draw(
        st.sampled_from(
            ("rows", "rows", "distinct", "total", "groups", "groups", "groups", "window", "derived", "union")
        )
    )
    if kind == "derived":
        inner, tie = draw(st.sampled_from(sources)), draw(aggregates(sources))
        columns_ = ", ".join(f"{inner.column(name)} AS {name}" for name in inner.table.unique)
        grouped = ", ".join(inner.column(name) for name in inner.table.unique)
        having = draw(st.sampled_from(("", " WHERE t.v > 1", f" WHERE t.{inner.table.unique[0]} = 7")))
        outer = draw(st.sampled_from(("COUNT(*), SUM(t.v)", "t.*", f"t.{inner.table.unique[0]}, COUNT(*)")))
        last = f" GROUP BY t.{inner.table.unique[0]}" if outer.endswith(", COUNT(*)") else ""
        inside = f"SELECT {columns_}, {tie} AS v {body} GROUP BY {grouped}"
        return Query(f"SELECT {outer} FROM ({inside}) t{having}{last}", Order())
    if kind == "total":
        return Query(f"SELECT {_listed(draw(st.lists(aggregates(sources), min_size=1, max_size=3)))} {body}", Order())
    if kind == "groups":
        return draw(_groups(sources, body))
    if kind == "union":
        return draw(_union(sources, body))
    return draw(_plain(sources, body, kind))


def _listed(items: Sequence[str], first: int = 0) -> str:
    return ", ".join(f"{item} AS v{number}" for number, item in enumerate(items, start=first))


@st.composite
def _groups(draw: st.DrawFn, sources: Sequence[Source], body: str) -> Query:
    keys = draw(st.lists(columns(sources, "ne"), min_size=1, max_size=2, unique=True))
    if draw(st.booleans()):
        keys[0] = draw(expressions(sources, exact=True))
    values = draw(st.lists(aggregates(sources), min_size=1, max_size=2))
    if "'x'" not in values and draw(st.booleans()):
        values.append(f"COALESCE({keys[-1]}, 0)")
    named = [draw(st.sampled_from((each, f"v{number}", str(number + 1)))) for number, each in enumerate(keys)]
    text = f"SELECT {_listed([*keys, *values])} {body} GROUP BY {', '.join(named)}{draw(_having(keys, values))}"
    if draw(st.booleans()):
        return Query(text, Order())
    terms = [
        f"{draw(st.sampled_from((each, f'v{number}', str(number + 1))))}{draw(_directions())}"
        for number, each in enumerate(keys)
    ]
    if draw(st.booleans()):
        first = draw(st.sampled_from((f"v{len(keys)}", str(len(keys) + 1), "COUNT(*)", values[0])))
        terms.insert(0, f"{first}{draw(_directions())}")
    return Query(f"{text} ORDER BY {', '.join(terms)}{draw(_limits())}", Order(total=True))


@st.composite
def _having(draw: st.DrawFn, keys: Sequence[str], values: Sequence[str]) -> str:
    value = draw(st.sampled_from((*values, "COUNT(*)", f"v{len(keys)}", *keys)))
    bounds = [draw(st.sampled_from(_SMALL)) for _ in range(2)]
    choices = (
        "",
        "",
        " HAVING COUNT(*) > 2",
        f" HAVING {value} > {bounds[0]}",
        f" HAVING {value} BETWEEN {bounds[0]} AND {bounds[1]}",
        f" HAVING NOT ({value} <= {bounds[0]} OR COUNT(*) IN (1, {bounds[1]}))",
        f" HAVING {value} IS NOT NULL AND COUNT(*) * 2 < 50",
    )
    return draw(st.sampled_from(choices))


@st.composite
def _union(draw: st.DrawFn, sources: Sequence[Source], body: str) -> Query:
    """A UNION of two SELECTs of as many columns."""
    others, tables = draw(sources_of())
    count = draw(st.integers(1, 2))
    kinds = [draw(st.sampled_from(("n", "n", "e"))) for _ in range(count)]
    one, two = (", ".join(draw(columns(each, kind)) for kind in kinds) for each in (sources, others))
    where = f" WHERE {draw(predicates(others))}" if draw(st.booleans()) else ""
    word = draw(st.sampled_from(("UNION ALL", "UNION", "UNION DISTINCT")))
    text = f"SELECT {one} {body} {word} SELECT {two} FROM {tables}{where}"
    if draw(st.booleans()):
        return Query(text, Order())
    order = ", ".join(f"{position + 1}{draw(_directions())}" for position in range(count))
    return Query(f"{text} ORDER BY {order}{draw(_limits())}", Order(total=True))


@st.composite
def _directions(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(("", "", " DESC", " ASC")))


@st.composite
def _limits(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(("", " LIMIT 3", " LIMIT 10 OFFSET 4", " LIMIT 2, 5", " LIMIT 0")))


@st.composite
def _plain(draw: st.DrawFn, sources: Sequence[Source], body: str, kind: str) -> Query:
    distinct = kind == "distinct"
    items = draw(st.lists(columns(sources, "ne" if distinct else "net"), min_size=1, max_size=3, unique=True))
    texts = list(items)
    if draw(st.sampled_from((False, False, True))):
        texts.append(draw(expressions(sources, exact=distinct)))
    if kind == "window":
        part = draw(columns(sources, "ne"))
        texts.append(draw(st.sampled_from((f"COUNT(*) OVER (PARTITION BY {part})", "COUNT(*) OVER ()"))))
    text = f"SELECT {'DISTINCT ' * distinct}{_listed(texts)} {body}"
    if draw(st.booleans()):
        return Query(text, Order())
    if distinct:
        terms = [draw(st.sampled_from((f"v{number}", str(number + 1)))) for number in range(len(texts))]
    else:
        strategy = st.one_of(columns(sources), expressions(sources), st.sampled_from(("1", "v0")))
        terms = [draw(strategy) for _ in range(draw(st.integers(0, 2)))]
        terms += [source.column(name) for source in sources for name in source.table.unique]
    ordered = ", ".join(f"{each}{draw(_directions())}" for each in terms)
    return Query(f"{text} ORDER BY {ordered}{draw(_limits())}", Order(total=True))
