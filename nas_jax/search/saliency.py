"""Which networks keep most of what a given network answers, before any training.

A network cut from the weights of a given one (`networks.inherit`) answers otherwise.
With the logits a of the given network and a' of the other, both less their mean over
images, it has lost

    1 - mean over images of cos(a, a')

Each choice is tried alone, all else as given: every operation of every layer, and every
shape. The losses are taken to add up, so the network of a latency that keeps most is a
knapsack, exactly solved for each shape. HALP prunes channels so (Shen et al., NeurIPS
2022), LANA exchanges layers so (Molchanov et al., ECCV 2022).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nas_jax.base import Images, PRNGKey, PyTree
from nas_jax.networks import inherit, network
from nas_jax.networks.checkpoint import Model
from nas_jax.search import knapsack
from nas_jax.search.targets import Costs
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.space import SearchSpace
from nas_jax.supernet import shared

Choice = int | tuple[int, OpSpec]
"""One choice alone: a shape by its place, or a layer's operation."""


class Saliency(NamedTuple):
    """What each choice loses alone."""

    shapes: Float[np.ndarray, "M"]
    layers: Float[np.ndarray, "L K"]
    """Infinite for operations that a layer does not offer."""


class Judge:
    """Answers of networks with weights of a given one, a program per side for all.

    `given` has the classes of its own and the largest side of the space; `images` are
    some, the same at every side.
    """

    def __init__(
        self,
        given: Model,
        space: ElasticSpace,
        images: Mapping[int, Images],
        key: PRNGKey,
    ) -> None:
        self._classes = given.architecture.classifier.classes
        self._images = images
        largest = [
            architecture.from_ops(shape, _largest(shape), "largest")
            for shape in space.shapes
        ]
        within = shared.widest([given.architecture, *map(self._answering, largest)])
        self._params = inherit.inherit(given, within, key, in_order=True).params
        stats = network.zero_stats(within)

        @jax.jit
        def answers(params: PyTree, choice: shared.Choice, images: Images) -> Array:
            logits, _ = shared.apply(within, params, stats, choice, images, train=True)
            centred = logits - logits.mean(axis=0, keepdims=True)
            return centred / jnp.linalg.norm(centred, axis=1, keepdims=True)

        self._answers = answers
        self._given = self._of(given.architecture, max(space.sides))

    def lost(self, one: Architecture) -> float:
        """From 0, where it answers as the given network, to 1 and above."""
        own = self._of(self._answering(one), one.stem.input_size)
        return float(1 - (own * self._given).sum(axis=1).mean())

    def _of(self, one: Architecture, side: int) -> jax.Array:
        return self._answers(self._params, shared.choice(one), self._images[side])

    def _answering(self, one: Architecture) -> Architecture:
        """A network with the classes of the given one."""
        return replace(one, classifier=replace(one.classifier, classes=self._classes))


def cuts(space: ElasticSpace, given: Architecture) -> dict[Choice, Architecture]:
    """The networks in which one choice differs from the given network."""
    own = _searched(space, given)
    found: dict[Choice, Architecture] = {
        place: architecture.from_ops(shape, _nearest(shape, own), "cut")
        for place, shape in enumerate(space.shapes)
    }
    first = len(given.blocks) - len(own)
    for place, layer in enumerate(space.middle.layers):
        for op in layer.candidates:
            began = _beginning(op, own[place])
            if began != own[place]:
                blocks = list(given.blocks)
                blocks[first + place] = replace(blocks[first + place], op=began)
                found[place, began] = replace(given, blocks=tuple(blocks))
    return found


def of(
    space: ElasticSpace, given: Architecture, losses: Mapping[Choice, float]
) -> Saliency:
    """The losses of `cuts` in their places; 0 for what the given network has."""
    own = _searched(space, given)
    layers = np.full(space.middle.mask.shape, np.inf)
    for place, column in np.argwhere(space.middle.mask):
        began = _beginning(space.middle.candidates[column], own[place])
        layers[place, column] = losses.get((int(place), began), 0.0)
    shapes = np.array([losses[place] for place in range(len(space.shapes))])
    return Saliency(shapes, layers)


def ranked(
    space: ElasticSpace,
    found: Saliency,
    costs: Sequence[Costs],
    target: float,
    count: int,
    masks: Sequence[np.ndarray] | None = None,
) -> list[tuple[int, np.ndarray]]:
    """Networks that cost at most the target, those that should lose least first.

    `masks` are the candidates that they may have, by default all. Shape and path of
    each. The best of every shape, then, if these are fewer than `count`, the second
    best, and so on: the next ones of one shape hardly differ.
    """
    each = -(-count // len(space.shapes))
    rows: list[tuple[int, float, int, np.ndarray]] = []
    if masks is None:
        masks = [shape.mask for shape in space.shapes]
    for place, (mask, own) in enumerate(zip(masks, costs, strict=True)):
        if not mask.any(axis=1).all():
            continue
        values = np.where(mask, -found.layers, -np.inf)
        chosen = knapsack.ranked(
            values,
            own.candidates[None],
            np.array([own.fixed]),
            np.array([target]),
            each,
        )
        for rank, one in enumerate(chosen.choices):
            rows.append((rank, found.shapes[place] - one.value, place, one.picks))
    rows.sort(key=lambda row: row[:2])
    return [(place, picks) for _, _, place, picks in rows[:count]]


def _searched(space: ElasticSpace, given: Architecture) -> list[OpSpec]:
    """The given network's operations in the layers of the space."""
    return [block.op for block in given.blocks[-len(space.middle.layers) :]]


def _beginning(op: OpSpec, own: OpSpec) -> OpSpec:
    """What an operation computes when it begins: larger ones do what the given did."""
    if op.is_zero or own.is_zero:
        return op if op.is_zero else own
    kernel = min(op.kernel, own.kernel)
    return replace(own, kernel=kernel, expansion=min(op.expansion, own.expansion))


def _nearest(shape: SearchSpace, ops: Sequence[OpSpec]) -> list[OpSpec]:
    """Those operations where a shape offers them, its largest where it does not."""
    return [
        op if op in layer.candidates else largest
        for layer, op, largest in zip(shape.layers, ops, _largest(shape), strict=True)
    ]


def _largest(shape: SearchSpace) -> list[OpSpec]:
    return [max(layer.candidates, key=_size) for layer in shape.layers]


def _size(op: OpSpec) -> tuple[float, int]:
    return (0, 0) if op.is_zero else (op.expansion, op.kernel)
