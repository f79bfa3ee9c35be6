"""Baselines: networks of the same space to compare a searched one with."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from nas_jax.search import census, cost
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
) -> Architecture:
    """A network drawn uniformly of those within `tolerance` of a latency by table.

    If there is none, of those of the latency nearest to it.
    """
    costs, fixed = np.asarray(model.costs, np.float64), float(model.fixed)
    most = max(latency_ms * (1 + tolerance), cost.reachable(model, space.mask)[1])
    counted = census.of(costs, space.mask, fixed, most)
    low, high = latency_ms * (1 - tolerance), latency_ms * (1 + tolerance)
    if not counted.between(low, high):
        low = high = counted.nearest(latency_ms)
    path = counted.draw(rng, low - counted.unit / 4, high + counted.unit / 4)
    return architecture.from_path(space, path, "random")


def comparison(
    space: SearchSpace,
    model: CostModel,
    searched: Architecture,
    random: int,
    seed: int,
) -> dict[str, Architecture]:
    """The searched network and its baselines, by name; `random` at its latency."""
    path = jnp.asarray(architecture.path_of(space, searched))
    latency_ms, rng = float(cost.of_path(model, path)), np.random.default_rng(seed)
    networks = [searched, hand_designed(space), cheapest(space, model)]
    for place in range(1, random + 1):
        drawn = random_of_latency(rng, space, model, latency_ms)
        networks.append(dataclasses.replace(drawn, name=f"random_{place}"))
    return {network.name: network for network in networks}
