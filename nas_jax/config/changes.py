"""Differences between two configurations, field by field."""

import dataclasses
from typing import Any, NamedTuple

from nas_jax.config.experiment import Experiment

RATES = ("search.lr", "search.warmup_lr", "search.arch_lr")
"""Fields that may differ when a search resumes: a lower rate after it diverged."""
WITHOUT_EFFECT = ("checkpoint_every_s", "checkpoints_kept", "data.path")
"""Fields that change no result; a run compares its data wherever they lie."""


class Change(NamedTuple):
    """A field that differs between two configurations."""

    field: str
    saved: Any
    given: Any

    def __str__(self) -> str:
        return f"{self.field} was {self.saved!r}, is given as {self.given!r}"


def changes(saved: Any, given: Any, prefix: str = "") -> list[Change]:
    """Every field in which two experiments, or parts of them, differ.

    >>> from nas_jax.config.experiment import SpaceConfig
    >>> one = Experiment("one", space=SpaceConfig(cells=(1,) * 6))
    >>> [str(change) for change in changes(one, dataclasses.replace(one, seed=3))]
    ['seed was 0, is given as 3']
    """
    if type(saved) is not type(given) or not dataclasses.is_dataclass(saved):
        return [] if saved == given else [Change(prefix, saved, given)]
    return [
        change
        for name in vars(saved)
        for change in changes(
            getattr(saved, name), getattr(given, name), f"{prefix}.{name}".strip(".")
        )
    ]


def require_same(
    saved: Experiment, given: Experiment, origin: str, allowed: tuple[str, ...]
) -> list[Change]:
    """The changes, all of `allowed` fields or without effect.

    Raises:
      ValueError: for others, with `origin` and all of them.
    """
    every = changes(saved, given)
    refused = [one for one in every if one.field not in (*allowed, *WITHOUT_EFFECT)]
    if refused:
        raise ValueError(
            f"{origin}: expected the configuration that it was begun with, but "
            f"{'; '.join(map(str, refused))}; give it as it was, or start a new run"
        )
    return every
