"""The prepared statements of one server connection: found by what they mean, and not too many of them."""

from __future__ import annotations

import gc

import pytest

from router.backend import statements
from router.backend.statements import ServerStatements, StatementText
from router.session.variables import VariableSet
from router.wire.framing import frame

ANSI = VariableSet.of({"sql_mode": "ANSI_QUOTES"})
PLAIN = VariableSet.of({})


def text(sql: str, schema: str | None = "shop", variables: VariableSet = PLAIN) -> StatementText:
    """A statement's text."""
    return StatementText.of(frame(b"\x16" + sql.encode(), 0), schema, variables)


def closed(*statement_ids: int) -> bytes:
    """The commands that close statements."""
    return b"".join(frame(b"\x19" + each.to_bytes(4, "little"), 0) for each in statement_ids)


def test_the_same_text_under_the_same_circumstances_is_the_same_statement() -> None:
    assert text("SELECT 1") is text("SELECT 1")
    assert text("SELECT 1") is not text("SELECT 2")
    assert text("SELECT 1") is not text("SELECT 1", schema="blog")
    assert text("SELECT 1") is not text("SELECT 1", schema=None)
    assert text("SELECT 1") is not text("SELECT 1", variables=ANSI)


def test_what_matters_only_when_it_runs_does_not_make_a_difference() -> None:
    assert text("SELECT 1", variables=VariableSet.of({"autocommit": "OFF", "tx_isolation": "SERIALIZABLE"})) is text(
        "SELECT 1"
    )


def test_preparing_again_never_touches_autocommit() -> None:
    """Switching it on in the middle of a transaction would commit."""
    now = VariableSet.of({"autocommit": "OFF", "sql_mode": ""})
    assert text("SELECT 1", variables=ANSI).variables_within(now).values == {
        "autocommit": "OFF",
        "sql_mode": "ANSI_QUOTES",
    }


def test_texts_are_forgotten_with_their_statements() -> None:
    gc.collect()
    before = len(statements._texts)
    kept = text("SELECT 'kept for now'")
    assert len(statements._texts) == before + 1
    del kept
    gc.collect()
    assert len(statements._texts) == before


def test_a_statement_is_found_and_replaced() -> None:
    ours = ServerStatements()
    one = text("SELECT 1")
    assert ours.get(one) is None
    assert ours.add(one, 7) == b""
    found = ours.get(one)
    assert found is not None
    assert (found.id, found.types) == (7, None)
    assert ours.add(one, 8) == closed(7), "prepared once more: the older one goes"
    assert len(ours) == 1
    assert ours.remove(one) == closed(8)
    assert ours.remove(one) == b""
    assert len(ours) == 0


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_STATEMENTS", 3)
    ours = ServerStatements()
    texts = [text(f"SELECT {number}") for number in range(5)]
    for number in range(3):
        assert ours.add(texts[number], number) == b""
    assert ours.get(texts[0]) is not None
    assert ours.add(texts[3], 3) == closed(1)
    assert ours.add(texts[4], 4) == closed(2)
    assert [ours.get(each) is not None for each in texts] == [True, False, False, True, True]


def test_long_texts_make_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_TEXT", 1000)
    ours = ServerStatements()
    small, large = text("SELECT 1"), text("SELECT '" + "x" * 2000 + "'")
    ours.add(small, 1)
    assert ours.add(large, 2) == closed(1)
    assert ours.get(large) is not None, "the one that has just been prepared stays, or it could never run"
    assert ours.add(small, 3) == closed(2)
    ours.clear()
    assert ours.add(text("SELECT 2"), 1) == b""
    assert len(ours) == 1
