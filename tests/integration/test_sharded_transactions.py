"""Transactions on several shards (``best_effort``): all of it or nothing, as far as servers let it be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from router.sandbox import ReplicaSet
from router.sandbox.replica_set import wait_until
from tests.fix_router import RunningRouter
from tests.integration.bank import ACCOUNTS, amounts, bank, fill, refused, rows, waits_for_a_lock
from tests.integration.twins import Session

pytestmark = pytest.mark.mysql
UNTOUCHED = dict.fromkeys(ACCOUNTS, 100)
# One account on each shard; the first and the last are on the same servers.
ON_EACH = (0, 1, 2)


@pytest.fixture
def router(
    mariadb_set: ReplicaSet,
    mysql_set: ReplicaSet,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> Iterator[RunningRouter]:
    """In front of a filled bank."""
    with bank(mariadb_set, mysql_set, tmp_path, "best_effort") as settings:
        running = start_router(settings)
        with running.connect(database="bank", autocommit=True) as connection:
            fill(connection)
        yield running


@pytest.fixture
def session(router: RunningRouter) -> Iterator[Connection]:
    """The session that does it."""
    with router.connect(database="bank", autocommit=True) as connection:
        yield connection


@pytest.fixture
def witness(router: RunningRouter) -> Iterator[Connection]:
    """A session that looks on."""
    with router.connect(database="bank", autocommit=True) as connection:
        yield connection


def pay(connection: Connection, *keys: int, amount: int = 10) -> None:
    """Take ``amount`` from each account."""
    for key in keys:
        rows(connection, f"UPDATE accounts SET amount = amount - {amount} WHERE id = {key}")


@pytest.mark.parametrize("begin", ["BEGIN", "SET autocommit = 0"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_all_shards_end_it_together(session: Connection, witness: Connection, begin: str, end: str) -> None:
    rows(session, begin)
    pay(session, *ON_EACH, *ON_EACH)
    inside = {**UNTOUCHED, 0: 80, 1: 80, 2: 80}
    assert amounts(session) == inside
    assert rows(session, "SELECT SUM(amount) FROM accounts") == [(840,)]
    assert [amount for key in ON_EACH for (amount,) in rows(session, f"SELECT amount FROM accounts WHERE id = {key}")]
    rows(session, "INSERT INTO notes (text) VALUES ('in the group of all other tables')")
    assert amounts(witness) == UNTOUCHED
    rows(session, end)
    expected = inside if end == "COMMIT" else UNTOUCHED
    assert amounts(session) == amounts(witness) == expected
    assert rows(witness, "SELECT COUNT(*) FROM notes") == [(int(end == "COMMIT"),)]
    rows(session, "SET autocommit = 1")
    pay(session, 3)
    assert amounts(witness) == {**expected, 3: 90}, "nothing is open any more"


def test_it_may_begin_with_a_read_of_all(session: Connection, witness: Connection) -> None:
    rows(session, "BEGIN")
    assert rows(session, "SELECT id FROM accounts ORDER BY id LIMIT 2") == [(0,), (1,)]
    pay(session, *ON_EACH)
    rows(witness, "UPDATE accounts SET amount = 0 WHERE id = 5")
    assert amounts(session)[5] == 100, "what it has read it reads again"
    rows(session, "ROLLBACK")
    assert amounts(witness) == {**UNTOUCHED, 5: 0}


def test_queries_inside_a_statement_see_what_it_has_done(session: Connection, witness: Connection) -> None:
    rich = "SELECT id FROM accounts WHERE amount = (SELECT MAX(amount) FROM accounts)"
    rows(session, "BEGIN")
    pay(session, 1, amount=-1000)
    assert rows(session, rich) == [(1,)]
    assert len(rows(witness, rich)) == len(ACCOUNTS)
    assert rows(session, "SELECT COUNT(*) FROM accounts WHERE amount IN (SELECT amount FROM accounts)") == [
        (len(ACCOUNTS),)
    ]
    rows(session, "ROLLBACK")
    assert len(rows(session, rich)) == len(ACCOUNTS)


def test_savepoints_are_on_all_of_them(session: Connection, witness: Connection) -> None:
    rows(session, "BEGIN")
    pay(session, 0)
    rows(session, "SAVEPOINT a")
    pay(session, 1)
    rows(session, "SAVEPOINT b")
    pay(session, 0, 1, 2)
    rows(session, "ROLLBACK TO b")
    assert amounts(session) == {**UNTOUCHED, 0: 90, 1: 90}
    pay(session, 2)
    rows(session, "ROLLBACK TO SAVEPOINT a")
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(session, "ROLLBACK TO b")
    assert caught.value.args[0] == 1305
    pay(session, 4)
    rows(session, "RELEASE SAVEPOINT a")
    rows(session, "COMMIT")
    assert amounts(witness) == {**UNTOUCHED, 0: 90, 4: 90}


def test_a_statement_that_fails_ends_nothing(session: Connection, witness: Connection) -> None:
    rows(session, "BEGIN")
    pay(session, 0)
    for wrong in (
        "INSERT INTO accounts VALUES (1, 0)",
        "SELECT nothing FROM accounts WHERE id = 1",
        "SELECT x FROM accounts",
    ):
        with pytest.raises(pymysql.MySQLError):
            rows(session, wrong)
    assert "may end it" in refused(session, "TRUNCATE notes")
    assert "may end it" in refused(session, "SET autocommit = 1")
    assert "CHAIN" in refused(session, "COMMIT AND CHAIN")
    pay(session, 1)
    rows(session, "COMMIT")
    assert amounts(witness) == {**UNTOUCHED, 0: 90, 1: 90}


def test_begin_commits_what_is_open(session: Connection, witness: Connection) -> None:
    rows(session, "BEGIN")
    pay(session, *ON_EACH)
    rows(session, "START TRANSACTION")
    pay(session, *ON_EACH)
    rows(session, "ROLLBACK")
    assert amounts(witness) == {**UNTOUCHED, 0: 90, 1: 90, 2: 90}


@pytest.mark.parametrize("then", ["COMMIT", "SAVEPOINT a", "read of one", "read of all"])
def test_a_lost_connection_rolls_all_of_it_back(
    session: Connection, witness: Connection, mysql_set: ReplicaSet, then: str
) -> None:
    rows(session, "BEGIN")
    pay(session, 1)
    thread = dict(rows(session, "SHOW SESSION STATE"))["server_connection"]
    pay(session, 0, 2)
    mysql_set.primary.execute("KILL %s", (int(thread),))
    there = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE id = {int(thread)}"
    wait_until(lambda: mysql_set.primary.value(there) == 0, 20, "the end of the connection")
    rows(witness, "SELECT 1")  # by then the router has heard of it
    statement = {"read of one": "SELECT amount FROM accounts WHERE id = 1", "read of all": "SELECT * FROM accounts"}
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(session, statement.get(then, then))
    assert caught.value.args[0] == 1213, caught.value
    assert amounts(session) == amounts(witness) == UNTOUCHED


def test_a_deadlock_rolls_all_of_it_back(session: Connection, witness: Connection, router: RunningRouter) -> None:
    with router.connect(database="bank", autocommit=True) as other:
        rows(session, "BEGIN")
        pay(session, 0, 1)
        rows(other, "BEGIN")
        for key in (4, 7):
            pay(other, key)
        # The smaller of the two is the victim of the server that sees them wait for each other.
        other._execute_command(3, "UPDATE accounts SET amount = 0 WHERE id = 1")
        with pytest.raises(pymysql.MySQLError) as caught:
            pay(session, 4)
        assert caught.value.args[0] == 1213
        other._read_query_result()
        rows(other, "ROLLBACK")
    pay(session, 2)
    assert amounts(witness) == {**UNTOUCHED, 2: 90}, "the transaction has ended, on all shards"


def test_prepared_statements_take_part(session: Connection, witness: Connection) -> None:
    mine = Session(session)
    mine.prepare("begin", "BEGIN")
    mine.prepare("pay", "UPDATE accounts SET amount = amount - ? WHERE id = ?")
    mine.prepare("commit", "COMMIT")
    mine.prepare("rollback", "ROLLBACK")
    for end in ("rollback", "commit"):
        mine.execute("begin")
        for key in (*ON_EACH, *ON_EACH):
            assert mine.execute("pay", 5, key)[0][:2] == b"\0\1"
        mine.execute(end)
        assert amounts(witness) == (UNTOUCHED if end == "rollback" else {**UNTOUCHED, 0: 90, 1: 90, 2: 90})


def test_who_leaves_leaves_nothing(router: RunningRouter, witness: Connection) -> None:
    with router.connect(database="bank", autocommit=True) as leaving:
        rows(leaving, "BEGIN")
        pay(leaving, *ON_EACH)
    with router.connect(database="bank", autocommit=True) as again:
        rows(again, "SET innodb_lock_wait_timeout = 5")
        pay(again, *ON_EACH)
    assert amounts(witness) == {**UNTOUCHED, 0: 90, 1: 90, 2: 90}


def test_other_sessions_state_stays_where_it_is(session: Connection) -> None:
    rows(session, "BEGIN")
    pay(session, 0)
    rows(session, "CREATE TEMPORARY TABLE mine (a INT)")
    assert "temporary_table" in refused(session, "SELECT amount FROM accounts WHERE id = 1")
    rows(session, "ROLLBACK")


def test_rows_of_all_shards_are_locked(session: Connection, router: RunningRouter) -> None:
    rows(session, "BEGIN")
    assert rows(session, "SELECT id FROM accounts WHERE id IN (3, 4, 5) ORDER BY id FOR UPDATE") == [(3,), (4,), (5,)]
    with router.connect(database="bank", autocommit=True) as other:
        rows(other, "SET innodb_lock_wait_timeout = 1")
        for key in (3, 4, 5):
            with pytest.raises(pymysql.MySQLError) as caught:
                pay(other, key)
            assert caught.value.args[0] == 1205
        pay(session, 3, 4, 5)
        rows(session, "COMMIT")
        pay(other, 3, 4, 5)
        assert amounts(other) == {**UNTOUCHED, 3: 80, 4: 80, 5: 80}


def test_kill_query_of_a_read_of_all(
    session: Connection, router: RunningRouter, witness: Connection, mysql_set: ReplicaSet
) -> None:
    rows(session, "BEGIN")
    pay(session, 1, 3)
    (number,) = rows(session, "SELECT CONNECTION_ID()")[0]
    with router.connect(database="bank") as locker, ThreadPoolExecutor() as pool:
        rows(locker, "BEGIN")
        rows(locker, "SELECT id FROM accounts WHERE id = 4 FOR UPDATE")
        waiting = pool.submit(rows, session, "SELECT id FROM accounts ORDER BY id FOR UPDATE")
        wait_until(lambda: waits_for_a_lock(mysql_set.primary), 20, "a read that waits")
        rows(locker, f"KILL QUERY {number}")
        with pytest.raises(pymysql.MySQLError, match="1317"):
            waiting.result(20)
        rows(locker, "ROLLBACK")
    rows(session, "COMMIT")
    assert amounts(witness) == {**UNTOUCHED, 1: 90, 3: 90}
