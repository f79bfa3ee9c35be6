"""Depthwise convolutions and batch normalisations alone, in two forms each.

The shapes are those of the searchable layers at their largest expansion. `backends`
says which form a step has; here both are timed on the same arrays.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax

from benchmarks import turns
from benchmarks.settings import GpuConfig
from nas_jax.latency.runtimes import xla
from nas_jax.networks import backends, batch_norm, depthwise
from nas_jax.spaces import builders
from nas_jax.spaces.operations import Block
from nas_jax.spaces.parts import BN_EPS
from nas_jax.spaces.space import SearchSpace
from nas_jax.training.progress import Progress

Compute = Callable[[Any], Any]
Shape = tuple[int, ...]


class Piece(NamedTuple):
    """Computations of one shape: both forms, forward and gradients, by name."""

    name: str
    shapes: list[Shape]
    """Of the arrays that each of them takes."""
    computations: dict[str, Compute]

    @property
    def elements(self) -> int:
        batch, height, width, channels = self.shapes[0]
        return batch * height * width * channels


def measure(config: GpuConfig, kind: str, until: float) -> dict[str, Any]:
    """Milliseconds of the shapes of a kind, the largest first, those begun by `until`.

    `until` is in seconds since the epoch.
    """
    make = {"depthwise": depthwise_pieces, "batch_norm": batch_norm_pieces}[kind]
    made = {one.name: one for one in make(builders.mobile(config.space), config.batch)}
    pieces = sorted(made.values(), key=lambda one: -one.elements)
    rows: dict[str, dict[str, float]] = {}
    for piece in pieces:
        if time.time() > until:
            break
        rows[piece.name] = _times(piece, config)
    figures: dict[str, float] = {
        "shapes": len(rows),
        "left_out": len(pieces) - len(rows),
    }
    for name in pieces[0].computations:
        figures[f"{name}_ms"] = sum(row[name] for row in rows.values())
    return {"figures": figures, "ms": rows}


def _times(piece: Piece, config: GpuConfig) -> dict[str, float]:
    keys = jax.random.split(jax.random.key(config.seed), len(piece.shapes))
    # variances among them
    arrays = [
        jax.random.uniform(key, shape, minval=0.5, maxval=1.5)
        for key, shape in zip(keys, piece.shapes, strict=True)
    ]
    calls = {
        name: xla.repeated(functools.partial(_of_arrays, compute), arrays, None)
        for name, compute in piece.computations.items()
    }
    times = turns.in_turns(calls, rounds=config.rounds, steps=1, watch=Progress())
    return {name: ms["min"] / xla.INNER for name, ms in times.items()}


def _of_arrays(compute: Compute, own: Any, _: None) -> Any:
    return compute(own)


def _blocks(searched: SearchSpace) -> Iterator[Block]:
    """The inverted bottlenecks of all layers at their largest expansion."""
    for layer in searched.layers:
        ops = [op for op in layer.candidates if op.kind == "mbconv"]
        widest = max(op.expansion for op in ops)
        yield from (layer.block(op) for op in ops if op.expansion == widest)


def depthwise_pieces(searched: SearchSpace, batch: int) -> Iterator[Piece]:
    """The convolution of every block, native and as shifted products."""
    forms = {"native": depthwise.native, "products": depthwise.shifted_products}
    for block in _blocks(searched):
        channels, k, stride = block.inner_channels, block.op.kernel, block.stride
        before, after = (
            (batch, side, side, channels)
            for side in (block.input_size, block.output_size)
        )
        computations: dict[str, Compute] = {
            f"{name}_{kind}": functools.partial(compute, form, stride)
            for name, form in forms.items()
            for kind, compute in (
                ("forward", _convolved),
                ("gradients", _convolve_gradients),
            )
        }
        text = f"{block.input_size}x{block.input_size}x{channels} k{k} s{stride}"
        yield Piece(text, [before, (k, k, 1, channels), after], computations)


def _convolved(form: Any, stride: int, own: Any) -> Any:
    x, kernel, _ = own
    return form(x, kernel, stride)


def _convolve_gradients(form: Any, stride: int, own: Any) -> Any:
    x, kernel, dy = own
    return jax.vjp(lambda x, kernel: form(x, kernel, stride), x, kernel)[1](dy)


def batch_norm_pieces(searched: SearchSpace, batch: int) -> Iterator[Piece]:
    """All normalisations of every block, their sums fused and stored before."""
    for block in _blocks(searched):
        for side, channels in (
            (block.input_size, block.inner_channels),
            (block.output_size, block.inner_channels),
            (block.output_size, block.out_channels),
        ):
            x = batch, side, side, channels
            computations = {
                f"{name}_{kind}": _with_sums(is_stored, compute)
                for name, is_stored in (("fused", False), ("stored", True))
                for kind, compute in (
                    ("forward", _normalised),
                    ("gradients", _normalise_gradients),
                )
            }
            shapes: list[Shape] = [x, x, *[(channels,)] * 4]
            yield Piece(f"{side}x{side}x{channels}", shapes, computations)


def _with_sums(is_stored: bool, compute: Compute) -> Compute:
    """The computation, traced as for a backend on which sums are stored, or not."""
    forms = backends.here()._replace(sums_stored=is_stored)

    def traced(own: Any) -> Any:
        with mock.patch.object(backends, "here", lambda: forms):
            return compute(own)

    return traced


def _normalised(own: Any) -> Any:
    x, _, scale, bias, *_ = own
    return batch_norm.normalise(x, scale, bias, *batch_norm.moments(x), BN_EPS)


def _normalise_gradients(own: Any) -> Any:
    """Of a step, which keeps the moments of its forward pass."""
    x, dy, scale, bias, mean, var = own

    def forward(x: Any, scale: Any, bias: Any) -> Any:
        return batch_norm.normalise(x, scale, bias, mean, var, BN_EPS)

    return jax.vjp(forward, x, scale, bias)[1](dy)
