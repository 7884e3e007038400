"""YAML with places: references are replaced, secrets are never shown."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from router.config.findings import Finding
from router.config.source import Source
from router.errors import ConfigError


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        Source(text, "routes.yaml")
    assert len(raised.value.problems) == 1
    return str(raised.value)


def plain(
    text: str, environ: dict[str, str] | None = None, folder: Path = Path()
) -> tuple[dict[str, Any], list[Finding]]:
    return Source(text, "routes.yaml").plain(environ or {}, folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "routes.yaml:1:1: the file is empty; it needs groups and users"),
        ("# only a comment\n", "routes.yaml:1:1: the file is empty; it needs groups and users"),
        ("- a\n", "routes.yaml:1:1: must be a mapping of keys such as groups and users"),
        ("a: 1\nb: 2\na: 3\n", "routes.yaml:3:1: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}\n", "routes.yaml:1:11: the key 'b' is given twice"),
        ("a:\n  b: *2470C0C06DEE\n", "routes.yaml:2:6: text that begins with * must be in quotes"),
        ("a:\n  b: * x\n", "routes.yaml:2:7: text that begins with * must be in quotes"),
    ],
)
def test_what_is_not_yaml(text: str, expected: str) -> None:
    assert refusal(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: b: c\n", "1:5", "colon"),
        ("a: 1\n\tb: 2\n", "2:1", "tabs"),
        ("a: @b\n", "1:4", "quotes"),
        ("a: [1\n", "2:1", "not YAML"),
        ("a: 1\n---\nb: 2\n", "2:1", "not YAML"),
        ("a: \x01\n", "1:1", "control characters"),
    ],
)
def test_what_is_not_yaml_either(text: str, place: str, words: str) -> None:
    message = refusal(text)
    assert message.startswith(f"routes.yaml:{place}: ")
    assert words in message


@pytest.mark.parametrize(
    "text",
    [
        "p: hunter2\np: hunter2\n",
        "users:\n  a: {p: hunter2\n  b: x\n",
        "p: *hunter2\n",
        "p: x: hunter2\n",
        'p: "hunter2\n',
        "p: %hunter2\n",
        "p: |hunter2\n",
    ],
)
def test_refusals_do_not_show_values(text: str) -> None:
    assert "hunter2" not in refusal(text)


def test_yaml_1_2() -> None:
    tree, findings = plain(
        "a: no\nb: 12:30\nc: 1.5\nd: 2024-01-02\ne: 2024-05\nf: true\ng:\nh: 0x10\ni: 2024-01-02 03:04:05\n"
    )
    assert tree == {
        "a": "no",
        "b": "12:30",
        "c": 1.5,
        "d": date(2024, 1, 2),
        "e": "2024-05",
        "f": True,
        "g": None,
        "h": 16,
        "i": datetime(2024, 1, 2, 3, 4, 5),
    }
    assert not findings
    assert [type(value) for value in tree.values()] == [str, str, float, date, str, bool, type(None), int, datetime]


def test_references(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n\n")
    (tmp_path / "dos").write_bytes(b"x\r\n")
    environ = {"HOST": "db", "EMPTY": ""}
    text = (
        'a: "${env:HOST}:${env:PORT:-3306}"\nb: ["${file:secret}", "${file:dos}"]\n'
        f'c: "${{file:{tmp_path}/secret}}"\nd: "$${{env:HOST}} $A$ $"\ne: "${{env:EMPTY:-}}"\n'
    )
    tree, findings = plain(text, environ, tmp_path)
    assert tree == {"a": "db:3306", "b": ["s3cret\n", "x"], "c": "s3cret\n", "d": "${env:HOST} $A$ $", "e": ""}
    assert not findings


def test_a_value_from_outside_is_not_read_again() -> None:
    tree, findings = plain('a: "${env:A}"\n', {"A": "${env:B} ${file:/etc/passwd}"})
    assert tree == {"a": "${env:B} ${file:/etc/passwd}"}
    assert not findings


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("${env:NOPE}", "environment variable NOPE is not set"),
        ("${env:EMPTY}", "environment variable EMPTY is empty"),
        ("${file:nope}", "nope cannot be read: No such file or directory"),
        ("${file:binary}", "binary is not UTF-8 text"),
        ("${file:big}", "big is larger than 1 MiB"),
        ("${NOPE}", "only ${env:NAME}"),
        ("${env:}", "only ${env:NAME}"),
        ("${vault:x}", "only ${env:NAME}"),
    ],
)
def test_references_that_cannot_be_replaced(reference: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "big").write_bytes(b"x" * (2**20 + 1))
    source = Source(f'a:\n  - b: "{reference}"\n', "routes.yaml")
    _, (finding,) = source.plain({"EMPTY": ""}, tmp_path)
    assert str(source.problem(finding)).startswith(f"routes.yaml:2:8: a.0.b: {words}")


def test_tags_and_deep_nesting_are_refused() -> None:
    for text in ("a: !secret x\n", "a: !x {b: 1}\n", "a: !x [1]\n"):
        _, findings = plain(text)
        assert [finding.loc for finding in findings] == [("a",)]
    _, findings = plain("a: " + "[" * 40 + "]" * 40 + "\n")
    assert findings[0].message == "is nested too deeply"


def test_anchors_and_merges() -> None:
    tree, _ = plain("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x\n")
    assert tree["y"] == {"a": 1, "b": 3}
    assert tree["z"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("loc", "at_key", "place"),
    [
        ((), False, (1, 1)),
        (("a",), False, (2, 1)),
        (("a", "b"), False, (3, 6)),
        (("a", "b"), True, (3, 3)),
        (("a", "c", 1), False, (6, 7)),
        (("a", "c", 1, "missing", "d"), False, (6, 7)),
        (("a", "e", "f"), False, (7, 11)),
        (("a", "e", "f"), True, (7, 7)),
        (("a", "g"), False, (8, 3)),
    ],
)
def test_places(loc: tuple[str | int, ...], at_key: bool, place: tuple[int, int]) -> None:
    source = Source("# head\na:\n  b: 1\n  c:\n    - x\n    - y: z\n  e: {f:  1}\n  g:\n", "routes.yaml")
    problem = source.problem(Finding(loc, "wrong", at_key))
    assert (problem.line, problem.column) == place


def test_written() -> None:
    source = Source('a: "${env:X}"\nb: [true, {c: 0x10}]\n', "routes.yaml")
    assert source.written(("a",)) == "${env:X}"
    assert source.written(("b", 0)) == "true"
    assert source.written(("b",)) is None
    assert source.written(("b", 7)) is None
    assert source.written(("b", 1, "d")) is None
    assert source.written(("a", "address")) == "${env:X}"
