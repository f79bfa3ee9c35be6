"""Spaces in which image side and widths are choices: several shapes of one network.

A *shape* is a `SearchSpace` like any other, with its own image side, stem and stage
widths; a network of the whole is a shape and a path through it. Width, depth,
expansion, kernel and resolution are what once-for-all networks choose among, too (Cai
et al., ICLR 2020).
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from nas_jax.config.space import AnySpace, ElasticConfig
from nas_jax.spaces import architecture, builders
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace


@dataclass(frozen=True)
class ElasticSpace:
    """All shapes, with the same stages, layers and candidates."""

    name: str
    shapes: tuple[SearchSpace, ...]
    middle: SearchSpace
    """The shape of middle side and widths."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the images, rising."""
        return tuple(sorted({shape.stem.input_size for shape in self.shapes}))

    @property
    def architectures(self) -> int:
        """Number of networks in the space."""
        return sum(shape.architectures for shape in self.shapes)

    @functools.cached_property
    def masks(self) -> np.ndarray:
        """Bool `[M L K]`: which operations each layer of each shape offers."""
        return np.stack([shape.mask for shape in self.shapes])

    def network(self, shape: int, path: np.ndarray, name: str) -> Architecture:
        """The network of a shape and a path, candidate indices `[L]`."""
        return architecture.from_path(self.shapes[shape], path, name)


@functools.lru_cache(maxsize=2)
def build(config: ElasticConfig) -> ElasticSpace:
    """Builds all shapes of the space that `config` describes.

    Shapes are in the order of their sides, then stems, then stage widths.

    Raises:
      ValueError: if no shape has widths that never fall.

    >>> config = ElasticConfig(input_sizes=(32, 48), stem_widths=(8,), cells=(1, 2),
    ...                        stage_choices=((8, 16), (16, 24)), strides=(1, 2))
    >>> space = build(config)
    >>> len(space.shapes), space.architectures == 4 * 6**2 * 7 + 4 * 7**2 * 6
    (8, True)
    """
    choices = itertools.product(
        config.input_sizes, config.stem_widths, itertools.product(*config.stage_choices)
    )
    shapes = tuple(
        builders.mobile(config.shape(side, stem, widths))
        for side, stem, widths in choices
        if sorted(widths) == [*widths]
    )
    if not shapes:
        raise ValueError(
            f"space {config.name!r}: expected widths that do not fall from stage to "
            "stage in one choice at least, got none; change space.stage_choices"
        )
    return ElasticSpace(config.name, shapes, builders.build(config))


def whole(config: AnySpace) -> SearchSpace | ElasticSpace:
    """All that an experiment may search: every shape, where there are several."""
    return (
        build(config) if isinstance(config, ElasticConfig) else builders.build(config)
    )


def place_of(
    space: SearchSpace | ElasticSpace, network: Architecture
) -> tuple[int, np.ndarray]:
    """The shape that a network has, and its path through it, Int `[L]`.

    Raises `ValueError` for a network of another space.
    """
    for place, shape in enumerate(space.shapes):
        try:
            return place, architecture.path_of(shape, network)
        except ValueError:  # of another shape
            continue
    raise ValueError(f"network {network.name!r} is none of space {space.name!r}")
