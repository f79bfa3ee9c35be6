"""New values for fields of an experiment, as `--search.target-ratio 0.6` gives them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from nas_jax.config import shipped
from nas_jax.config.experiment import Experiment
from nas_jax.config.naming import meant
from nas_jax.config.search import TARGET_FIELDS, without_target


def load(name: str, fields: Mapping[str, Any] | None = None) -> Experiment:
    """An experiment, by the name of a shipped one or its file, with fields replaced.

    >>> load("digits_cpu", {"train.epochs": 20, "seed": 3}).seed
    3

    Raises `ValueError` as `apply`, and as `shipped.load_experiment`.
    """
    return apply(shipped.load_experiment(name), fields or {})


def apply(experiment: Experiment, fields: Mapping[str, Any]) -> Experiment:
    """The experiment with the given fields replaced.

    A target given here takes the place of the experiment's, whichever way that was
    stated. With `train.epochs` warm-up, average and frozen epochs keep their share of
    the time, unless they are given, too.

    >>> apply(Experiment("mine"), {"search.target_ms": 0.2}).search.target_ms
    0.2

    Raises:
      ValueError: for an unknown field or a refused value.
    """
    if any(f"search.{name}" in fields for name in TARGET_FIELDS):
        search = without_target(experiment.search)
        experiment = dataclasses.replace(experiment, search=search)
    epochs = fields.get("train.epochs")
    if isinstance(epochs, int) and epochs > 0:
        train = experiment.train.lasting(epochs)
        experiment = dataclasses.replace(experiment, train=train)
    return replaced(experiment, fields)


def replaced(config: Any, fields: Mapping[str, Any], prefix: str = "") -> Any:
    """Any dataclass of settings with fields replaced, also of those in it."""
    known = [one.name for one in dataclasses.fields(config)]
    below: dict[str, dict[str, Any]] = {}
    new: dict[str, Any] = {}
    for name, value in fields.items():
        first, dot, rest = name.partition(".")
        if first not in known:
            raise ValueError(
                f"{prefix}{name}: expected a field of the experiment's "
                f"{type(config).__name__}, which has none of that name"
                f"{meant(first, known, prefix)}"
            )
        if dot:
            below.setdefault(first, {})[rest] = value
        else:
            new[name] = value
    for name, inside in below.items():
        new[name] = replaced(getattr(config, name), inside, f"{prefix}{name}.")
    return dataclasses.replace(config, **new)


def words(fields: Mapping[str, Any]) -> list[str]:
    """Fields as they are typed.

    >>> words({"data.flip": False, "space.cells": (1, 2), "search.lr": 0.1})
    ['--data.no-flip', '--space.cells', '1', '2', '--search.lr', '0.1']
    """
    found = []
    for name, value in fields.items():
        head, dot, tail = name.replace("_", "-").rpartition(".")
        is_off = value is False
        found.append(f"--{head}{dot}{'no-' if is_off else ''}{tail}")
        if not isinstance(value, bool):
            each = value if isinstance(value, tuple) else (value,)
            # 8,16 is one of several where each is several itself
            found += (
                ",".join(map(str, one)) if isinstance(one, tuple) else str(one)
                for one in each
            )
    return found
