"""The JSON schema and the reference page follow the models; the files in the repository follow both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from router.config.reference import json_schema, reference_page

ROOT = Path(__file__).parents[2]


def is_valid(document: object) -> bool:
    return bool(jsonschema.Draft7Validator(json_schema()).is_valid(document))


def smallest(**more: Any) -> dict[str, Any]:
    return {"groups": {"main": {"servers": ["a:1"]}}, "users": {"app": {"password": "x"}}, **more}


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "document",
    [
        smallest(),
        smallest(listeners=["a:1", {"address": "unix:/x"}]),
        smallest(rules=None, limits=None),
        smallest(workers="auto", limits={"max_connections": "${env:N}", "idle_timeout": "8h", "max_allowed_packet": 5}),
        smallest(limits={"idle_timeout": 5.5, "max_allowed_packet": "16MiB"}),
        smallest(rules=[{"when": {"schema": "x"}, "send_to": {"role": "replica"}}]),
        smallest(groups={"m": {"servers": [{"address": "a:1"}], "reads": {"from": "any"}}}),
        smallest(schemas={"s": {"tables": {"t": {"shard_by": "a", "with": "u", "ranges": {"s": [None, 5]}}}}}),
    ],
)
def test_the_schema_accepts(document: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(json_schema()).validate(document)


@pytest.mark.parametrize(
    "document",
    [
        {},
        smallest(wokers=1),
        smallest(workers=0),
        smallest(listeners=["a"]),
        smallest(limits={"max_connections": 0}),
        smallest(limits={"max_connections": "many"}),
        smallest(limits={"idle_timeout": "8 hours"}),
        smallest(limits={"max_allowed_packet": "16X"}),
        smallest(groups={"m": {"servers": [{"role": "primary"}]}}),
        smallest(groups={"m": {"servers": ["a:1"], "reads": {"from_": "any"}}}),
        smallest(logging={"level": "loud"}),
    ],
)
def test_the_schema_refuses(document: dict[str, Any]) -> None:
    assert not is_valid(document)


def test_every_key_is_described_for_the_editor() -> None:
    schema = json_schema()
    for definition in [schema, *schema["$defs"].values()]:
        mapping = definition["anyOf"][1] if "anyOf" in definition else definition
        for key, value in mapping["properties"].items():
            assert value["description"], key


def test_defaults_are_spelled_as_in_the_file() -> None:
    limits = json_schema()["$defs"]["Limits"]["properties"]
    assert limits["idle_timeout"]["default"] == "8h"
    assert limits["max_allowed_packet"]["default"] == "64MiB"
    assert limits["max_connections"]["default"] == 10_000


def test_the_page_names_every_key() -> None:
    page = reference_page()
    schema = json_schema()
    for name, definition in schema["$defs"].items():
        assert f"\n## {name}\n" in page
        mapping = definition["anyOf"][1] if "anyOf" in definition else definition
        for key in mapping["properties"]:
            assert f"\n| `{key}` | " in page


def test_generated_files_are_up_to_date() -> None:
    """`make schema docs` writes them."""
    assert json.loads((ROOT / "config/routes.schema.json").read_text()) == json_schema()
    assert (ROOT / "docs/reference/configuration.md").read_text() == reference_page()


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_match_the_schema(path: Path) -> None:
    assert path.read_text().startswith("# yaml-language-server: $schema=./routes.schema.json\n")
    jsonschema.Draft7Validator(json_schema()).validate(YAML(typ="safe").load(path))
