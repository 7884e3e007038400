"""Mappings: unknown keys, empty keys, short forms."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from router.config.base import Mapping, ShortMapping


class Box(ShortMapping):
    """A mapping with a short form."""

    _short: ClassVar[str] = "label"

    label: str = Field(description="Text on the box.")
    size: int = Field(default=1, description="Its size.")


class Shelf(Mapping):
    """A mapping of boxes."""

    boxes: list[Box] = Field(default=[], description="The boxes.")


def test_a_short_form_stands_for_one_key() -> None:
    assert Shelf.model_validate({"boxes": ["a", {"label": "b", "size": 2}]}) == Shelf(
        boxes=[Box(label="a"), Box(label="b", size=2)]
    )
    with pytest.raises(ValidationError):
        Shelf.model_validate({"boxes": [5]})


def test_a_key_without_a_value_is_not_given() -> None:
    assert Shelf.model_validate({"boxes": None}) == Shelf()
    assert Shelf.model_validate({"boxes": [{"label": "a", "size": None}]}).boxes[0].size == 1
    with pytest.raises(ValidationError, match="missing"):
        Shelf.model_validate({"boxes": [{"label": None}]})


def test_unknown_keys_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Shelf.model_validate({"boxs": []})
    with pytest.raises(ValidationError, match="frozen"):
        Shelf().boxes = []


def test_errors_do_not_show_the_input() -> None:
    with pytest.raises(ValidationError) as raised:
        Shelf.model_validate({"boxes": [{"label": "a", "size": "hunter2"}]})
    assert "hunter2" not in str(raised.value)


def test_the_json_schema_accepts_both_forms() -> None:
    variants = Shelf.model_json_schema()["$defs"]["Box"]["anyOf"]
    assert [variant["type"] for variant in variants] == ["string", "object"]
    assert variants[0]["description"] == "Text on the box."
