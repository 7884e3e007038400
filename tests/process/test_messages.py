"""Messages come out of a pipe as they went in."""

from __future__ import annotations

import pickle
from dataclasses import is_dataclass

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from router.cluster.following import news_of
from router.log import Setting
from router.metrics import Counters
from router.process import messages
from router.process.messages import Begin, GoBy, News, Told
from router.session.registry import Numbering
from tests.admin.inside import BUSY, IDLE, World

WORLD = World()
GROUP = WORLD.topology.groups["main"]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
WHOLE = [
    Begin(WORLD.config, Numbering(1, 3), (), {"a": 1}, [("main", "a")], {"main": 3.0}, True, Setting("json", "info")),
    GoBy(WORLD.config, (), {}),
    Told(Counters(), WORLD.gauges(), (IDLE, BUSY), tuple(WORLD.inside.operations.standing()), ()),
]


@pytest.mark.parametrize("message", WHOLE, ids=lambda message: type(message).__name__)
def test_the_large_ones(message: object) -> None:
    again = pickle.loads(pickle.dumps(message))
    if isinstance(message, Told):
        assert again.sessions == message.sessions
        assert [each.server for each in again.gauges.servers] == ["a", "b"]
    else:
        assert again == message
        assert again.config.users["app"].password.get_secret_value() == "hunter2"


def test_news_and_numbers_of_the_process() -> None:
    news = pickle.loads(pickle.dumps(News(news_of(GROUP)))).group
    assert (news.outcome.primary, [each.name for each in news.servers]) == ("a", ["a", "b"])
    metrics = pickle.loads(pickle.dumps(tuple(REGISTRY.collect())))
    assert "process_resident_memory_bytes" in {metric.name for metric in metrics}


def test_secrets_are_not_shown() -> None:
    for message in WHOLE:
        assert "hunter2" not in repr(message)


def test_all_are_values() -> None:
    own = [each for each in vars(messages).values() if getattr(each, "__module__", "") == messages.__name__]
    assert len(own) > 15
    for each in own:
        assert is_dataclass(each)
        assert each.__doc__
