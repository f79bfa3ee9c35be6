"""What differs between two configurations, field by field, to be read."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from nas_jax.config.experiment import Experiment

RATES = ("search.lr", "search.warmup_lr", "search.arch_lr")
"""What a search may go on with changed: a lower rate after it diverged."""
WITHOUT_EFFECT = ("checkpoint_every_s", "checkpoints_kept")
"""What changes no result."""


class Change(NamedTuple):
    """One field, as saved and as given now."""

    field: str
    saved: Any
    given: Any

    def __str__(self) -> str:
        return f"{self.field} was {self.saved!r}, is given as {self.given!r}"


def changes(saved: Experiment, given: Experiment) -> list[Change]:
    """Every field in which two experiments differ.

    >>> from nas_jax.config.experiment import SpaceConfig
    >>> one = Experiment("one", space=SpaceConfig(cells=(1,) * 6))
    >>> [str(change) for change in changes(one, dataclasses.replace(one, seed=3))]
    ['seed was 0, is given as 3']
    """
    return list(_changes("", saved, given))


def _changes(prefix: str, saved: Any, given: Any) -> Iterator[Change]:
    if type(saved) is not type(given) or not dataclasses.is_dataclass(saved):
        if saved != given:
            yield Change(prefix, saved, given)
        return
    for field in dataclasses.fields(saved):
        name = f"{prefix}.{field.name}" if prefix else field.name
        yield from _changes(
            name, getattr(saved, field.name), getattr(given, field.name)
        )


def require_same(
    saved: Experiment, given: Experiment, origin: str, allowed: tuple[str, ...]
) -> list[Change]:
    """The changes, all of `allowed` fields or without effect.

    Raises:
      ValueError: for others, with `origin` and all of them.
    """
    found = changes(saved, given)
    refused = [one for one in found if one.field not in (*allowed, *WITHOUT_EFFECT)]
    if refused:
        raise ValueError(
            f"{origin}: expected the configuration that it was begun with, but "
            f"{'; '.join(map(str, refused))}; give it as it was, or start a new run"
        )
    return found
