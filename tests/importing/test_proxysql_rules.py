"""Tests of query rules: what is carried over, in which order, and what is told of the others."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.config.rules import Rule
from router.importing.draft import Block, Draft, Items, Place
from router.importing.proxysql import import_proxysql
from router.importing.proxysql_groups import Target
from router.importing.proxysql_rules import Homes, rules
from router.importing.tables import Row, Tables
from tests.importing.sources import loaded, said

BASE = (
    "INSERT INTO mysql_servers (hostgroup_id, hostname, port) VALUES (10, 'a', 3306), (20, 'b', 3306), (30, 'c', 3306);\n"
    "INSERT INTO mysql_replication_hostgroups (writer_hostgroup, reader_hostgroup) VALUES (10, 20);\n"
    "INSERT INTO mysql_users (username, password, default_hostgroup, default_schema) VALUES ('app', 'x', 10, 'shop');\n"
)


def imported(*given: dict[str, object], base: str = BASE) -> Draft:
    text = base
    for number, values in enumerate(given, start=1):
        row = {"rule_id": number, "active": 1, "apply": 1, **values}
        literals = ", ".join("'" + str(value).replace("'", "''") + "'" for value in row.values())
        text += f"INSERT INTO mysql_query_rules ({', '.join(row)}) VALUES ({literals});\n"
    return import_proxysql([("x.sql", text.encode())])


def ours(draft: Draft) -> list[Rule]:
    return [rule for rule in loaded(draft).rules if rule.name != "other-reads"]


SPLIT = (
    {"match_digest": "^SELECT.*FOR UPDATE$", "destination_hostgroup": 10},
    {"match_digest": "^SELECT", "destination_hostgroup": 20},
)


def test_the_usual_pair_is_left_out() -> None:
    draft = imported(*SPLIT)
    assert loaded(draft).rules == []
    assert said(draft).count("that is the router's default") == 2


def test_the_usual_pair_stays_when_rules_come_behind_it() -> None:
    draft = imported(*SPLIT, {"match_digest": "^SELECT 1 FROM x", "destination_hostgroup": 30})
    assert [rule.send_to.role for rule in ours(draft) if rule.send_to] == ["primary", "replica", None]
    assert "other-reads" not in str(draft)


def test_reads_stay_on_the_primary_without_a_rule() -> None:
    draft = imported({"match_digest": "^SELECT 1 FROM x", "destination_hostgroup": 20})
    last = loaded(draft).rules[-1]
    assert (last.name, last.when.statement) == ("other-reads", "select")
    assert last.send_to is not None
    assert last.send_to.role == "primary"


def test_what_is_carried_over() -> None:
    draft = imported(
        {
            "username": "app",
            "schemaname": "shop",
            "client_addr": "10.1.%",
            "match_pattern": "big",
            "destination_hostgroup": 30,
        },
        {"match_digest": r"^SELECT c FROM t WHERE id=\?$", "error_msg": "no ${env:HOME}"},
        {"match_pattern": "slow", "timeout": 1500, "destination_hostgroup": 10},
        {"match_pattern": "^SELECT", "mirror_hostgroup": 30, "apply": 0},
    )
    one, two, three, four = ours(draft)
    assert (one.when.user, one.when.schema_, str(one.when.client)) == ("app", "shop", "10.1.0.0/16")
    assert one.when.regex == "(?i)big"
    assert one.send_to is not None
    assert (one.send_to.group, one.send_to.role) == ("hg30", None)
    assert (two.when.digest, two.reject) == ("SELECT c FROM t WHERE id=?", "no ${env:HOME}")
    assert three.timeout == 1.5
    assert four.mirror is not None
    assert four.mirror.group == "hg30"


def test_rules_that_go_on_stand_behind_those_that_overrule_them() -> None:
    draft = imported(
        {"match_pattern": "a", "destination_hostgroup": 10, "apply": 0},
        {"match_pattern": "b", "destination_hostgroup": 20, "apply": 0},
        {"match_pattern": "c", "error_msg": "no", "apply": 0},
        {"match_pattern": "d", "destination_hostgroup": 30, "apply": 1},
    )
    assert [rule.when.regex for rule in ours(draft)] == ["(?i)c", "(?i)d", "(?i)b", "(?i)a"]


def test_an_exception_from_later_rules_goes_home() -> None:
    draft = imported({"match_pattern": "a"}, {"match_pattern": "b", "destination_hostgroup": 30})
    first = ours(draft)[0]
    assert first.send_to is not None
    assert (first.send_to.group, first.send_to.role) == ("hg10", "primary")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"flagIN": 3}, "chains"),
        ({"flagOUT": 3}, "chains"),
        ({"replace_pattern": "x"}, "not rewritten"),
        ({"digest": "0xABCDEF"}, "cannot be turned back"),
        ({"proxy_port": 6033}, "the port"),
        ({"proxy_addr": "1.2.3.4"}, "the address"),
        ({"OK_msg": "fine"}, "answered by a rule"),
        ({"next_query_flagIN": 2}, "chains"),
        ({"username": "nobody"}, "no user 'nobody'"),
        ({"client_addr": "10.1%"}, "no address"),
        ({"destination_hostgroup": 99}, "no server in hostgroup 99"),
        ({"match_digest": "x"}, "the text as sent"),
        ({"match_digest": r"x=\?"}, "write the statement"),
        ({"destination_hostgroup": ""}, "nothing in it"),
        ({"mirror_hostgroup": 30, "destination_hostgroup": 30}, "copies go to another group"),
        ({"mirror_hostgroup": 30, "destination_hostgroup": 10}, "only proven reads are copied"),
        ({"cache_ttl": 100}, "not cached"),
        ({"delay": 100}, "not delayed"),
        ({"mirror_flagOUT": 1}, "copies are not looked at"),
        ({"attributes": '{"a":1}'}, "attributes"),
        ({"retries": 2}, "repeats proven reads"),
        ({"reconnect": 1}, "connects again"),
        ({"multiplex": 0}, "must keep its server"),
        ({"sticky_conn": 1}, "must keep its server"),
        ({"log": 1}, "not logged"),
        ({"gtid_from_hostgroup": 10}, "reads.consistency"),
        ({"active": 0}, "is not active"),
    ],
)
def test_what_is_not_carried_over_is_told(values: dict[str, object], reason: str) -> None:
    pattern = {} if "match_digest" in values else {"match_pattern": "^x"}
    draft = imported({"destination_hostgroup": 30, **pattern, **values})
    loaded(draft)
    assert reason in said(draft)


WORDS = ["", "0", "1", "10", "20", "30", "99", "-1", "^SELECT", ".*", "app", "shop"]
TEXT = st.one_of(st.none(), st.sampled_from(WORDS), st.text(max_size=12))
COLUMNS = (
    *(
        "rule_id",
        "active",
        "username",
        "schemaname",
        "flagIN",
        "client_addr",
        "digest",
        "match_digest",
        "match_pattern",
    ),
    *("negate_match_pattern", "re_modifiers", "flagOUT", "replace_pattern", "destination_hostgroup", "cache_ttl"),
    *("timeout", "retries", "delay", "mirror_hostgroup", "error_msg", "OK_msg", "multiplex", "log", "apply", "comment"),
)
TARGETS = {10: Target("a", "primary"), 20: Target("a", "replica"), 30: Target("b", None)}


@settings(deadline=None, max_examples=150)
@given(st.lists(st.dictionaries(st.sampled_from(COLUMNS), TEXT, max_size=8), max_size=6), st.booleans())
def test_whatever_rules_come_in_the_output_loads(given: list[dict[str, str | None]], several: bool) -> None:
    found = Tables({"mysql_query_rules": [Row(Place("x", n), {"active": "1", **row}) for n, row in enumerate(given)]})
    targets = TARGETS if several else {number: target for number, target in TARGETS.items() if target.group == "a"}
    draft = Draft("x")
    for group in ("a", "b")[: 1 + several]:
        draft.root.block("groups")[group] = Block(servers=Items(f"{group}:1"))
    draft.root.block("users").block("app")["password"] = draft.password("app", "x")
    schemas = frozenset({"shop"}) if several else frozenset()
    if several:
        draft.root.block("schemas").block("shop")["group"] = "a"
    rules(found, targets, Homes({"app": TARGETS[10]}, TARGETS[10], schemas, 1 + several), draft)
    loaded(draft)
