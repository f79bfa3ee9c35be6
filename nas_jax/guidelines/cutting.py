"""A search space cut to a recommended size: `search --from-recommendation`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from nas_jax.config import files
from nas_jax.config.experiment import Experiment
from nas_jax.config.from_json import from_json
from nas_jax.config.space import SpaceConfig
from nas_jax.networks import counts
from nas_jax.spaces import builders

MULTIPLIERS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.13, 0.1)
"""Widths tried, as shares of the experiment's; widths are multiples of 8."""


def cut(experiment: Experiment, recommendation: Path) -> tuple[Experiment, int]:
    """The experiment with a space of at most the recommended parameters.

    The space gets narrower as long as that helps, then stages of fewer layers, as wide
    as fits. Beside it the parameters of the largest network of that space.

    Compared is the largest network of the space with the high end of the recommended
    range, `size.params_high` of what `nas_jax recommend --json` printed.

    Raises:
      ValueError: if the file is no recommendation or has no size, if the space is made
        of tree cells, or if even the smallest space has larger networks.
    """
    most = _params_high(recommendation)
    config = experiment.space
    if not isinstance(config, SpaceConfig):
        raise ValueError(
            f"experiment {experiment.name!r}: expected a space of blocks of given "
            "widths to cut, got tree cells, a space of its own or widths as choices; "
            "leave out --from-recommendation"
        )
    smallest = None
    for deepest in range(max(config.cells), 0, -1):
        cells = tuple(min(one, deepest) for one in config.cells)
        for multiplier in MULTIPLIERS:
            width_mult = multiplier * config.width_mult
            own = dataclasses.replace(config, width_mult=width_mult, cells=cells)
            smallest = largest_params(own)
            if smallest <= most:
                return dataclasses.replace(experiment, space=own), smallest
    raise ValueError(
        f"{recommendation}: expected a size that the space can be cut to, got at most "
        f"{most:,} parameters; at its narrowest with one block a stage it has "
        f"{smallest:,}; choose another experiment"
    )


def largest_params(config: SpaceConfig) -> int:
    """Parameters of the largest network of a space."""
    table, fixed = counts.costs(builders.mobile(config), counts.params)
    return int(table.max(axis=1).sum() + fixed)


@dataclass(frozen=True)
class _Size:
    params_high: Annotated[int, Ge(1)]


@dataclass(frozen=True)
class _Answer:
    """Of what 'nas_jax recommend --json' prints, what is needed here."""

    size: _Size | None
    basis: str = ""
    reason: str | None = None


def _params_high(file: Path) -> int:
    try:
        answer = from_json(_Answer, files.read_json(file), f"{file}: ", extra="ignore")
    except ValueError as error:
        raise ValueError(
            f"{error}; give what 'nas_jax recommend --json' prints"
        ) from error
    if answer.size is None:
        raise ValueError(
            f"{file}: expected a recommended size, got none: "
            f"{answer.reason or answer.basis}"
        )
    return answer.size.params_high
