"""Rules: keys that are Python words, expressions that must compile."""

from __future__ import annotations

from ipaddress import ip_network
from typing import get_args

import pytest
from pydantic import ValidationError

from router.config.rules import Rule, Statement, When
from router.sql.facts import StatementKind


def test_a_whole_rule() -> None:
    rule = Rule.model_validate(
        {
            "name": "reports",
            "when": {
                "user": "reporting",
                "schema": "shop",
                "statement": "select",
                "client": "10.1.0.0/16",
                "regex": "(?i)from big_",
                "digest": "SELECT * FROM orders",
            },
            "send_to": {"group": "analytics", "role": "replica"},
        }
    )
    assert rule.when == When(
        user="reporting",
        schema="shop",
        statement="select",
        client=ip_network("10.1.0.0/16"),
        regex="(?i)from big_",
        digest="SELECT * FROM orders",
    )
    assert rule.send_to is not None
    assert (rule.send_to.group, rule.send_to.role, rule.reject) == ("analytics", "replica", None)


def test_a_rule_without_conditions() -> None:
    rule = Rule.model_validate({"name": "stop", "reject": "closed for today"})
    assert rule.when == When()
    assert rule.reject == "closed for today"


@pytest.mark.parametrize("pattern", ["(", "*", "[a", "(?P<x>a)(?P<x>b)"])
def test_expressions_must_compile(pattern: str) -> None:
    with pytest.raises(ValidationError, match="is not a regular expression"):
        When.model_validate({"regex": pattern})


def test_kinds_of_statement_are_a_closed_list() -> None:
    with pytest.raises(ValidationError, match="'select', 'insert'"):
        When.model_validate({"statement": "SELECT"})


def test_kinds_of_statement_are_those_of_the_classifier() -> None:
    assert {kind.rule_name for kind in StatementKind} == set(get_args(Statement))
