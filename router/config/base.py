"""What every mapping of the configuration file has in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema


class Mapping(BaseModel):
    """A mapping with known keys only; immutable, and a key without a value counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_keys(cls, data: Any) -> Any:
        # `rules:` with everything below it commented out is a null in YAML; its author means the default.
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class ShortMapping(Mapping):
    """A mapping that may be written as bare text, which then stands for its key ``_short``."""

    _short: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        return {cls._short: data} if isinstance(data, str) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        full = handler.resolve_ref_schema(handler(schema))
        text = dict(full["properties"][cls._short])
        return {"anyOf": [text, {key: value for key, value in full.items() if key != "description"}]}
