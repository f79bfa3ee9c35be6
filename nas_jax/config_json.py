"""Configurations back from JSON: what `dataclasses.asdict` made of them.

The classes check what their fields hold (`checks.require_types`).
"""

import dataclasses
import typing
from typing import Any

from nas_jax.config import Experiment, OwnSpace, SpaceConfig, TreeConfig


def experiment(document: Any) -> Experiment:
    """An experiment; `ValueError` naming a field that is missing, unknown or wrong."""
    return _dataclass([Experiment], document, "")


def space(document: Any) -> SpaceConfig | TreeConfig | OwnSpace:
    """The space of an experiment; raises `ValueError` as `experiment`."""
    return _dataclass([SpaceConfig, TreeConfig, OwnSpace], document, "space")


def _dataclass(kinds: list[Any], found: Any, name: str) -> Any:
    """The one of several dataclasses that knows all keys of an object."""
    words = " | ".join(kind.__name__ for kind in kinds)
    if not isinstance(found, dict):
        raise ValueError(
            f"{name or 'configuration'}: expected {words}, got {found!r:.60}"
        )
    unknown = [set(found) - {one.name for one in dataclasses.fields(k)} for k in kinds]
    fewest = min(range(len(kinds)), key=lambda index: len(unknown[index]))
    if unknown[fewest]:
        keys = sorted(unknown[fewest])[:5]
        raise ValueError(f"unknown keys {keys!r:.200} of {kinds[fewest].__name__}")
    kind, prefix = kinds[fewest], f"{name}." if name else ""
    for field in dataclasses.fields(kind):
        missing = dataclasses.MISSING
        has_default = (field.default, field.default_factory) != (missing, missing)
        if not has_default and field.name not in found:
            raise ValueError(f"{prefix}{field.name}: expected a value, got none")
    hints = typing.get_type_hints(kind)
    return kind(**{key: _value(hints[key], found[key], prefix + key) for key in found})


def _value(kind: Any, found: Any, name: str) -> Any:
    """Objects become dataclasses and lists tuples; the rest is as it stands."""
    choices = typing.get_args(kind) or (kind,)
    classes = [one for one in choices if dataclasses.is_dataclass(one)]
    if classes:
        return _dataclass(classes, found, name)
    return tuple(found) if isinstance(found, list) else found
