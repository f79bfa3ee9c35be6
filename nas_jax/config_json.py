"""Configurations back from JSON: what `dataclasses.asdict` made of them, type by type.

Python checks no annotation, and a text where a number belongs would fail far from the
file that holds it.
"""

import dataclasses
import types
import typing
from typing import Any

from nas_jax.config import Experiment, SpaceConfig, TreeConfig


def experiment(document: Any) -> Experiment:
    """An experiment; `ValueError` naming a field that is missing, unknown or wrong."""
    return _read(Experiment, document, "")


def space(document: Any) -> SpaceConfig | TreeConfig:
    """The space of an experiment; raises `ValueError` as `experiment`."""
    return _read(SpaceConfig | TreeConfig, document, "space")


def _read(kind: Any, found: Any, name: str) -> Any:
    """`found` as a `kind`; of several dataclasses the one that knows all its keys."""
    choices = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        if isinstance(found, str) and found in choices:
            return found
    elif origin in (typing.Union, types.UnionType):
        fitting = [one for one in choices if _fits(one, found)]
        if fitting:
            return _read(fitting[0], found, name)
    elif origin is tuple:
        if isinstance(found, list):
            return tuple(_read(choices[0], one, name) for one in found)
    elif dataclasses.is_dataclass(kind):
        if isinstance(found, dict):
            return _dataclass(kind, found, name)
    elif _fits(kind, found):
        return found
    words = kind.__name__ if isinstance(kind, type) else str(kind)
    raise ValueError(f"{name or 'configuration'}: expected {words}, got {found!r:.60}")


def _fits(kind: Any, found: Any) -> bool:
    """Whether a value can be read as one of several types."""
    if dataclasses.is_dataclass(kind):
        names = {field.name for field in dataclasses.fields(kind)}
        return isinstance(found, dict) and set(found) <= names
    if kind is float:
        return isinstance(found, int | float) and not isinstance(found, bool)
    return type(found) is kind or (kind is type(None) and found is None)


def _dataclass(kind: Any, found: dict[str, Any], name: str) -> Any:
    hints, prefix = typing.get_type_hints(kind), f"{name}." if name else ""
    if unknown := sorted(set(found) - set(hints)):
        raise ValueError(f"unknown keys {unknown[:5]!r:.200} of {kind.__name__}")
    for field in dataclasses.fields(kind):
        missing = dataclasses.MISSING
        has_default = (field.default, field.default_factory) != (missing, missing)
        if not has_default and field.name not in found:
            raise ValueError(f"{prefix}{field.name}: expected a value, got none")
    values = {key: _read(hints[key], one, prefix + key) for key, one in found.items()}
    return kind(**values)
