"""A supernet whose candidates share weights: the largest network, masked.

The weights are those of one plain network, the `widest`. Every narrower network is a
part of it: the leading channels of each width and of each expansion, the middle of each
kernel, and a shortcut alone for `zero` (Cai et al., Once-for-All, ICLR 2020; kernels as
in Single-Path NAS, Stamoulis et al. 2019). One step trains all candidates that overlap.

Masks are data (`Choice`), so one compiled program per image side runs every network, at
the cost of the widest. `extract` cuts a network out; where the networks of a side are
all narrower than the widest, it also cuts out what they have in common:

    within = shared.widest(networks)
    logits, _ = shared.apply(within, shared.extract(params, within), choice, images)
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from nas_jax.base import Images, Logits, PyTree
from nas_jax.networks import network, parts
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import OpSpec
from nas_jax.spaces.parts import Head


class Choice(NamedTuple):
    """One network inside of the widest, as numbers of its L blocks."""

    stem: Int[Array, ""] | np.ndarray
    """Width of the stem."""
    out: Int[Array, "L"] | np.ndarray
    """Width of each block."""
    hidden: Int[Array, "L"] | np.ndarray
    """Hidden channels of each block; 0 for `zero`."""
    kernel: Int[Array, "L"] | np.ndarray
    """Side of each block's kernel."""
    shortcut: Int[Array, "L"] | np.ndarray
    """1 where the block adds its input."""


def can_share(op: OpSpec) -> bool:
    """Whether an operation is a part of the widest block: MBConv, and zero."""
    return op.is_zero or (op.kind == "mbconv" and op.expansion > 1)


def choice(network: Architecture) -> Choice:
    """A network as data.

    The first block may have expansion 1, as all networks of a space then have it.
    Raises `ValueError` for other blocks than MBConv and zero.
    """
    for place, block in enumerate(network.blocks):
        is_first = place == 0 and block.op.kind == "mbconv"
        if not (is_first or can_share(block.op)):
            raise ValueError(
                f"network {network.name!r}: expected mb2_k3 and the like or zero, "
                f"which can share weights, got {block.op.name}; search with weights of "
                "their own"
            )
    numbers = [
        (
            block.out_channels,
            0 if block.op.is_zero else block.inner_channels,
            block.op.kernel,
            block.shortcut,
        )
        for block in network.blocks
    ]
    columns = np.array(numbers, np.int32).T
    return Choice(np.array(network.stem.out_channels, np.int32), *columns)


def stack(choices: Sequence[Choice]) -> Choice:
    """Several networks at once, with a leading axis."""
    return Choice(*map(np.stack, zip(*choices, strict=True)))


def widest(networks: Sequence[Architecture], name: str = "widest") -> Architecture:
    """The smallest network of which all of these are parts.

    They have one topology: as many blocks, of the same strides.
    """
    first = networks[0]
    width = max(one.stem.out_channels for one in networks)
    stem, blocks = dataclasses.replace(first.stem, out_channels=width), []
    for each in zip(*(one.blocks for one in networks), strict=True):
        # where all are zero a small block is left, which none of them uses
        kept = [block for block in each if not block.op.is_zero]
        hidden = max((block.inner_channels for block in kept), default=0)
        expansion = max(2, -(-hidden // width))
        if {block.op.expansion for block in kept} == {1}:
            expansion = 1
        kernel = max((block.op.kernel for block in kept), default=3)
        out = max(block.out_channels for block in each)
        blocks.append(
            dataclasses.replace(
                each[0],
                op=OpSpec("mbconv", kernel, expansion),
                in_channels=width,
                out_channels=out,
                shortcut=False,
            )
        )
        width = out
    mix, side = first.head.out_channels, first.head.input_size
    head = Head(width, mix, side)
    return dataclasses.replace(
        first, name=name, stem=stem, blocks=tuple(blocks), head=head
    )


def extract(params: PyTree, part: Architecture) -> PyTree:
    """The weights of a network that is a part of the widest; differentiable."""

    def cut(shape: Any, leaf: Array) -> Array:
        starts = [0] * leaf.ndim
        if leaf.ndim == 4:  # the middle of a kernel
            starts[:2] = ((whole - own) // 2 for whole, own in _sides(leaf, shape))
        return jax.lax.slice(
            leaf,
            starts,
            [start + own for start, own in zip(starts, shape.shape, strict=True)],
        )

    shapes, _ = network.shapes(part)
    blocks = [
        jax.tree.map(cut, own, stored) if own else {}
        for own, stored in zip(shapes["blocks"], params["blocks"], strict=True)
    ]
    fixed = {
        name: jax.tree.map(cut, own, params[name])
        for name, own in shapes.items()
        if name != "blocks"
    }
    return {**fixed, "blocks": blocks}


def _sides(leaf: Array, shape: Any) -> list[tuple[int, int]]:
    return list(zip(leaf.shape[:2], shape.shape[:2], strict=True))


def apply(
    within: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    choice: Choice,
    images: Images,
    *,
    train: bool,
) -> tuple[Logits, PyTree]:
    """Logits `[B classes]` of one network, and the batch statistics.

    As `network.apply` of the network that `extract` cuts out, to rounding. `images` may
    have any side.

    Args:
      within: the widest network, whose weights these are.
      params: its parameters.
      batch_stats: its batch statistics, of this one choice.
      choice: the network.
      images: `[B H W C]`.
      train: whether batch normalisation uses the batch.
    """
    updated: dict[str | int, PyTree] = {}

    def fixed(name: str, x: Array) -> Array:
        own, stats = params[name], batch_stats[name]
        part = within.slots[name]
        y, updated[name] = parts.apply(part, own, stats, x, train, within.conventions)
        return y

    x = _leading(fixed("stem", jnp.asarray(images)), choice.stem)
    for index, block in enumerate(within.blocks):
        own = params["blocks"][index], batch_stats["blocks"][index]
        numbers = Choice(choice.stem, *(one[index] for one in choice[1:]))
        module = parts.module(block, within.conventions)
        y, updated[index] = _masked(module, *own, numbers, x, train)
        if block.stride == 1:
            shortcut = numbers.shortcut.astype(x.dtype)
            y = y + shortcut * _fitted(x, block.out_channels)
        x = y
    logits = fixed("classifier", fixed("head", x))
    return logits, network.assemble(updated)


def _masked(
    module: Any, params: PyTree, stats: PyTree, numbers: Choice, x: Array, train: bool
) -> tuple[Array, PyTree]:
    """An MBConv of which only the chosen part has an effect, without its shortcut."""
    centre = module.block.op.kernel // 2
    is_inside = jnp.abs(jnp.arange(2 * centre + 1) - centre) <= numbers.kernel // 2
    window = (is_inside[:, None] & is_inside[None])[..., None, None]
    kernel = params["depthwise"]["kernel"]
    each = {**params["depthwise"], "kernel": jnp.where(window, kernel, 0)}
    kept = {"expand": numbers.hidden, "depthwise": numbers.hidden}
    kept["project"] = jnp.where(numbers.hidden > 0, numbers.out, 0)
    updated = {}
    for layer in module.layers():
        name = layer.name
        own = each if name == "depthwise" else params[name]
        variables = {"params": own, "batch_stats": stats[name]}
        x, moved = layer.apply(variables, x, train, mutable=["batch_stats"])
        x, updated[name] = _leading(x, kept[name]), moved["batch_stats"]
    return x, updated


def _leading(x: Array, channels: Any) -> Array:
    """x with its leading channels, and 0 for the others."""
    is_kept = jnp.arange(x.shape[-1]) < channels
    return jnp.where(is_kept[None, None, None], x, 0)


def _fitted(x: Array, channels: int) -> Array:
    """x with so many channels: those missing are 0, those too many are left out."""
    missing = max(0, channels - x.shape[-1])
    return jnp.pad(x[..., :channels], [(0, 0)] * 3 + [(0, missing)])
