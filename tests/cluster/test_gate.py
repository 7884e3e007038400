"""The gate of a group: nobody in while it is shut, then all in order."""

from __future__ import annotations

from router.cluster.gate import Gate


def test_who_waits_goes_in_order_and_once() -> None:
    gate, went = Gate(), list[str]()
    first, second = lambda: went.append("first"), lambda: went.append("second")
    gate.close()
    gate.wait(first)
    gate.wait(second)
    gate.wait(first)
    assert (gate.shut, len(gate), went) == (True, 2, [])
    gate.open()
    assert (gate.shut, len(gate), went) == (False, 0, ["first", "second"])
    gate.open()
    assert went == ["first", "second"]


def test_who_is_forgotten_does_not_go() -> None:
    gate, went = Gate(), list[str]()
    second = lambda: went.append("second")  # noqa: E731
    third = lambda: went.append("third")  # noqa: E731

    def first() -> None:
        went.append("first")
        gate.forget(second)

    gate.close()
    for each in (first, second, third):
        gate.wait(each)
    gate.forget(third)
    gate.forget(third)
    gate.open()
    assert went == ["first"]


def test_who_goes_may_wait_again() -> None:
    gate, went = Gate(), list[str]()

    def impatient() -> None:
        went.append("again")
        gate.close()
        gate.wait(impatient)

    gate.close()
    gate.wait(impatient)
    gate.open()
    assert (went, len(gate), gate.shut) == (["again"], 1, True)
