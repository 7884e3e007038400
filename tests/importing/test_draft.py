"""Tests of the draft: what is printed is read back as it was, whatever it holds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.config.source import Source
from router.importing.draft import (
    MAX_SOURCE,
    Block,
    Draft,
    ImportProblem,
    Items,
    Node,
    Place,
    decoded,
    one_line,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


def read(draft: Draft) -> dict[str, object]:
    tree, findings = Source(str(draft), "routes.yaml").plain({"X_PASSWORD": "secret"}, Path())
    assert not findings
    return tree


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS.filter(bool))
def test_text_is_read_back_as_it_was(text: str, key: str) -> None:
    draft = Draft("test")
    draft.root["a"] = Block(flow=True, inner=text)
    draft.root["b"] = Items(text, Block(value=text))
    draft.root.block("c")[key] = text
    draft.remark(draft.root.block("c"), Place("x\ny", 3), text, key=key)
    assert read(draft) == {"a": {"inner": text}, "b": [text, {"value": text}], "c": {key: text}}


@pytest.mark.parametrize(
    "text", ["${env:X}", "$${a}", "${a${b}", "${", "no", "~", "*x", "1.5", "2014-01-01", "a: b", "#"]
)
def test_text_that_means_something(text: str) -> None:
    draft = Draft("test")
    draft.root["a"] = text
    assert read(draft) == {"a": text}


def test_scalars() -> None:
    draft = Draft("test")
    values: list[Node] = [1, None, True, 2.5, date(2015, 1, 2), draft.password("x", "of x")]
    draft.root["a"] = Items(*values)
    assert read(draft) == {"a": [1, None, True, 2.5, date(2015, 1, 2), "secret"]}


def test_remarks_stand_at_their_place_and_are_counted() -> None:
    draft = Draft("there")
    items = draft.root.items("list")
    draft.remark(items, Place("f", 1), "before one", todo=False)
    assert draft.complete
    items.append(Block(key=1, more=Items(Block(inner=1))))
    draft.remark(items, Place("f", 2), "at the end")
    assert not draft.complete
    assert str(draft) == (
        "# yaml-language-server: $schema=./routes.schema.json\n# Converted from there.\n"
        "# Not complete: 1 places are marked TODO.\n\n"
        "list:\n  # Note (f:1): before one\n  - key: 1\n    more:\n      - inner: 1\n  # TODO (f:2): at the end\n"
    )
    assert [str(remark) for remark in draft.remarks] == ["f:1: note: before one", "f:2: todo: at the end"]


def test_passwords_have_a_variable_each() -> None:
    draft = Draft("there")
    assert draft.password("app-1", "one").variable == "APP_1_PASSWORD"
    assert draft.password("app_1", "two").variable == "APP_1_2_PASSWORD"
    assert draft.password("app_1", "two").variable == "APP_1_2_PASSWORD"
    assert draft.password("1", "three").variable == "_1_PASSWORD"
    assert draft.password("…", "four").variable == "USER_PASSWORD"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ImportProblem, match=r"x: is larger than 4 MiB"):
        decoded("x", b" " * (MAX_SOURCE + 1))
    with pytest.raises(ImportProblem, match=r"not UTF-8 text \(byte 1\)"):
        decoded("x", b"a\xff")


def test_one_line() -> None:
    assert one_line("a\nb\x1b[31m") == "a b [31m"
    assert one_line("x" * 5000) == "x" * 1000 + "…"
