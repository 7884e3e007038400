"""The table of traps: complete, every guard is in the code, and the tests it names fail without it.

Guards whose tests need servers are taken out by ``make guards`` only: that takes minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.guards import ROOT, Guard, Workshop, guards, table

GUARDS = guards()


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    """A copy of the code."""
    with Workshop() as workshop:
        yield workshop


def test_every_trap_has_a_guard() -> None:
    rows = table()
    assert [row["trap"] for row in rows] == list(range(1, 23))
    assert all(row["name"] and row["guards"] for row in rows)
    assert all(isinstance(line, str) for row in rows for line in (*row.get("later", ()), *row.get("not_here", ())))


def test_guards_have_names_of_their_own() -> None:
    names = [guard.name for guard in GUARDS]
    assert sorted(set(names)) == sorted(names)


def test_every_guard_is_in_the_code_once() -> None:
    texts = {edit.file: (ROOT / edit.file).read_text(encoding="utf-8") for guard in GUARDS for edit in guard.edits}
    wrong = [
        f"{guard.name}: {edit.old!r} stands {texts[edit.file].count(edit.old)} times in {edit.file}"
        for guard in GUARDS
        for edit in guard.edits
        if texts[edit.file].count(edit.old) != 1 or edit.old == edit.new or not edit.file.startswith("router/")
    ]
    assert not wrong, "\n".join(wrong)


def test_the_tests_of_every_guard_are_there() -> None:
    known: dict[str, set[str]] = {}
    missing = []
    for guard in GUARDS:
        assert guard.tests, guard.name
        for test in guard.tests:
            file, _, name = test.partition("::")
            if file not in known:
                path = ROOT / file
                text = path.read_text(encoding="utf-8") if path.is_file() else ""
                known[file] = set(re.findall(r"^(?:async )?def (test_\w+)\(", text, re.MULTILINE))
            if name not in known[file]:
                missing.append(f"{guard.name}: {test}")
    assert not missing, "\n".join(missing)


@pytest.mark.slow
@pytest.mark.parametrize("guard", [guard for guard in GUARDS if not guard.servers], ids=lambda guard: guard.name)
def test_without_the_guard_its_tests_fail(workshop: Workshop, guard: Guard) -> None:
    assert workshop.without(guard) == []


@pytest.mark.timeout(240)
def test_with_all_guards_the_tests_pass(workshop: Workshop) -> None:
    """In the copy, too: what fails there must fail for want of a guard."""
    tests = sorted({test for guard in GUARDS if not guard.servers for test in guard.tests})
    found = workshop.outcomes(tests, 200)
    assert [name for name, outcome in found.items() if outcome != "passed"] == []
