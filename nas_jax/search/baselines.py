"""Baselines: networks of the same space to compare a searched one with."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from nas_jax.search import elastic_census
from nas_jax.search.targets import Costs
from nas_jax.spaces import architecture, elastic
from nas_jax.spaces.architecture import Architecture, hand_designed
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace

Space = SearchSpace | ElasticSpace
Keeps = Callable[[int, np.ndarray], bool]
"""Whether a network, by its shape and path, keeps the limits of a search."""
TRIES = 500
"""Networks drawn until one keeps the limits."""
_ZERO = OpSpec.parse("zero")
_EVEN = 0.5
"""Spread of widths below which a network counts as scaled evenly."""


def cheapest(space: Space, costs: Sequence[Costs]) -> Architecture:
    """The network with the smallest latency by table."""
    shape, own = min(
        zip(space.shapes, costs, strict=True),
        key=lambda pair: pair[1].reachable(pair[0].mask)[0],
    )
    path = np.where(shape.mask, own.candidates, np.inf).argmin(axis=1)
    return architecture.from_path(shape, path, "cheapest")


def random_of_latency(
    rng: np.random.Generator,
    space: Space,
    costs: Sequence[Costs],
    latency_ms: float,
    tolerance: float = 0.03,
) -> Architecture:
    """A network within `tolerance` of a latency by table (`ElasticCensus.draw`).

    If there is none, of those of the latency nearest to it.
    """
    _, network = next(_drawn(rng, space, costs, latency_ms, tolerance))
    return network


def _drawn(
    rng: np.random.Generator,
    space: Space,
    costs: Sequence[Costs],
    latency_ms: float,
    tolerance: float = 0.03,
) -> Iterator[tuple[tuple[int, np.ndarray], Architecture]]:
    """Networks of a latency without end, each after its shape and path."""
    dearest = max(
        own.reachable(shape.mask)[1]
        for shape, own in zip(space.shapes, costs, strict=True)
    )
    low, high = latency_ms * (1 - tolerance), latency_ms * (1 + tolerance)
    counted = elastic_census.of(space, costs, max(high, dearest))
    if not counted.between(low, high):
        low = high = counted.nearest(latency_ms)
    margin = counted.unit / 4

    while True:
        shape, path = counted.draw(rng, low - margin, high + margin)
        network = architecture.from_path(space.shapes[shape], path, "random")
        yield (shape, path), network


def _any(shape: int, path: np.ndarray) -> bool:
    return True


def scaled(
    space: Space,
    costs: Sequence[Costs],
    latency_ms: float,
    count: int,
    within: tuple[float, float] = (0.85, 1.05),
    *,
    like: Architecture | None = None,
    keeps: Keeps = _any,
) -> list[Architecture]:
    """The hand-designed network scaled to a latency, in as many as `count` ways.

    What a person would do instead of searching: one expansion and 3x3 kernels
    everywhere, every stage as deep and as wide as the others, and the side of the
    images; of those whose latency is `within` these shares the nearest, `scaled_1`
    first, and none beyond what `keeps` allows. So few choices seldom meet a latency to
    a per cent. With `like`, which networks start from, its kernels stand in place of
    3x3: it is thinned.
    """
    widths = _levels(space)
    found: list[tuple[float, Architecture]] = []
    for number, (shape, own) in enumerate(zip(space.shapes, costs, strict=True)):
        if (shape.stem.out_channels, *_widths(shape)) not in widths:
            continue
        for expansion, depth in itertools.product(_expansions(shape), _depths(shape)):
            ops = [
                _ZERO if place >= depth and _ZERO in layer.candidates else op
                for place, layer, op in zip(
                    _places(shape),
                    shape.layers,
                    _with_kernels(shape, expansion, like),
                    strict=True,
                )
            ]
            network = architecture.from_ops(shape, ops, "scaled")
            path = architecture.path_of(shape, network)
            share = own.of_path(path) / latency_ms
            is_near = within[0] <= share <= within[1] and keeps(number, path)
            off = abs(share - 1)
            if is_near and network not in (one for _, one in found):
                found.append((off, network))
    nearest = sorted(found, key=lambda one: one[0])[:count]
    return [
        dataclasses.replace(network, name=f"scaled_{place}")
        for place, (_, network) in enumerate(nearest, start=1)
    ]


def _widths(shape: SearchSpace) -> tuple[int, ...]:
    return tuple(layer.out_channels for layer in shape.layers)


def _levels(space: Space) -> set[tuple[int, ...]]:
    """Stem and layer widths where each is as wide as the others, among its choices."""
    every = sorted({(one.stem.out_channels, *_widths(one)) for one in space.shapes})
    choices = [sorted(set(column)) for column in zip(*every, strict=True)]

    def spread(row: tuple[int, ...]) -> float:
        """Between the widest and the narrowest layer, from 0 to 1 of the choices."""
        levels = [
            widths.index(width) / (len(widths) - 1)
            for widths, width in zip(choices, row, strict=True)
            if len(widths) > 1
        ]
        return max(levels, default=0.0) - min(levels, default=0.0)

    return {row for row in every if spread(row) < _EVEN}


def _expansions(shape: SearchSpace) -> list[OpSpec]:
    """The 3x3 inverted bottlenecks that every layer offers."""
    return [
        op
        for op in shape.candidates
        if op.is_inverted_bottleneck
        and op.kernel == 3
        and all(op in layer.candidates for layer in shape.layers)
    ]


def _with_kernels(
    shape: SearchSpace, op: OpSpec, like: Architecture | None
) -> list[OpSpec]:
    """An operation for every layer, with the kernels of another network's blocks."""
    layers = shape.layers
    if like is None:
        return [op] * len(layers)
    blocks = like.blocks[len(like.blocks) - len(layers) :]
    kernels = (op if one.op.is_zero else one.op for one in blocks)
    return [dataclasses.replace(op, kernel=one.kernel) for one in kernels]


def _places(shape: SearchSpace) -> list[int]:
    """Of each layer, which it is in its stage, from 0."""
    places: list[int] = []
    for place, layer in enumerate(shape.layers):
        before = shape.layers[place - 1] if place else None
        is_same = before is not None and (
            layer.stride == 1 and before.out_channels == layer.out_channels
        )
        places.append(places[-1] + 1 if is_same else 0)
    return places


def _depths(shape: SearchSpace) -> range:
    return range(1, max(_places(shape)) + 2)


def comparison(
    space: Space,
    costs: Sequence[Costs],
    searched: Architecture,
    random: int,
    seed: int,
    keeps: Keeps = _any,
) -> dict[str, Architecture]:
    """The searched network and its baselines, by name; `random` at its latency.

    `costs` are the latencies by table of every shape of the space. Of the random ones
    each is the first of `TRIES` that `keeps` allows; where none is, they are fewer.
    """
    latency_ms, rng = latency_of(space, costs, searched), np.random.default_rng(seed)
    networks = [searched, hand_designed(space.middle), cheapest(space, costs)]
    drawn = _drawn(rng, space, costs, latency_ms)
    for place in range(1, random + 1):
        tried = itertools.islice(drawn, TRIES)
        found = next((network for at, network in tried if keeps(*at)), None)
        if found is not None:
            networks.append(dataclasses.replace(found, name=f"random_{place}"))
    return {network.name: network for network in networks}


def latency_of(space: Space, costs: Sequence[Costs], network: Architecture) -> float:
    """The latency of a network of the space in ms, by table."""
    shape, path = elastic.place_of(space, network)
    return costs[shape].of_path(path)
