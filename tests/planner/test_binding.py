"""Literals and what they are worth; the shard of one execution."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from router.planner.binding import TextValues, bind, literal_value
from router.planner.cache import PlanCache
from router.planner.keys import Value
from router.planner.plan import Refused, Relay, Scattered, Sharded, Spread, Staged
from router.planner.routes import Parameter, Slot, Unplaced
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_context, shop_planner

PLAIN = LexMode()


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"5", 5),
        (b"007", 7),
        (b"1.50", Decimal("1.50")),
        (b".5", Decimal("0.5")),
        (b"5.", Decimal(5)),
        (b"'abc'", "abc"),
        (b"'it''s'", "it's"),
        (b'"it\'s"', "it's"),
        (b"''", ""),
        ("'ä'".encode(), "ä"),
    ],
)
def test_literals(raw: bytes, value: Value) -> None:
    assert literal_value(raw, PLAIN, "utf-8") == value


@pytest.mark.parametrize("raw", [b"1e3", b"0x41", b"0b1", b"1" * 65, b"'a\\nb'", b"'\xff'", b"5.5.5"])
def test_what_is_no_plain_value(raw: bytes) -> None:
    with pytest.raises(Unplaced):
        literal_value(raw, PLAIN, "utf-8")


def test_backslashes_without_escapes() -> None:
    assert literal_value(b"'a\\nb'", LexMode(no_backslash_escapes=True), None) == "a\\nb"


def test_text_in_an_unknown_character_set() -> None:
    with pytest.raises(Unplaced):
        literal_value("'ä'".encode(), PLAIN, None)


def test_slots() -> None:
    values = TextValues(b"SELECT 5, 'x', -7", PLAIN)
    assert [values.value(Slot(0)), values.value(Slot(1)), values.value(Slot(2, negative=True))] == [5, "x", -7]
    for reference in (Slot(1, negative=True), Slot(3), Parameter(0)):
        with pytest.raises(Unplaced):
            values.value(reference)


def bound(sql: str) -> Relay | Refused:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded), plan
    found = bind(plan, TextValues(sql.encode(), PLAIN), sql.encode(), PLAIN)
    assert not isinstance(found, Scattered | Spread | Staged)
    return found


@pytest.mark.parametrize(
    ("sql", "shard"),
    [
        ("SELECT * FROM customers WHERE id = 4", "s1"),
        ("SELECT * FROM customers WHERE id IN (4, 7)", "s1"),
        ("SELECT * FROM customers WHERE id = 4 AND id = 5", "s0"),
        ("SELECT * FROM customers c WHERE c.id = 4 AND EXISTS (SELECT 1 FROM items i WHERE i.customer_id = 7)", "s1"),
        ("SELECT * FROM regions", "s0"),
        ("INSERT INTO customers VALUES (4, 'x', 1), (7, 'y', 1)", "s1"),
        ("SELECT * FROM places WHERE code = 'nowhere'", "s0"),
    ],
)
def test_one_shard(sql: str, shard: str) -> None:
    plan = bound(sql)
    assert isinstance(plan, Relay), plan
    assert plan.shard == shard


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT JSON_ARRAYAGG(id) FROM customers WHERE id IN (4, 5)", 1235, "customers.id"),
        (
            "SELECT 1 FROM customers c WHERE id = 4 AND EXISTS (SELECT 1 FROM items WHERE customer_id = 5 AND n = c.n)",
            1235,
            "items",
        ),
        ("INSERT INTO customers VALUES (4, 'x', 1), (5, 'y', 1)", 1235, "several shards"),
        ("INSERT INTO customers VALUES ('4x', 'x', 1)", 1526, "'4x'"),
        ("INSERT INTO places VALUES ('IT', 'x')", 1526, "no default"),
    ],
)
def test_refusals(sql: str, code: int, words: str) -> None:
    plan = bound(sql)
    assert isinstance(plan, Refused), plan
    assert plan.error.code == code
    assert words in plan.error.message


def test_the_database_of_a_shard() -> None:
    plan = bound("SELECT * FROM customers WHERE id = 2")
    assert isinstance(plan, Relay)
    assert (plan.group, plan.shard, plan.database) == ("g2", "s2", "shop_2")


def scattered(sql: str) -> Scattered:
    plan = shop_planner().plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded), plan
    found = bind(plan, TextValues(sql.encode(), PLAIN), sql.encode(), PLAIN)
    assert isinstance(found, Scattered), found
    return found


def test_several_shards_and_no_more() -> None:
    found = scattered("SELECT id FROM customers WHERE id IN (4, 5)")
    assert [part.relay.shard for part in found.parts] == ["s1", "s2"]
    assert (found.limit, found.offset) == (None, 0)
    assert len(scattered("SELECT id FROM customers").parts) == 3


def test_limits_of_the_execution() -> None:
    found = scattered("SELECT id FROM customers ORDER BY id LIMIT 5 OFFSET 10")
    assert (found.limit, found.offset) == (5, 10)
    assert all(part.sql.endswith(b"LIMIT 15") for part in found.parts)


@pytest.mark.parametrize("limit", ["LIMIT 0", "LIMIT 7, 0"])
@pytest.mark.parametrize("grouped", ["", " GROUP BY name"])
def test_no_rows_are_asked_for_where_none_are_wanted(limit: str, grouped: str) -> None:
    found = scattered(f"SELECT COUNT(*) FROM customers{grouped} {limit}")
    assert all(part.sql.endswith(b"LIMIT 0") for part in found.parts)
    assert all(b"LIMIT" not in part.sql for part in scattered(f"SELECT COUNT(*) FROM customers{grouped} LIMIT 1").parts)


def test_a_limit_that_is_no_number() -> None:
    plan = shop_planner().plan(b"SELECT id FROM customers LIMIT ?", shop_context())
    assert isinstance(plan, Sharded)
    refused = bind(plan, TextValues(b"SELECT id FROM customers LIMIT ?", PLAIN), b"", PLAIN)
    assert isinstance(refused, Refused)
    assert "LIMIT" in refused.error.message


def test_the_text_of_a_shard_is_that_of_the_execution() -> None:
    """A plan serves every statement of its shape: literals of other lengths move what stands behind them."""
    plan = shop_planner().plan(b"SELECT id FROM customers WHERE id BETWEEN 7 AND 7 ORDER BY id LIMIT 3", shop_context())
    assert isinstance(plan, Sharded)
    sql = b"SELECT id FROM customers WHERE id BETWEEN 5 AND 2000000 ORDER BY id LIMIT 30"
    found = bind(plan, TextValues(sql, PLAIN), sql, PLAIN)
    assert isinstance(found, Scattered)
    assert found.parts[0].sql.split() == sql.split()


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT JSON_ARRAYAGG(id) FROM customers", "(line 1, column 8)"),
        ("SELECT id\n  FROM customers\n WHERE name = 'a'\n GROUP BY name, region", "(line 1, column 8)"),
        ("SELECT name FROM customers WHERE name = 'a'\n GROUP BY name HAVING COUNT(*) LIKE 1", "(line 2, column 23)"),
        ("SELECT name FROM customers WHERE name = 'abc' GROUP BY name HAVING COUNT(*) LIKE 1", "(line 1, column 68)"),
        ("SELECT name FROM customers WHERE name = 'a' GROUP BY name HAVING COUNT(*) LIKE 1", "(line 1, column 66)"),
        # Not one that a literal moves, when the plan says nothing but that it is refused.
        ("INSERT INTO customers (id, name) SELECT id, name FROM orders", "(line 1, column 41)"),
        ("INSERT INTO customers (id, name) VALUES (1, 'a'), (2, (SELECT 'b'))", None),
    ],
)
def test_where_a_refused_construct_stands(sql: str, place: str | None) -> None:
    planner, context = shop_planner(), shop_context()
    text = sql.encode()
    for _ in range(2):
        plan = planner.plan(text, context)
        bound = bind(plan, TextValues(text, context.mode), text, context.mode) if isinstance(plan, Sharded) else plan
        assert isinstance(bound, Refused)
        assert ("(line" in bound.error.message) is (place is not None)
        assert place is None or place in bound.error.message


@pytest.mark.parametrize(
    "sql", ["id = 5", "id = '5'", "id = 5.0", "id <=> -7", "id = '5x'", "id = NULL", "id = 5 AND name = 'x'"]
)
def test_the_shortest_way_is_the_usual_one(sql: str) -> None:
    text = f"SELECT name FROM customers WHERE {sql}".encode()
    plan = shop_planner().plan(text, shop_context())
    assert isinstance(plan, Sharded)
    detour = replace(plan, placement=replace(plan.placement, straight=None))
    values = TextValues(text, LexMode())
    found, usual = (bind(each, values, text, LexMode()) for each in (plan, detour))
    assert type(found) is type(usual)
    assert not isinstance(found, Relay) or found == usual


@pytest.mark.parametrize("before", ["", "/* a 7 */ ", "/*+ x */"])
@pytest.mark.parametrize(
    "value",
    ["5", "007", "5.0", "5e1", "0x5", "'5'", "5x", "12345678901234567890123", "5 OR id = 6", "5/*7*/", "-5", "x'35'"],
)
def test_the_text_at_hand_says_what_its_literals_say(value: str, before: str) -> None:
    """Also when the plan was made for another statement of the same shape."""
    scope = PlanCache(shop_planner()).scope("app", "shop", LexMode(), None)
    for each in ("1", value):
        text = f"SELECT {before}name FROM customers WHERE id = {each}".encode()
        plan = scope.lookup(text)
        assert isinstance(plan, Sharded)
        detour = replace(plan, placement=replace(plan.placement, straight=None))
        usual = bind(detour, TextValues(text, LexMode()), text, LexMode())
        straight = plan.placement.straight
        found = None if straight is None else straight.shard_of(text)
        assert found is not None or not each.isdigit() or len(each) > 19
        assert found is None or plan.relays[found] == usual
