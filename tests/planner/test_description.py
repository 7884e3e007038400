"""Views of information_schema as derived tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from router.planner.clauses import Span
from router.planner.description import Cell, Heading, Listing, Named, Only, View, derived, literal, text_of
from router.sql.lexer import LexMode

LISTING = Listing(
    ("TABLE_NAME", "TABLE_ROWS"), frozenset({"TABLE_ROWS"}), (("a", 5), ("é", None)), "NOT (TABLE_SCHEMA = 'x')"
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (-5, "-5"),
        (Decimal("1.50"), "1.50"),
        ("", "''"),
        ("bigint(20) unsigned", "'bigint(20) unsigned'"),
        ("it's", "_utf8mb4 0x69742773"),
        ("a\\", "_utf8mb4 0x615c"),
        ("é", "_utf8mb4 0xc3a9"),
        (b"\0", "0x00"),
        (b"", "''"),
        (datetime(2026, 1, 2, 3, 4, 5), "TIMESTAMP'2026-01-02 03:04:05'"),
    ],
)
def test_literals(value: Cell, text: str) -> None:
    assert literal(value) == text


def test_numbers_without_a_sign() -> None:
    assert literal(5, unsigned=True) == "CAST(5 AS UNSIGNED)"
    assert literal(None, unsigned=True) == "CAST(NULL AS UNSIGNED)"
    assert literal("5", unsigned=True) == "'5'"


def test_rows_stand_behind_those_of_the_server() -> None:
    own = "SELECT `TABLE_NAME`, `TABLE_ROWS` FROM information_schema.`TABLES` WHERE NOT (TABLE_SCHEMA = 'x')"
    rows = "('a', CAST(5 AS UNSIGNED)), {}(_utf8mb4 0xc3a9, CAST(NULL AS UNSIGNED))"
    assert derived("TABLES", LISTING, "mariadb") == f"({own} UNION ALL VALUES {rows.format('')})"
    assert derived("TABLES", LISTING, "mysql") == f"({own} UNION ALL VALUES ROW{rows.format('ROW')})"
    assert derived("TABLES", Listing(LISTING.columns, LISTING.unsigned, (), "1"), "mysql").endswith("WHERE 1)")


def test_pieces_by_flavor() -> None:
    asks = ("a", Only("mysql", "b"), Only("mariadb", Span(0, 1)), Named("TABLE_ROWS"), Named("OTHER"))
    texts = [text_of(asks, b"x y", LexMode(), {"TABLES": LISTING}, flavor).split() for flavor in ("mysql", "mariadb")]
    assert texts == [[b"a", b"b", b"AS", b"`TABLE_ROWS`"], [b"a", b"x"]]


def test_the_columns_of_show_table_status() -> None:
    columns = ("TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ENGINE", "TABLE_ROWS", "AVG_ROW_LENGTH")
    listing = Listing(columns, frozenset(), (), "1")
    text = text_of((View("TABLES", "it's"),), b"", LexMode(), {"TABLES": listing}, "mysql").decode()
    assert text.startswith(
        "(SELECT `TABLE_NAME` AS `Name`, `ENGINE` AS `Engine`, `TABLE_ROWS` AS `Rows`,"
        " `AVG_ROW_LENGTH` AS `Avg_row_length` FROM (SELECT"
    )
    assert text.endswith("AS t WHERE TABLE_SCHEMA = _utf8mb4 0x69742773)")


def test_backslashes_in_headings() -> None:
    sql = rb"'a\'\%\\ ''b'"
    plain, raw = (
        text_of((Heading("T", 0),), sql, mode, {}, "mysql") for mode in (LexMode(), LexMode(no_backslash_escapes=True))
    )
    assert plain == rb"`T (a'\%\ 'b)`"
    assert raw == b"`T (a\\)`"
