"""The failure contract as a table."""

from __future__ import annotations

import pytest

from router.engine.failure import Verdict, after_loss
from router.errors import BackendUnavailable
from router.sql.analyze import analyze
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.sql.lexer import LexMode


def found(sql: str) -> StatementFacts:
    return analyze(sql.encode(), LexMode())


SET = found("SET NAMES utf8mb4, @a = 1")
USE = found("USE shop")
READ = StatementFacts(StatementKind.SELECT, True, Reason.READ)
SELECT = StatementFacts(StatementKind.SELECT, False, Reason.USER_VARIABLE)
WRITE = StatementFacts(StatementKind.UPDATE, False, Reason.WRITE)
COMMIT = StatementFacts(StatementKind.COMMIT, False, Reason.TRANSACTION)
DDL = StatementFacts(StatementKind.DDL, False, Reason.DDL)
SEVERAL = StatementFacts(StatementKind.MULTI, False, Reason.MULTI_STATEMENT, multi=True)


def shown(verdict: Verdict) -> str:
    """Whether it is tried again, the error (if that fails), what follows from it, and whether the session ends."""
    error = verdict.error
    words = ["retry"] if verdict.retry else []
    if error is None:
        words.append("cut")
    else:
        words.append(str(error.code))
        words += [word for word in ("unknown", "gone", "rolled back") if word in error.message]
    return " ".join(words + ["close"] * verdict.close)


@pytest.mark.parametrize("facts", [READ, SELECT, WRITE, COMMIT, DDL, SEVERAL])
@pytest.mark.parametrize(("transaction", "pinned"), [(False, False), (True, False), (False, True), (True, True)])
def test_nothing_follows_part_of_an_answer(facts: StatementFacts, transaction: bool, pinned: bool) -> None:
    verdict = after_loss(facts, "db1", sent=True, forwarded=True, transaction=transaction, pinned=pinned)
    assert shown(verdict) == "cut"


@pytest.mark.parametrize(
    ("facts", "sent", "kept", "expected"),
    [
        (READ, True, "", "retry 2013"),
        (READ, True, "transaction", "1213 rolled back"),
        (READ, True, "pin", "2013 gone close"),
        (SELECT, True, "", "2013 unknown close"),
        (WRITE, True, "", "2013 unknown close"),
        (WRITE, True, "transaction", "1213 rolled back"),
        (WRITE, True, "pin", "2013 gone close"),
        (WRITE, True, "transaction pin", "2013 gone close"),
        (SET, True, "", "retry 2013"),
        (SET, True, "transaction", "1213 rolled back"),
        (USE, True, "transaction", "1213 rolled back"),
        (found("SET autocommit = 1"), True, "transaction", "2013 unknown close"),
        (found("SET autocommit = 1"), True, "", "retry 2013"),
        (found("SET PASSWORD = 'x'"), True, "transaction", "2013 unknown close"),
        (found("SET GLOBAL max_connections = 5"), True, "transaction", "2013 unknown close"),
        (found("SET STATEMENT max_statement_time = 1 FOR COMMIT"), True, "transaction", "2013 unknown close"),
        (USE, True, "", "retry 2013"),
        (found("SET GLOBAL max_connections = 5"), True, "", "2013 unknown close"),
        (found("SET @id = LAST_INSERT_ID()"), True, "", "2013 unknown close"),
        (found("SET @a = GET_LOCK('a', 1)"), True, "", "2013 unknown close"),
        (found("SET @a = stored(1)"), True, "", "2013 unknown close"),
        (found("SET RESOURCE GROUP batch FOR 5"), True, "", "2013 unknown close"),
        (found("SET @a = 1; SET @b = 2"), True, "", "2013 unknown close"),
        (found("SET STATEMENT max_statement_time = 1 FOR DELETE FROM t"), True, "", "2013 unknown close"),
        (COMMIT, True, "", "2013 unknown close"),
        (COMMIT, True, "transaction", "2013 unknown close"),
        (COMMIT, True, "transaction pin", "2013 unknown close"),
        (DDL, True, "transaction", "2013 unknown close"),
        (SEVERAL, True, "transaction", "2013 unknown close"),
        (READ, False, "", "retry 2003"),
        (WRITE, False, "", "retry 2003"),
        (COMMIT, False, "transaction", "1213 rolled back"),
        (DDL, False, "transaction", "1213 rolled back"),
        (WRITE, False, "pin", "2013 gone close"),
        (COMMIT, False, "transaction pin", "2013 gone close"),
    ],
)
def test_the_contract(facts: StatementFacts, sent: bool, kept: str, expected: str) -> None:
    verdict = after_loss(
        facts,
        "the connection to server db1 was lost",
        BackendUnavailable("server db1: refused"),
        sent=sent,
        forwarded=False,
        transaction="transaction" in kept,
        pinned="pin" in kept,
    )
    assert shown(verdict) == expected
    assert verdict.error is not None
    assert "db1" in verdict.error.message
