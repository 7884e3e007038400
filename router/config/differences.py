"""What is different between two configurations, for people: path, before, after; secrets are compared, not shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

_HIDDEN = "***"
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """``path`` as in the file, with dots; ``before`` or ``after`` is empty for what has come or gone."""

    path: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before:
            return f"{self.path}: {self.after} (new)"
        return f"{self.path}: {self.before} → {self.after}" if self.after else f"{self.path}: {self.before} (gone)"


def differences(old: BaseModel, new: BaseModel) -> list[Difference]:
    """All of them, in the order of the models' fields."""
    return list(_compared("", old, new))


def _compared(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, BaseModel) and isinstance(new, BaseModel) and type(old) is type(new):
        for name, field in type(old).model_fields.items():
            yield from _compared(_joined(path, field.alias or name), getattr(old, name), getattr(new, name))
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _compared(_joined(path, str(key)), old.get(key, _MISSING), new.get(key, _MISSING))
    elif (old_names := _named(old)) is not None and (new_names := _named(new)) is not None:
        yield from _compared(path, old_names, new_names)
        if [name for name in old_names if name in new_names] != [name for name in new_names if name in old_names]:
            yield Difference(path, "order: " + ", ".join(old_names), "order: " + ", ".join(new_names))
    elif _plain(old) != _plain(new):
        yield Difference(path, _shown(old), _shown(new))


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _named(items: Any) -> dict[str, Any] | None:
    """Entries of a list by name, if all have one that is theirs alone."""
    if not isinstance(items, list):
        return None
    names = {str(getattr(item, "name", "") or getattr(item, "address", "")): item for item in items}
    return names if "" not in names and len(names) == len(items) else None


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    """As people would write it; empty for what is not there."""
    if value is _MISSING:
        return ""
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return _HIDDEN
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        given = [
            (fields[name].alias or name, getattr(value, name)) for name in fields if name in value.model_fields_set
        ]
        return "{" + ", ".join(f"{name}: {_shown(each)}" for name, each in given) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(_shown, value)) + "]" if isinstance(value, list) else str(value)
