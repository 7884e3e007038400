"""Statements on several shards get all their connections, or wait."""

from __future__ import annotations

from collections import Counter

from router.cluster.gate import Gate
from router.engine.admission import Admission


class Crowd:
    def __init__(self, **capacity: int) -> None:
        self.gates = {group: Gate() for group in capacity}
        self.admission = Admission(capacity, self.gates)
        self.inside: list[str] = []

    def come(self, name: str, **needs: int) -> None:
        def admitted() -> None:
            self.inside.append(name)

        self.admission.enter(Counter(needs), admitted)


def test_who_fits_goes_in() -> None:
    crowd = Crowd(g=4)
    crowd.come("a", g=3)
    crowd.come("b", g=1)
    crowd.come("c", g=1)
    assert crowd.inside == ["a", "b"]
    crowd.admission.leave(Counter(g=1))
    assert crowd.inside == ["a", "b", "c"]


def test_all_groups_must_have_room() -> None:
    crowd = Crowd(g=2, h=1)
    crowd.come("a", h=1)
    crowd.come("b", g=1, h=1)
    assert crowd.inside == ["a"]
    crowd.admission.leave(Counter(h=1))
    assert crowd.inside == ["a", "b"]


def test_nobody_overtakes() -> None:
    crowd = Crowd(g=2)
    crowd.come("a", g=1)
    crowd.come("large", g=2)
    crowd.come("small", g=1)
    assert crowd.inside == ["a"]
    assert crowd.admission.waiting == 2
    crowd.admission.leave(Counter(g=1))
    assert crowd.inside == ["a", "large"]
    crowd.admission.leave(Counter(g=2))
    assert crowd.inside == ["a", "large", "small"]
    assert crowd.admission.waiting == 0


def test_who_gives_up_is_forgotten() -> None:
    admission = Admission({"g": 1})
    seen: list[str] = []
    admission.enter(Counter(g=1), lambda: seen.append("a"))

    def second() -> None:
        seen.append("b")

    admission.enter(Counter(g=1), second)
    assert admission.withdraw(second)
    assert not admission.withdraw(second)
    admission.leave(Counter(g=1))
    assert seen == ["a"]


def test_what_never_fits() -> None:
    admission = Admission({"g": 2})
    assert admission.fits(Counter(g=2))
    assert not admission.fits(Counter(g=3))


# --- groups that are paused -------------------------------------------------------------------------------------------


def test_nothing_is_half_begun_in_a_paused_group() -> None:
    crowd = Crowd(g=2, h=2)
    crowd.gates["h"].close()
    crowd.come("both", g=1, h=1)
    crowd.come("one", g=2)
    assert crowd.inside == ["one"], "who does not need the group does not wait"
    crowd.come("another", g=1)
    crowd.gates["h"].open()
    assert crowd.inside == ["one"]
    crowd.admission.leave(Counter(g=2))
    assert crowd.inside == ["one", "both", "another"]


def test_all_groups_must_be_open() -> None:
    crowd = Crowd(g=2, h=2)
    for gate in crowd.gates.values():
        gate.close()
    crowd.come("both", g=1, h=1)
    crowd.come("h", h=1)
    crowd.gates["g"].open()
    assert crowd.inside == []
    crowd.gates["g"].close()
    crowd.gates["h"].open()
    assert crowd.inside == ["h"]
    crowd.gates["g"].open()
    assert crowd.inside == ["h", "both"]


def test_who_needs_no_room_waits_for_the_gate_only() -> None:
    crowd = Crowd(g=1)
    crowd.come("a", g=1)
    crowd.come("b", g=1)
    crowd.come("weightless", g=0)
    assert crowd.inside == ["a", "weightless"]
    crowd.gates["g"].close()
    crowd.come("late", g=0)
    crowd.admission.leave(Counter(g=1))
    assert crowd.inside == ["a", "weightless"], "room alone is not enough"
    crowd.gates["g"].open()
    assert crowd.inside == ["a", "weightless", "b", "late"]


def test_another_configuration() -> None:
    admission = Admission({"a": 1})
    inside: list[int] = []
    admission.enter(Counter(a=1), lambda: inside.append(1))
    admission.enter(Counter(a=1), lambda: inside.append(2))
    assert inside == [1]
    admission.adopt({"a": 2, "b": 1}, {})
    assert inside == [1, 2], "there is room now"
    assert admission.fits(Counter(a=2, b=1))
    admission.adopt({"b": 1}, {})
    admission.leave(Counter(a=1))
