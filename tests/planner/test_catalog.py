"""The compiled configuration."""

from __future__ import annotations

import dataclasses

import pytest

from router.planner.plan import Role
from tests.planner.fix_catalog import ONE_GROUP, TWO_GROUPS, catalog_of

RULES = """
rules:
  - when: {client: 10.1.0.0/16, digest: "select  * from `t` where id = 5"}
    send_to: {role: replica}
  - {name: no, when: {regex: "(?i)x", user: app, schema: shop, statement: select}, reject: "because"}
"""


def test_one_group_holds_everything() -> None:
    catalog = catalog_of(ONE_GROUP, generation=7)
    assert (catalog.generation, catalog.default_group) == (7, "main")
    assert catalog.group_of(None) == catalog.group_of("anything") == "main"
    assert catalog.users["shop"].schemas == frozenset({"shop", "stock"})
    assert catalog.users["app"].schemas is None
    assert catalog.users["reader"].read_only


def test_schemas_have_their_places() -> None:
    catalog = catalog_of(TWO_GROUPS)
    assert catalog.group_of("events") == "analytics"
    assert catalog.group_of("shop") == catalog.group_of("unheard_of") == catalog.group_of(None) == "main"
    assert catalog.groups["analytics"].reads_from == "primary"
    assert catalog.groups["main"].reads_from == "replicas"


def test_rules_are_compiled() -> None:
    first, second = catalog_of(ONE_GROUP + RULES).rules
    assert (first.name, first.digest, first.role) == ("rule-1", "SELECT * FROM t WHERE id = ?", Role.REPLICA)
    assert (second.name, second.user, second.schema, second.statement, second.reject) == (
        "no",
        "app",
        "shop",
        "select",
        "because",
    )
    assert second.regex is not None
    assert second.regex.search("aXb")


@pytest.mark.parametrize(
    ("client", "meant"),
    [("10.1.2.3", True), ("10.2.0.1", False), ("::ffff:10.1.2.3", True), ("::1", False), (None, False)],
)
def test_clients_by_network(client: str | None, meant: bool) -> None:
    first, second = catalog_of(ONE_GROUP + RULES).rules
    assert first.from_client(client) == meant
    assert second.from_client(client)


def test_a_catalog_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog_of(ONE_GROUP).generation = 2  # type: ignore[misc]
