"""The settings of a profile as its pydantic models describe them: key, default, description."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import time
from typing import Any, get_args

from pydantic.fields import FieldInfo

from include.schemas.profile import Profile
from include.schemas.strict import StrictModel


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: Dotted path in the profile's file; `[]` after a table that may stand several times.
        default: As it would stand in TOML; "" where there is none to state.
        required: Whether the profile must hold it, or its table where that may be left out.
        description: The model's own words.
    """

    key: str
    default: str
    required: bool
    description: str


def settings(model: type[StrictModel] = Profile, prefix: str = "", required: bool = True) -> Iterator[Setting]:
    """Every setting that a profile may hold, in the order of the models."""
    for name, field in model.model_fields.items():
        inner = _inner_model(field.annotation)
        key = f"{prefix}{field.alias or name}"
        if inner is None:
            yield Setting(key, _default(field), required and field.is_required(), field.description or "")
            continue
        many = "[]" if inner is not field.annotation and "tuple" in str(field.annotation) else ""
        # What stands in a table that may be left out is required where the table is there.
        optional = field.default is None
        yield from settings(inner, f"{key}{many}.", optional or (required and field.is_required()))


def _inner_model(annotation: Any) -> type[StrictModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, StrictModel):
        return annotation
    found = (_inner_model(part) for part in get_args(annotation))
    return next((model for model in found if model), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    return _toml(field.get_default(call_default_factory=True))


def _toml(value: Any) -> str:
    """A value as TOML writes it; "" for None, which a file says by leaving the key out."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, int | float):
        return f"{value:_}"
    if isinstance(value, dict | tuple | list):
        return "{}" if value == {} else "[" + ", ".join(_toml(one) for one in value) + "]"
    return f'"{value}"'
