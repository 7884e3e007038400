"""Sessions by connection id."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from router.session.registry import SessionRegistry


class Client:
    """A session as the registry sees it."""

    def __init__(self, user: str = "app", reasons: list[str] | None = None) -> None:
        self._user = user
        self._reasons = reasons or []
        self.killed: list[bool] = []

    @property
    def user(self) -> str:
        return self._user

    def kill(self, done: Callable[[], None], *, query_only: bool) -> None:
        self.killed.append(query_only)
        done()

    def pin_reasons(self) -> list[str]:
        return self._reasons


def test_ids_begin_at_one_and_go_up() -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    assert [registry.next_id() for _ in range(3)] == [1, 2, 3]


def test_ids_come_round_and_never_mean_two_sessions() -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    registry._next = 0xFFFFFFFF
    registry.add(0xFFFFFFFF, Client())
    registry.add(1, Client())
    registry.add(2, Client())
    assert registry.next_id() == 3
    assert registry.next_id() == 4


@given(st.lists(st.sampled_from(["come", "go first", "go last"]), max_size=40), st.integers(0, 0xFFFFFFFF))
def test_ids_are_unique_among_the_living(events: list[str], last: int) -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    registry._next = last % 0xFFFFFFFF + 1
    living: list[int] = []
    for event in events:
        if event == "come":
            connection_id = registry.next_id()
            assert connection_id not in living
            assert 1 <= connection_id <= 0xFFFFFFFF
            registry.add(connection_id, Client())
            living.append(connection_id)
        elif living:
            registry.remove(living.pop(0 if event == "go first" else -1))
    assert len(registry) == len(living)


def test_sessions_are_found_until_they_go() -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    client = Client()
    registry.add(7, client)
    assert registry.get(7) is client
    assert registry.get(8) is None
    registry.remove(7)
    registry.remove(7)
    assert registry.get(7) is None
    assert len(registry) == 0


def test_sessions_may_go_while_they_are_visited() -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    for connection_id in (1, 2, 3):
        registry.add(connection_id, Client())
    visited = 0
    for _ in registry:
        visited += 1
        for connection_id in (1, 2, 3):
            registry.remove(connection_id)
    assert visited == 3
    assert list(registry) == []


def test_pins_are_counted_by_reason() -> None:
    registry: SessionRegistry[Client] = SessionRegistry()
    for connection_id, reasons in enumerate([["temporary_table"], [], ["temporary_table", "named_lock"]], start=1):
        registry.add(connection_id, Client(reasons=reasons))
    assert registry.pinned() == {"temporary_table": 2, "named_lock": 1}
