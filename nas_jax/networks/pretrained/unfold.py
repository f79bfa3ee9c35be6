"""Batch normalisations taken apart again from the convolutions they were folded into.

An exported network has w' = g w and a bias alone: a batch normalisation with mean 0 and
variance 1, as it were. That is right for an answer and wrong for a training, which
normalises by the batch. From images the mean m and variance v of what enters each are
known, and with

    scale = g sqrt(v + eps),    bias = b + g m

it answers as before on these statistics, which are now those of a batch, too.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from nas_jax.base import Images
from nas_jax.networks import parts
from nas_jax.networks.batch_norm import BatchNorm
from nas_jax.networks.checkpoint import Model


def is_folded(model: Model) -> bool:
    """Whether all batch normalisations have mean 0 and variance 1 - eps."""
    stats = jax.tree.leaves_with_path(model.batch_stats)
    expected = {"mean": 0.0, "var": 1 - model.architecture.bn_eps}
    return all(
        np.allclose(leaf, expected[path[-1].key], atol=1e-6) for path, leaf in stats
    )


def unfold(model: Model, images: Images) -> Model:
    """The same answers, with the batch statistics of images `[B H W C]`."""
    network = model.architecture
    params, stats = jax.tree.map(np.asarray, (model.params, model.batch_stats))
    new_params, new_stats = jax.tree.map(np.array, (params, stats))

    def run(slot: str | int, x: Any) -> Any:
        own = [
            tree["blocks"][slot] if isinstance(slot, int) else tree[slot]
            for tree in (params, stats, new_params, new_stats)
        ]

        def seen(
            layer: Callable[..., Any],
            arguments: tuple[Any, ...],
            named: dict[str, Any],
            context: nn.module.InterceptorContext,
        ) -> Any:
            module = context.module
            if isinstance(module, BatchNorm):
                here = [
                    functools.reduce(operator.getitem, module.path, tree)
                    for tree in own
                ]
                entered = np.asarray(arguments[0], np.float64)
                _take_apart(here[:2], here[2:], entered, module.eps)
            return layer(*arguments, **named)

        with nn.intercept_methods(seen):
            part = network.slots[slot]
            return parts.apply(part, own[0], own[1], x, False, network.conventions)[0]

    network.forward(run, jnp.asarray(images))
    return replace(model, params=new_params, batch_stats=new_stats)


def _take_apart(
    old: list[Any], new: list[Any], entered: np.ndarray, eps: float
) -> None:
    """Writes parameters and statistics anew by what enters, `[B H W C]`."""
    (params, stats), (new_params, new_stats) = old, new
    gain = params["scale"] / np.sqrt(stats["var"] + eps)
    shift = params["bias"] - gain * stats["mean"]
    mean, var = entered.mean((0, 1, 2)), entered.var((0, 1, 2), ddof=1)
    new_stats |= {"mean": mean.astype(np.float32), "var": var.astype(np.float32)}
    scale = (gain * np.sqrt(var + eps)).astype(np.float32)
    new_params |= {"scale": scale, "bias": (shift + gain * mean).astype(np.float32)}
