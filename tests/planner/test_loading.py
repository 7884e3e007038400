"""LOAD DATA: what of the file decides, and where its lines go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.planner.binding import TextValues, bind
from router.planner.loading import Load, read
from router.planner.plan import Refused, Sharded, Spread, plan_json
from router.planner.routes import Unplannable
from router.sql.infile import Format, LineError
from router.sql.lexer import LexMode
from tests.planner.fix_shards import shop_context, shop_planner

MODE = LexMode()

HEAD = "LOAD DATA LOCAL INFILE 'f' INTO TABLE "


def spread(sql: str) -> Spread:
    plan = shop_planner(transactions="best_effort").plan(sql.encode(), shop_context())
    assert isinstance(plan, Sharded), plan
    bound = bind(plan, TextValues(sql.encode(), MODE), sql.encode(), MODE)
    assert isinstance(bound, Spread)
    return bound


def placed(load: Load, content: bytes, charset: str = "utf8mb4") -> list[list[int]]:
    lines = load.lines(charset, 1000)
    placer = load.placer(lines, charset)
    return [list(placer.parts(line)) for line in [*lines.feed(content), *lines.end()]]


@pytest.mark.parametrize(
    ("sql", "format"),
    [
        (HEAD + "t", Format()),
        (HEAD + "t FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY ''", Format(b",", b'"', b"")),
        (
            HEAD + "t COLUMNS OPTIONALLY ENCLOSED BY '''' LINES TERMINATED BY \"\\r\\n\"",
            Format(b"\t", b"'", b"\\", b"\r\n"),
        ),
        (HEAD + "t FIELDS TERMINATED BY 0x7C IGNORE 3 ROWS", Format(b"|", skip=3)),
        (
            HEAD + "t CHARACTER SET latin1 FIELDS ESCAPED BY '\\\\' LINES TERMINATED BY '\\0' (a, b);",
            Format(line_end=b"\0"),
        ),
    ],
)
def test_formats(sql: str, format: Format) -> None:
    assert read(sql.encode(), MODE).format == format


def test_without_backslash_escapes() -> None:
    mode = LexMode(no_backslash_escapes=True)
    found = read(b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t LINES TERMINATED BY '\\n'", mode).format
    assert (found.escaped, found.line_end) == (b"", b"\\n")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("LOAD XML LOCAL INFILE 'f' INTO TABLE t", "LOAD XML"),
        ("LOAD DATA INFILE 'f' INTO TABLE t", "without LOCAL"),
        (HEAD + "t PARTITION (p)", "PARTITION"),
        (HEAD + "t FIELDS TERMINATED BY 'é'", "not ASCII"),
        (HEAD + "t FIELDS TERMINATED BY x'09'", "of this form"),
        (HEAD + "t FIELDS TERMINATED BY '' ENCLOSED BY ''", "without an end of their own"),
        (HEAD + "t FIELDS ENCLOSED BY '||'", "several characters"),
        (HEAD + "t FIELDS TERMINATED BY ',' ENCLOSED BY ','", "means two things"),
        (HEAD + "t FIELDS ENCLOSED BY '\"' ESCAPED BY '\"'", "means two things"),
        (HEAD + "t LINES STARTING BY 'x'", "STARTING BY"),
        (HEAD + "t (a, @b)", "user variables"),
        (HEAD + "t (a) SET b = 1", "with SET"),
        (HEAD + "t (a) more", "of this form"),
        (HEAD + "t IGNORE 'x' LINES", "of this form"),
        ("LOAD DATA LOCAL INFILE 'f'", "of this form"),
    ],
)
def test_forms_that_are_not_understood(sql: str, words: str) -> None:
    with pytest.raises(Unplannable, match=words):
        read(sql.encode(), MODE)


def test_lines_go_to_the_shards_of_their_keys() -> None:
    found = spread(HEAD + "customers IGNORE 1 LINES (name, id)")
    assert [part.relay.shard for part in found.parts] == ["s0", "s1", "s2"]
    assert {part.sql for part in found.parts} == {(HEAD + "customers  (name, id)").encode()}
    assert found.load is not None
    assert found.clock
    assert placed(found.load, b"name\tid\na\t3\nb\t4\nc\t2000000001\n\\N\t-3") == [[0], [1], [0], [0]]


@pytest.mark.parametrize("line", [b"a\t\\N", b"a", b"a\tx", b"a\t5x", b"a\t99999999999999999999", b"a\t"])
def test_lines_without_a_place(line: bytes) -> None:
    found = spread(HEAD + "customers (name, id)")
    assert found.load is not None
    with pytest.raises(LineError) as error:
        placed(found.load, b"a\t5\n" + line + b"\n")
    assert error.value.number == 2


@pytest.mark.parametrize("line", [b"0\t3", b"\\N\t3", b"x\t3", b"\t3"])
def test_no_shard_counts_for_itself(line: bytes) -> None:
    load = spread(HEAD + "customers (name, id)").load
    assert load is not None
    load = replace(load, loads=replace(load.loads, given=((0, "name"),)))
    assert placed(load, b"7\t3\n") == [[0]]
    with pytest.raises(LineError, match="'name', which each shard would count for itself"):
        placed(load, line)


def test_copies() -> None:
    found = spread(HEAD + "regions")
    assert found.copies
    assert found.load is not None
    assert placed(found.load, b"1\tx\n") == [[0, 1, 2]]


def test_character_sets() -> None:
    load = spread(HEAD + "places CHARACTER SET latin1 (code)").load
    assert load is not None
    assert load.charset == "latin1"
    with pytest.raises(Unplannable, match="character set gbk"):
        load.lines("gbk", 100)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (HEAD + "customers (name)", "without a field for 'id'"),
        (HEAD + "cart_items (cart_id)", "'id', which the router generates"),
        (HEAD + "customers, x", "of this form"),
        (HEAD + "customers /*!80000 (id) */", "of this form"),
    ],
)
def test_what_is_refused(sql: str, words: str) -> None:
    plan = shop_planner(transactions="best_effort").plan(sql.encode(), shop_context())
    assert isinstance(plan, Refused)
    assert words in plan.error.message


def test_settings_and_plans() -> None:
    sql = (HEAD + "customers").encode()
    plan = shop_planner().plan(sql, shop_context())
    assert isinstance(plan, Refused)
    assert "set `transactions: best_effort`" in plan.error.message
    plan = shop_planner(transactions="best_effort").plan(sql, shop_context())
    assert plan_json(plan)["several"] == {"loads": "each line"}
    text = sql + b" FIELDS TERMINATED BY ''"
    planned = shop_planner(transactions="best_effort").plan(sql + b" FIELDS TERMINATED BY ','", shop_context())
    assert isinstance(planned, Sharded)
    bound = bind(planned, TextValues(text, MODE), text, MODE)
    assert isinstance(bound, Refused), "the plan is for all literals"


def test_other_tables_are_left_alone() -> None:
    plan = shop_planner(transactions="best_effort").plan((HEAD + "notes").encode(), shop_context())
    assert not isinstance(plan, Sharded | Refused)
