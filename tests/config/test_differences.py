"""What has changed between two files, told to people."""

from __future__ import annotations

from router.config.differences import Difference, differences
from router.config.loader import loads

BEFORE = """
listeners: [127.0.0.1:3307]
groups:
  main:
    servers: [{name: a, address: 10.0.0.1:3306}, {name: b, address: 10.0.0.2:3306}]
users:
  app: {password: one}
  gone: {password: x}
rules:
  - {name: first, when: {user: app}, send_to: {role: replica}}
  - {name: second, when: {user: app}, reject: no}
"""


def changed(text: str) -> list[Difference]:
    return differences(loads(BEFORE), loads(text))


def test_nothing() -> None:
    assert changed(BEFORE) == []


def test_a_value_in_the_depth() -> None:
    text = BEFORE.replace("{name: a, address: 10.0.0.1:3306}", "{name: a, address: 10.0.0.1:3306, weight: 3}")
    assert changed(text) == [Difference("groups.main.servers.a.weight", "1", "3")]


def test_who_comes_and_goes() -> None:
    text = BEFORE.replace(", {name: b, address: 10.0.0.2:3306}", ", {name: c, address: 10.0.0.3:3306}")
    assert [str(each) for each in changed(text)] == [
        "groups.main.servers.b: {address: 10.0.0.2:3306, name: b} (gone)",
        "groups.main.servers.c: {address: 10.0.0.3:3306, name: c} (new)",
    ]


def test_secrets_are_compared_and_not_shown() -> None:
    (difference,) = changed(BEFORE.replace("password: one", "password: two"))
    assert difference == Difference("users.app.password", "***", "***")
    (gone,) = changed(BEFORE.replace("  gone: {password: x}\n", ""))
    assert str(gone) == "users.gone: {password: ***} (gone)"


def test_the_order_of_rules_counts() -> None:
    lines = BEFORE.splitlines(keepends=True)
    lines[-2:] = [lines[-1], lines[-2]]
    assert changed("".join(lines)) == [Difference("rules", "order: first, second", "order: second, first")]


def test_lists_without_names() -> None:
    assert changed(BEFORE.replace("[127.0.0.1:3307]", "[127.0.0.1:3307, 127.0.0.1:3308]")) == [
        Difference("listeners.127.0.0.1:3308", "", "{address: 127.0.0.1:3308}")
    ]
