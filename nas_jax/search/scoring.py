"""Networks compared with the weights of a shared supernet.

Batch statistics are estimated anew for every network: those of one would be wrong for
another (Guo et al., Single Path One-Shot, ECCV 2020, section 3.1).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nas_jax.base import PyTree, Scalar
from nas_jax.data.batches import Batch
from nas_jax.networks import network
from nas_jax.networks.batch_norm import BN_MOMENTUM
from nas_jax.spaces.architecture import Architecture
from nas_jax.supernet import shared
from nas_jax.supernet.shared import Choice
from nas_jax.training import losses


class Score(NamedTuple):
    """How well a network of the supernet does on validation images."""

    loss: Scalar
    accuracy: Scalar


def make_score(
    within: Architecture,
) -> Callable[[PyTree, Choice, Batch, Batch], Score]:
    """The jitted score of a network, for images of one side.

    It takes parameters of the widest network, the choice, and two batches as
    evaluated, in pieces of equal size: training images `[E B ...]` for the statistics,
    and validation images `[P B ...]`.
    """

    def score(params: PyTree, choice: Choice, seen: Batch, valid: Batch) -> Score:
        own = shared.extract(params, within)
        zeros = network.zero_stats(within)

        def statistics(images: jax.Array) -> PyTree:
            return shared.apply(within, own, zeros, choice, images, train=True)[1]

        # from 0 a running value moves to momentum times the batch's own
        moved = jax.lax.map(statistics, seen.images)
        stats = jax.tree.map(lambda leaf: leaf.mean(0) / BN_MOMENTUM, moved)

        def of_piece(piece: Batch) -> Score:
            logits, _ = shared.apply(
                within, own, stats, choice, piece.images, train=False
            )
            return Score(
                losses.cross_entropy(logits, piece.labels),
                losses.accuracy(logits, piece.labels),
            )

        return jax.tree.map(jnp.mean, jax.lax.map(of_piece, valid))

    return jax.jit(score)
