"""Weights for a network, cut from those of another of the same skeleton.

The skeleton is the blocks in their order with their strides; widths, expansions,
kernels, image side and classes may differ. What is narrower keeps the channels that
matter, what is wider gets new ones that nothing reads yet:

    kernels       cropped about their centre, or zeros around them
    expansions    the hidden channels with the largest |scale| x norm of the projection
    stage widths  the channels of the residual stream with the largest product of what
                  writes them (scale^2) and what reads them (norm of the expansion)^2
    zero          the shortcut alone
    classifier    its rows; drawn anew for another number of classes
    grey, colour  the stem's three planes added up, or one spread over three

New channels are drawn as ever, and the rows that read them are 0, so a wider network
computes what the narrow one did (Chen et al., Net2Net, ICLR 2016). A narrower one has
batch statistics of before: train it, or `training.loop.reestimate` them. Ordering
channels by importance and cropping kernels is what once-for-all networks do (Cai et
al., ICLR 2020, section 3.3).
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from nas_jax.base import PRNGKey, PyTree
from nas_jax.networks import network as networks
from nas_jax.networks.checkpoint import Model
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block

Kept = Int[np.ndarray, "C"]
"""The channel of the source that each of ours was, -1 for a new one."""


class Inherited(NamedTuple):
    """Parameters and batch statistics, and lines on what could not be kept."""

    params: PyTree
    batch_stats: PyTree
    notes: tuple[str, ...]


def inherit(
    source: Model, network: Architecture, key: PRNGKey, *, in_order: bool = False
) -> Inherited:
    """The weights of `source` for a network; what is new is drawn from the key.

    Of a network that differs in nothing they come back as they are; `in_order`, with
    the channels that matter most first, which computes the same. The leading channels
    are then what a narrower network would be given, as `supernet.shared` has it.

    Raises:
      ValueError: for a network of another skeleton, of other conventions, of tree
        cells, or with operations other than MBConv and `zero`.
    """
    require_alike(source.architecture, network)
    given = _Reader(source, in_order)
    fresh = jax.tree.map(np.array, networks.init(key, network))
    streams = given.streams(network)
    notes = []
    params, stats = fresh
    colours = (source.architecture.stem.in_channels, network.stem.in_channels)
    if colours[0] != colours[1]:
        how = "added up" if colours[1] == 1 else "spread"
        notes.append(
            f"stem: {colours[0]} channels of the weights for {colours[1]}: {how}"
        )
    kernel = _of_colours(given.params["stem"]["kernel"], network.stem.in_channels)
    _set_layer(fresh, given, ("stem",), kernel, _all(kernel.shape[2]), streams[0])
    for index, (ours, theirs) in enumerate(
        zip(network.blocks, source.architecture.blocks, strict=True)
    ):
        inside, outside = streams[index], streams[index + 1]
        if ours.shortcut and not theirs.shortcut:
            notes.append(f"block {index}: a shortcut that the weights had not")
        if ours.op.is_zero:
            continue
        if theirs.op.is_zero or _is_plain(ours) != _is_plain(theirs):
            if ours.shortcut:  # it begins as the shortcut alone
                params["blocks"][index]["project"]["bn"]["scale"][:] = 0
            notes.append(
                f"block {index}: {ours.op.name} drawn anew, there was {theirs.op.name}"
            )
            continue
        hidden = given.hidden(index, ours.inner_channels, inside)
        place: tuple[Any, ...] = ("blocks", index)
        own = given.params["blocks"][index]
        if not _is_plain(ours):
            kernel = own["expand"]["kernel"]
            _set_layer(fresh, given, (*place, "expand"), kernel, inside, hidden)
        kernel = _of_side(own["depthwise"]["kernel"], ours.op.kernel)
        _set_layer(fresh, given, (*place, "depthwise"), kernel, _all(1), hidden)
        kernel = own["project"]["kernel"]
        _set_layer(fresh, given, (*place, "project"), kernel, hidden, outside)
    mixed = given.mixed(network.head.out_channels)
    _set_layer(
        fresh, given, ("head",), given.params["head"]["kernel"], streams[-1], mixed
    )
    linear = given.params["classifier"]
    if linear["kernel"].shape[1] == network.classifier.classes:
        params["classifier"]["kernel"] = _rows(linear["kernel"], mixed)
        params["classifier"]["bias"] = linear["bias"].copy()
    else:
        notes.append(
            f"classifier: drawn anew for {network.classifier.classes} classes, the "
            f"weights have {linear['kernel'].shape[1]}"
        )
    return Inherited(params, stats, tuple(notes))


def require_alike(source: Architecture, network: Architecture) -> None:
    """Raises `ValueError` for a network that `inherit` has no weights for."""

    def skeleton(one: Architecture) -> tuple[Any, ...]:
        return one.stem.stride, *(block.stride for block in one.blocks)

    where = f"weights of {source.name!r} for {network.name!r}"
    if others := source.beside_mbconv or network.beside_mbconv:
        raise ValueError(f"{where}: expected chains of mbconv and zero, got {others}")
    if skeleton(source) != skeleton(network):
        raise ValueError(
            f"{where}: expected {len(source.blocks)} blocks with strides "
            f"{skeleton(source)} from the stem on, as the weights have, got "
            f"{len(network.blocks)} with {skeleton(network)}"
        )
    if source.conventions != network.conventions:
        raise ValueError(
            f"{where}: expected {source.conventions}, as the weights were trained "
            f"with, got {network.conventions}"
        )


def _is_plain(block: Block) -> bool:
    """Whether an MBConv has no expansion."""
    return block.op.expansion == 1


class _Reader:
    """The source as NumPy arrays, and which of its channels matter."""

    def __init__(self, source: Model, in_order: bool) -> None:
        self._in_order = in_order
        self.blocks = source.architecture.blocks
        self.params, self.stats = jax.tree.map(
            np.asarray, (source.params, source.batch_stats)
        )

    def streams(self, network: Architecture) -> list[Kept]:
        """Kept channels after the stem and after every block.

        Blocks with a shortcut write into the stream that they read, and so share them.
        """
        widths = [network.stem.out_channels]
        groups = [0]
        for block, ours in zip(self.blocks, network.blocks, strict=True):
            groups.append(groups[-1] + (not block.shortcut))
            widths.append(ours.out_channels)
        kept = {}
        for group in range(groups[-1] + 1):
            places = [place for place, one in enumerate(groups) if one == group]
            if len({widths[place] for place in places}) > 1:
                raise ValueError(
                    f"blocks {places[0] - 1} to {places[-1] - 1}: expected one width, "
                    "as they share a residual stream in the weights, got "
                    f"{[widths[place] for place in places]}"
                )
            kept[group] = self._most(self._weight(places), widths[places[0]])
        return [kept[group] for group in groups]

    def _weight(self, places: Sequence[int]) -> Float[np.ndarray, "C"]:
        """How much the channels of a stream matter, which lies at these places."""
        written = sum(self._scale(place) ** 2 for place in places)
        read = np.zeros_like(written)
        for place in places:
            if place == len(self.blocks):
                read += self._read(self.params["head"], 2)
            elif self.params["blocks"][place]:
                own = self.params["blocks"][place]
                first = own.get("expand", own["depthwise"])
                read += self._read(first, 2 if "expand" in own else 3)
        return written * read

    def _scale(self, place: int) -> np.ndarray:
        """Of the batch normalisation that writes a stream at a place."""
        if place == 0:
            return self.params["stem"]["bn"]["scale"]
        own = self.params["blocks"][place - 1]
        if own:
            return own["project"]["bn"]["scale"]
        return np.zeros(self.blocks[place - 1].out_channels, np.float32)

    def _read(self, layer: PyTree, axis: int) -> np.ndarray:
        """The squared weights that read each channel."""
        kernel = layer["kernel"]
        return (kernel**2).sum(tuple(n for n in range(4) if n != axis))

    def hidden(self, index: int, width: int, inside: Kept) -> Kept:
        """Kept hidden channels of a block; at expansion 1 those of its input."""
        own = self.params["blocks"][index]
        if "expand" not in own:
            return inside
        scale = np.abs(own["depthwise"]["bn"]["scale"])
        norm = np.sqrt((own["project"]["kernel"] ** 2).sum((0, 1, 3)))
        return self._most(scale * norm, width)

    def mixed(self, width: int) -> Kept:
        """Kept channels of the head."""
        scale = np.abs(self.params["head"]["bn"]["scale"])
        norm = np.sqrt((self.params["classifier"]["kernel"] ** 2).sum(1))
        return self._most(scale * norm, width)

    def _most(self, weight: np.ndarray, width: int) -> Kept:
        """The channels that matter most, in their order or by it; then new ones."""
        kept = np.argsort(-weight, kind="stable")[:width]
        if not self._in_order:
            kept = np.sort(kept)
        return np.append(kept, np.full(width - len(kept), -1, kept.dtype))


def _all(width: int) -> Kept:
    return np.arange(width)


def _rows(kernel: np.ndarray, kept: Kept) -> np.ndarray:
    """Rows of `[... in out]` for kept inputs, 0 for new ones."""
    return np.where((kept >= 0)[:, None], kernel[..., kept, :], 0)


def _set_layer(
    fresh: tuple[PyTree, PyTree],
    given: _Reader,
    path: tuple[Any, ...],
    kernel: np.ndarray,
    inside: Kept,
    outside: Kept,
) -> None:
    """Puts a convolution and its batch normalisation in place of drawn ones."""
    (params, theirs), (stats, their_stats) = (
        [functools.reduce(operator.getitem, path, tree) for tree in (own, other)]
        for own, other in zip(fresh, (given.params, given.stats), strict=True)
    )
    is_kept = outside >= 0
    columns = _rows(kernel, inside)[..., outside]
    params["kernel"] = np.where(is_kept, columns, params["kernel"])
    for own, other in ((params, theirs), (stats, their_stats)):
        for name, values in other["bn"].items():
            own["bn"][name] = np.where(is_kept, values[outside], own["bn"][name])


def _of_side(kernel: np.ndarray, side: int) -> np.ndarray:
    """A kernel `[k k 1 C]` cropped about its centre, or with zeros around it."""
    more = (side - kernel.shape[0]) // 2
    if more >= 0:
        return np.pad(kernel, ((more, more), (more, more), (0, 0), (0, 0)))
    return kernel[-more:more, -more:more]


def _of_colours(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A kernel `[k k in C]` for images of another number of channels."""
    own = kernel.shape[2]
    if own == channels:
        return kernel
    return np.repeat(kernel.sum(2, keepdims=True) / channels, channels, axis=2)
