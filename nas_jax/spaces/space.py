"""The search space, as static, hashable data without arrays.

A `SearchSpace` is a chain of parts in which L blocks are open: each `LayerSpec` lists
its candidate operations. Structure and rules: ProxylessNAS, section 3 and appendix;
widths and candidate order as in the reference implementation
(`mit-han-lab/proxylessnas`).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas_jax.spaces import topology
from nas_jax.spaces.operations import Block, OpSpec, Strided
from nas_jax.spaces.parts import (
    OURS,
    Classifier,
    Conventions,
    Head,
    Norm,
    Part,
    Stem,
)
from nas_jax.spaces.topology import Cell


@dataclass(frozen=True)
class LayerSpec(Strided):
    """A searchable layer: a block whose operation is one of `candidates`."""

    candidates: tuple[OpSpec, ...]
    in_channels: int
    out_channels: int
    stride: int
    input_size: int
    residual: bool = True
    """Whether the input is added to the output where their shapes are equal."""
    conventions: Conventions = field(default=OURS, repr=False)

    def __post_init__(self) -> None:
        if any(op.is_zero for op in self.candidates) and not self.shortcut:
            raise ValueError(
                "candidate 'zero' needs a shortcut, stride 1 and equal widths (it is "
                f"the identity there), got stride {self.stride}, {self.in_channels} -> "
                f"{self.out_channels} channels; remove it from this layer"
            )
        for op in self.candidates:
            if not op.can_stride(self.stride):
                raise ValueError(
                    f"candidate {op.name!r}: expected a depthwise convolution, which "
                    f"takes the stride of {self.stride}, got none; remove it from this "
                    "layer"
                )

    @property
    def shortcut(self) -> bool:
        is_same = self.stride == 1 and self.in_channels == self.out_channels
        return self.residual and is_same

    def block(self, op: OpSpec) -> Block:
        """This layer with one operation in its place."""
        if op not in self.candidates:
            names = ", ".join(candidate.name for candidate in self.candidates)
            raise ValueError(
                f"operation {op.name!r} is no candidate of this layer; its candidates "
                f"are {names}"
            )
        return Block(
            op=op,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            stride=self.stride,
            input_size=self.input_size,
            shortcut=self.shortcut,
        )


@dataclass(frozen=True)
class SearchSpace:
    """L searchable layers with K candidate operations, and the fixed parts around them.

    `candidates` fixes the order of the K operations for all arrays `[L K]`. The layers
    are a chain, or, with `cells`, the open operations of tree cells (`topology`).
    """

    name: str
    candidates: tuple[OpSpec, ...]
    stem: Stem
    first_block: Block | None
    layers: tuple[LayerSpec, ...]
    head: Head | Norm
    classifier: Classifier
    cells: tuple[Cell, ...] = ()
    conventions: Conventions = field(default=OURS, repr=False)
    """Of all parts and layers."""
    hand_designed: tuple[OpSpec, ...] = field(default=(), repr=False)
    """Operations of the network to compare with; of none, `mb6_k3` everywhere."""

    @property
    def shapes(self) -> "tuple[SearchSpace, ...]":
        """Itself: of one shape, where an `ElasticSpace` has several."""
        return (self,)

    @property
    def middle(self) -> "SearchSpace":
        """Itself likewise, where an `ElasticSpace` has its middle shape."""
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """H, W, C of an image."""
        size = self.stem.input_size
        return (size, size, self.stem.in_channels)

    @functools.cached_property
    def fixed(self) -> dict[str, Part]:
        """The parts that every network of the space contains, by name."""
        first = {} if self.first_block is None else {"first_block": self.first_block}
        return {
            "stem": self.stem,
            **first,
            **topology.fixed_parts(self.cells),
            "head": self.head,
            "classifier": self.classifier,
        }

    @property
    def fixed_parts(self) -> tuple[Part, ...]:
        return tuple(self.fixed.values())

    @functools.cached_property
    def runs(self) -> tuple[range, ...]:
        """The layers in order; equal neighbours with a shortcut form one run.

        A signal keeps its shape through a run, so one piece of code can be repeated
        over it. In cells every layer stands alone.
        """
        runs: list[range] = []
        for index, layer in enumerate(self.layers):
            is_repeated = index > 0 and layer == self.layers[index - 1]
            if is_repeated and layer.shortcut and not self.cells:
                runs[-1] = range(runs[-1].start, index + 1)
            else:
                runs.append(range(index, index + 1))
        return tuple(runs)

    def forward(self, fixed: topology.RunFixed, run: topology.RunLayer, x: Any) -> Any:
        """The way of a signal: `fixed(name, x)` and `run(index, x)` run the parts.

        `run` takes a place in `runs`, and adds the shortcuts of its layers.
        """
        x = fixed("stem", x)
        if self.first_block is not None:
            x = fixed("first_block", x)
        x = topology.forward(self.cells, [False] * len(self.runs), fixed, run, x)
        return fixed("classifier", fixed("head", x))

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """Bool `[L K]`: which operations each layer offers."""
        rows = [
            [op in layer.candidates for op in self.candidates] for layer in self.layers
        ]
        return np.array(rows, dtype=bool)

    @property
    def architectures(self) -> int:
        """Number of networks in the space."""
        return math.prod(len(layer.candidates) for layer in self.layers)

    def check_path(self, path: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns a path as Int `[L]`, or raises `ValueError` if it is not one.

        Inside a compiled step a wrong index would be clamped silently, so paths from
        outside are checked here.
        """
        array = np.asarray(path)
        valid = (
            array.shape == (len(self.layers),)
            and np.issubdtype(array.dtype, np.integer)
            and bool(((array >= 0) & (array < len(self.candidates))).all())
            and bool(self.mask[np.arange(len(array)), array].all())
        )
        if not valid:
            raise ValueError(
                f"path: expected {len(self.layers)} candidate indices of space "
                f"{self.name!r} (each below {len(self.candidates)} and offered by its "
                f"layer), got {array.tolist()}"
            )
        return array.astype(np.int32)
