"""Networks of the same space to hold a searched one against."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from nas_jax.search import cost
from nas_jax.search.cost import CostModel
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace


def hand_designed(space: SearchSpace) -> Architecture:
    """3x3 kernels with expansion 6 everywhere: the MobileNetV2 choice.

    Raises `ValueError` if the space does not offer `mb6_k3` in every layer.
    """
    op = OpSpec.parse("mb6_k3")
    if not all(op in layer.candidates for layer in space.layers):
        raise ValueError(
            f"space {space.name!r} does not offer 'mb6_k3' in every layer, so it has "
            "no hand-designed baseline: add it to space.candidates"
        )
    ops = [op] * len(space.layers)
    return architecture.from_ops(space, ops, "baseline")


def cheapest(space: SearchSpace, model: CostModel) -> Architecture:
    """The network with the smallest latency by table."""
    costs = np.where(space.mask, np.asarray(model.costs), np.inf)
    return architecture.from_path(space, costs.argmin(axis=1), "cheapest")


def random_of_latency(
    rng: np.random.Generator,
    space: SearchSpace,
    model: CostModel,
    latency_ms: float,
    tolerance: float = 0.03,
    draws: int = 20_000,
) -> Architecture:
    """A uniformly drawn network within `tolerance` of a latency by table.

    Uniform over the networks of that latency: paths are drawn uniformly and the first
    one inside the tolerance is kept. If none of `draws` is (the latency lies in a thin
    tail of the space), the drawn network nearest to it is returned.
    """
    columns = [
        rng.choice(np.flatnonzero(offered), size=draws) for offered in space.mask
    ]
    paths = np.stack(columns, axis=1)
    gaps = np.abs(cost.of_paths(model, paths) / latency_ms - 1)
    inside = np.flatnonzero(gaps <= tolerance)
    chosen = inside[0] if len(inside) else gaps.argmin()
    return architecture.from_path(space, paths[chosen], "random")


def comparison(
    space: SearchSpace, model: CostModel, found: Architecture, random: int, seed: int
) -> dict[str, Architecture]:
    """The searched network and those to hold it against, by name.

    Args:
      space: the search space.
      model: latencies.
      found: the searched network.
      random: networks drawn at its latency.
      seed: of the drawing.
    """
    path = jnp.asarray(architecture.path_of(space, found))
    latency_ms = float(cost.of_path(model, path))
    numbers = np.random.default_rng(seed)
    drawn = [
        dataclasses.replace(
            random_of_latency(numbers, space, model, latency_ms),
            name=f"random_{index + 1}",
        )
        for index in range(random)
    ]
    networks = [found, hand_designed(space), cheapest(space, model), *drawn]
    return {network.name: network for network in networks}
