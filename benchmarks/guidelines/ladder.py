"""The sizes of network that the shipped records were made with, as search spaces.

A ladder of three widths; within a width the path is data, so that one compiled program
trains all its networks. Seven rungs, given beforehand, span a factor of 35 in
parameters; between them lie all the other paths.
"""

from typing import NamedTuple

import numpy as np

from nas_jax.config.space import SpaceConfig
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import Architecture, from_path
from nas_jax.spaces.space import SearchSpace

WIDTHS = (8, 16, 24)
"""Channels of the first stage; the second has twice as many, the head four times."""
CANDIDATES = ("mb3_k3", "mb6_k3", "mb3_k5", "zero")
CELLS = (3, 3)
_FEATURE_SIDE = 12
"""The first stage works on feature maps of at most this side."""


class Rung(NamedTuple):
    """Width in channels and the operations' indices, Int `[L]`."""

    width: int
    path: tuple[int, ...]


_SHALLOW, _MIDDLE, _DEEP, _WIDE = (
    (0, 3, 3) * 2,
    (0, 0, 3) * 2,
    (0, 0, 0) * 2,
    (1, 1, 1) * 2,
)
RUNGS = (
    *(Rung(8, path) for path in (_SHALLOW, _MIDDLE, _DEEP, _WIDE)),
    *(Rung(16, path) for path in (_DEEP, _WIDE)),
    Rung(24, _WIDE),
)
"""From smallest to largest: 1, 2, 3 blocks a stage, expansion 6, then wider. Each has
about twice the parameters of the one before."""
BUDGETS = (10_000, 32_000, 128_000)
"""Parameters at most, in each of which a network is searched."""


def config(input_size: int, channels: int, classes: int, width: int) -> SpaceConfig:
    """The space of a width: strides so that stage 1 sees at most 12 x 12."""
    strides: list[int] = []
    side = input_size
    for _ in range(2):  # of stem and first stage
        strides.append(2 if side > _FEATURE_SIDE else 1)
        side = -(-side // strides[-1])
    return SpaceConfig(
        name=f"guidelines_{input_size}px_{width}",
        input_size=input_size,
        input_channels=channels,
        classes=classes,
        stem_channels=width,
        stem_stride=strides[0],
        first_block_channels=None,
        stage_widths=(width, 2 * width),
        cells=CELLS,
        strides=(strides[1], 2),
        candidates=CANDIDATES,
        head_channels=4 * width,
    )


def searched(input_size: int, channels: int, classes: int, width: int) -> SearchSpace:
    """The space of a width for images and classes."""
    return builders.mobile(config(input_size, channels, classes, width))


def network(
    rung: Rung, input_size: int, channels: int, classes: int, name: str
) -> Architecture:
    """The network of a rung for images and classes."""
    own = searched(input_size, channels, classes, rung.width)
    return from_path(own, rung.path, name)


def drawn(rng: np.random.Generator, own: SearchSpace, width: int) -> Rung:
    """A path of the space, each layer's candidate drawn uniformly."""
    picks = [int(rng.choice(np.flatnonzero(row))) for row in own.mask]
    return Rung(width, tuple(picks))
