"""Optimisers, as optax transformations; those of the search are in `schedule`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nas_jax.base import PyTree
from nas_jax.config.experiment import TrainConfig
from nas_jax.training import kept_programs


def steps_per_epoch(images: int, batch: int) -> int:
    """Full batches in one pass over the data; the rest is left to the next shuffle."""
    return images // batch


def promoting(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` under standard promotion, which optax needs to join counts and floats."""

    def update(*arguments: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(*arguments)

    return optax.GradientTransformation(tx.init, update)


def sgd(
    lr: optax.Schedule,
    *,
    momentum: float,
    weight_decay: float,
    decays: Literal["all", "weights"] = "all",
    gates: Sequence[optax.GradientTransformation] = (),
) -> optax.GradientTransformation:
    """Nesterov SGD as the reference's: decay joins the gradient, of all parameters.

    d = g + wd w;  v <- m v + d;  w <- w - lr (d + m v)

    `gates` change d.
    """
    return promoting(
        optax.chain(
            optax.add_decayed_weights(weight_decay, _decayed(decays)),
            *gates,
            optax.sgd(lr, momentum=momentum, nesterov=True),
        )
    )


def _decayed(decays: str) -> Callable[[PyTree], PyTree] | None:
    """Which parameters decay, as optax asks for them; None for all.

    Kernels are those of convolutions and linear layers (`networks.parts.init`).
    """

    def are_kernels(params: PyTree) -> PyTree:
        return jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", params)

    return None if decays == "all" else are_kernels


@kept_programs.register
class Lengths(NamedTuple):
    """How long a training and its parts last, in steps.

    Numbers, or arrays, so that one compiled step serves trainings of all lengths.
    """

    whole: Any
    warmup: Any
    frozen: Any
    """In which the classifier alone moves."""
    average: Any
    """That the moving average reaches back; need not be whole."""

    def as_arrays(self) -> "Lengths":
        kinds = Lengths(jnp.int32, jnp.int32, jnp.int32, jnp.float32)
        return Lengths._make(map(jnp.asarray, self, kinds))


def lengths(config: TrainConfig, steps_per_epoch: int) -> Lengths:
    """Those of a configuration; parts of a step are cut off."""
    return Lengths(
        config.epochs * steps_per_epoch,
        int(config.warmup_epochs * steps_per_epoch),
        int(config.frozen_epochs * steps_per_epoch),
        config.ema_epochs * steps_per_epoch,
    )


def train_weights(
    config: TrainConfig, lengths: Lengths
) -> optax.GradientTransformation:
    """Weights of a derived network: up in a line, then one cosine to 0.

    AdamW (Loshchilov & Hutter 2019) with beta2 0.999, and its decay times the rate. The
    classifier alone moves at first, if `config.frozen_epochs`; a layer d before it has
    the rate times `layer_decay` to the power of d.
    """
    whole, warmup = lengths.whole, lengths.warmup

    def rate(step: jax.Array) -> jax.Array:
        # optax's own schedules want their lengths when traced
        fallen = jnp.minimum((step - warmup) / (whole - warmup), 1)
        risen = step / jnp.maximum(warmup, 1)
        fall = (1 + jnp.cos(jnp.pi * fallen)) / 2
        return config.lr * jnp.where(step < warmup, risen, fall)

    gates = _frozen(lengths.frozen) if config.frozen_epochs else []
    if config.optimiser == "sgd":
        tx = sgd(
            rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            decays=config.decays,
            gates=gates,
        )
    else:
        tx = optax.adamw(
            rate,
            b1=config.momentum,
            weight_decay=config.weight_decay,
            mask=_decayed(config.decays),
        )
        # its decay comes after the moments
        tx = promoting(optax.chain(*gates, tx, *gates) if gates else tx)
    if config.layer_decay == 1:
        return tx
    by_layer = optax.stateless(lambda tree, _: _by_layer(tree, config.layer_decay))
    return promoting(optax.chain(tx, by_layer))


def _frozen(steps: Any) -> list[optax.GradientTransformation]:
    """What keeps all but the classifier as it is for some steps."""
    gate = optax.scale_by_schedule(lambda step: jnp.where(step < steps, 0.0, 1.0))
    return [optax.masked(gate, _body)]


def _body(params: PyTree) -> PyTree:
    """All but the classifier, as optax asks for it."""
    return jax.tree.map_with_path(lambda path, _: path[0].key != "classifier", params)


def _by_layer(updates: PyTree, decay: float) -> PyTree:
    """Updates times decay^d, d layers before the classifier."""
    blocks = len(updates["blocks"])

    def before(path: tuple[Any, ...]) -> int:
        if path[0].key == "blocks":
            return 1 + blocks - path[1].idx
        return {"classifier": 0, "stem": 2 + blocks}.get(path[0].key, 1)

    return jax.tree.map_with_path(
        lambda path, leaf: leaf * decay ** before(path), updates
    )


def moved_average(
    average: PyTree, now: PyTree, step: jax.Array, reach_steps: Any
) -> PyTree:
    """The average over some `reach_steps` steps, moved to the values after `step`.

    a <- a + max(1 / n, 1 / (t + 1)) (w - a), with n = `reach_steps` and t counted from
    0: over the first n steps the plain mean of all, so that the initial values, however
    bad, have no part in it; then exponential. Of less than a step it is the newest.
    """
    reach_steps = jnp.maximum(reach_steps, 1.0)
    share = jnp.maximum(1 / reach_steps, 1 / (step + 1).astype(jnp.float32))
    return jax.tree.map(lambda old, new: old + share * (new - old), average, now)
