"""A search towards targets: `run` and `derive` of a notebook.

`Targets` are the costs and limits of one space, resolved and checked (`nas_jax.targets`
does it); the first is the target.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np

from nas_jax.base import PRNGKey, Probs
from nas_jax.config.experiment import Experiment
from nas_jax.config.search import SearchConfig, without_target
from nas_jax.search import derivation, loop, prune, spendable
from nas_jax.search.cost import CostModel, stack
from nas_jax.search.derivation import Limit
from nas_jax.search.loop import Epoch, SearchData
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace


class Costs(NamedTuple):
    """One cost of all candidates `[L K]`, and of the parts that are always there."""

    candidates: np.ndarray
    fixed: float

    def of_path(self, path: np.ndarray) -> float:
        """That of a path, Int `[L]`."""
        each = self.candidates[np.arange(len(path)), path]
        return float(self.fixed + each.sum())

    def reachable(self, mask: np.ndarray) -> tuple[float, float]:
        """Of the cheapest and of the dearest network; `mask` as of the space."""
        least = np.where(mask, self.candidates, np.inf).min(axis=1).sum()
        most = np.where(mask, self.candidates, -np.inf).max(axis=1).sum()
        return float(self.fixed + least), float(self.fixed + most)

    @property
    def model(self) -> CostModel:
        return CostModel(jnp.asarray(self.candidates, jnp.float32), self.fixed)


@dataclass(frozen=True)
class Targets:
    """Costs and limits of a search, checked against its space; the target first.

    `latency` is by the run's table, whatever the search counts; None without a table.
    `kept`, Bool `[L K]`, are the candidates that limits on a peak leave; None for all.
    """

    limits: tuple[Limit, ...]
    latency: Costs | None = None
    warnings: tuple[str, ...] = ()
    """What of them binds nothing, or cannot be spent, one line each."""
    kept: np.ndarray | None = None

    def within(self, space: SearchSpace) -> SearchSpace:
        """The space without the candidates beyond limits on a peak."""
        return space if self.kept is None else prune.restrict(space, self.kept)

    @property
    def target(self) -> float:
        return self.limits[0].target

    @property
    def costs(self) -> CostModel:
        """The model of the one cost, or of all D."""
        models = [Costs(limit.costs, limit.fixed).model for limit in self.limits]
        return models[0] if len(models) == 1 else stack(models)

    @property
    def values(self) -> Any:
        """The bound of the one cost, or of each of D, in Float64."""
        values = [limit.target for limit in self.limits]
        return values[0] if len(values) == 1 else np.array(values)

    def keeps(self, shape: int, path: np.ndarray) -> bool:
        """Whether a path keeps all limits beside the target; `shape` is the only one.

        As `ElasticGoal.keeps`, to rounding.
        """
        if self.kept is not None and not self.kept[np.arange(len(path)), path].all():
            return False
        return all(
            Costs(limit.costs, limit.fixed).of_path(path)
            <= limit.target * (1 + derivation.TIE)
            for limit in self.limits[1:]
        )

    def are_spent(self, space: SearchSpace) -> list[bool]:
        """Which of them a search of this space is to come to, not only to keep."""
        mask = self.within(space).mask
        spent = spendable.is_spent(mask, self.costs, self.values)
        return np.ravel(spent).tolist()


class Setup(Protocol):
    """What a search needs of an experiment with its data, as `nas_jax.load` gives."""

    @property
    def experiment(self) -> Experiment: ...
    @property
    def space(self) -> SearchSpace: ...
    @property
    def search_data(self) -> SearchData: ...


def run(
    setup: Setup,
    targets: Targets,
    *,
    key: PRNGKey,
    **options: Any,
) -> Iterator[Epoch]:
    """The epochs of a search, as `loop.run` yields them; nothing is written.

    `options` are those of `loop.run`: `compile`, `after`, `between_steps`.
    """
    # a target is an array: searches that share a warm-up share its programs
    config = without_target(setup.experiment.search)
    space = targets.within(setup.space)
    return loop.run(
        key,
        SearchProblem(space, config, targets.costs, targets.values),
        setup.search_data,
        **options,
    )


class Derived(NamedTuple):
    """A network of a search, and what its limits cost in probability."""

    architecture: Architecture
    cost: derivation.Derived


def derive(
    space: SearchSpace,
    probs: Probs,
    targets: Targets,
    *,
    max_slack: float = SearchConfig.max_slack,
    count: int = SearchConfig.finalists,
) -> list[Derived]:
    """The most probable networks within the limits that spend the target, best first.

    They leave at most the share `max_slack` of it, where such networks exist.
    """
    space = targets.within(space)
    ranked = derivation.ranked_within(
        space, np.asarray(probs), targets.limits, max_slack, count
    )
    return [
        Derived(architecture.from_path(space, cost.path, f"searched_{rank}"), cost)
        for rank, cost in enumerate(ranked, start=1)
    ]
