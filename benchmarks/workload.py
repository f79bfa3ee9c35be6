"""What is run: noise images, fixed sampled paths, and callables that take a step.

Every callable takes the next step along the list of paths, whoever computes it, so
whole passes through the list compare. S paths, L layers, K candidates.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from benchmarks import programs
from benchmarks.estimators import repeated
from benchmarks.settings import LARGEST
from nas_jax import supernet
from nas_jax.base import PathPair
from nas_jax.data.batches import Batch
from nas_jax.search.search_state import SearchState
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace

Call = Callable[[], None]
Paths = Int[np.ndarray, "S L"]


class Workload(NamedTuple):
    """A space, a batch of noise, active paths, and inactive ones beside them."""

    searched: SearchSpace
    batch: Batch
    active: Paths
    inactive: Paths

    @property
    def images(self) -> int:
        return len(self.batch.labels)

    @property
    def size(self) -> tuple[int, str]:
        """Images of the batch, and the type of their numbers."""
        return self.images, str(self.batch.images.dtype)


def make(
    searched: SearchSpace,
    images: int,
    paths: int,
    seed: int,
    among: int | None = None,
    dtype: str = "float32",
) -> Workload:
    """Draws images and paths from a seed.

    Paths are uniform over what each layer offers, or over the first `among` candidates.
    `zero` occurs in them where it is offered. The inactive candidate of a layer is
    uniform over the others.

    Raises:
      ValueError: if a layer offers a single candidate, so that there is no pair.
    """
    offered = searched.mask & (np.arange(len(searched.candidates)) < (among or np.inf))
    if (offered.sum(axis=1) < 2).any():
        raise ValueError(
            f"bench: expected at least 2 candidates in every layer of space "
            f"{searched.name!r}, got {offered.sum(axis=1).min()}; add one besides zero"
        )
    rng = np.random.default_rng(seed)
    shape = (images, *searched.input_shape)
    batch = Batch(
        jnp.asarray(rng.normal(size=shape), dtype),
        jnp.asarray(rng.integers(searched.classifier.classes, size=images), jnp.int32),
    )
    is_zero = np.array([op.kind == "zero" for op in searched.candidates])
    active = _draw(rng, np.tile(offered, (paths, 1, 1)))
    while (offered & is_zero).any() and not is_zero[active].any():
        active = _draw(rng, np.tile(offered, (paths, 1, 1)))
    is_active = np.eye(len(is_zero), dtype=bool)[active]
    return Workload(searched, batch, active, _draw(rng, offered & ~is_active))


def _draw(rng: np.random.Generator, offered: Bool[np.ndarray, "S L K"]) -> Paths:
    """One offered candidate each, uniformly: the largest of independent numbers."""
    return np.where(offered, rng.random(offered.shape), -1).argmax(2).astype(np.int32)


def networks(work: Workload) -> list[Architecture]:
    """The plain networks of the active paths."""
    return [
        architecture.from_path(work.searched, path, f"path_{index}")
        for index, path in enumerate(work.active)
    ]


def largest(searched: SearchSpace) -> Architecture:
    """The network that needs most memory: a program for all paths must hold it."""
    return architecture.homogeneous(searched, OpSpec.parse(LARGEST))


def start(work: Workload, seed: int) -> SearchState:
    """A fresh supernet."""
    return programs.init(jax.random.key(seed), work.searched)


def plain_step(work: Workload, state: SearchState) -> Call:
    """Training steps of the plain networks, each with its own state.

    Their first weights are those of the supernet.
    """
    calls = []
    for one in networks(work):
        own = supernet.extract(work.searched, state.params, state.batch_stats, one)
        begin = programs.plain_state(state.key, *own)
        run = programs.plain(one, *work.size).run
        calls.append(repeated(run, begin, work.batch))
    turn = itertools.cycle(calls)
    return lambda: next(turn)()


def weight_step(work: Workload, state: SearchState) -> Call:
    """Weight steps of the supernet along the active paths."""
    run, turn = (
        programs.weight(work.searched, *work.size).run,
        itertools.cycle(map(jnp.asarray, work.active)),
    )
    return repeated(
        lambda state, batch: run(state, next(turn), batch), state, work.batch
    )


def arch_step(work: Workload, state: SearchState) -> Call:
    """Architecture steps of the supernet on the pairs of paths."""
    run, turn = (
        programs.arch(work.searched, *work.size).run,
        itertools.cycle(
            PathPair(jnp.asarray(active), jnp.asarray(inactive))
            for active, inactive in zip(work.active, work.inactive, strict=True)
        ),
    )
    return repeated(
        lambda state, batch: run(state, next(turn), batch), state, work.batch
    )
