"""What is sent in front of a statement: the database, the variables, what opens its transaction."""

from __future__ import annotations

from dataclasses import replace

from router.engine.matching import at_home, commands_for, schema_of
from tests.engine.bench import Bench
from tests.fakes import new_connection


def test_the_database_of_the_plan_comes_first() -> None:
    bench = Bench(schema="shop")
    plan = bench.plan("SELECT 1")
    assert schema_of(plan, None, bench.session) == "shop"
    there = replace(plan, database="shop_1")
    assert schema_of(there, None, bench.session) == "shop_1"
    assert at_home(plan, "blog", bench.services) is None, "it lives in another group"
    assert at_home(there, "blog", bench.services) == "shop_1"


def test_only_what_differs_is_sent() -> None:
    bench = Bench(schema="shop")
    plan = bench.plan("SELECT 1")
    connection = new_connection()
    connection.variables = bench.session.variables
    commands = commands_for(plan, None, connection, bench.session, bench.services, [])
    assert [command[4:] for command in commands] == [b"\x02shop"]
    assert commands_for(plan, None, connection, bench.session, bench.services, []) == []
    use = bench.plan("USE nowhere")
    connection.schema = "gone"
    assert commands_for(use, None, connection, bench.session, bench.services, []) == []


def test_what_opens_the_transaction_comes_last_and_once() -> None:
    bench = Bench()
    bench.session.open_later(b"START TRANSACTION")
    connection = new_connection()
    connection.variables = bench.session.variables
    anywhere = replace(bench.plan("SELECT 1"), anywhere=True)
    assert commands_for(anywhere, None, connection, bench.session, bench.services, []) == []
    plan = bench.plan("UPDATE t SET a = 1")
    commands = commands_for(plan, None, connection, bench.session, bench.services, ["SET last_insert_id = 1"])
    assert [command[4:] for command in commands] == [b"\x03SET last_insert_id = 1", b"\x03START TRANSACTION"]
    assert bench.session.opening is None
    assert bench.session.spans
