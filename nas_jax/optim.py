"""Optimisers and schedules, as optax transformations."""

from typing import Any

import jax
import optax

from nas_jax import lagrangian
from nas_jax.config import SearchConfig, TrainConfig


def steps_per_epoch(images: int, batch: int) -> int:
    """Full batches in one pass over the data; the rest is left to the next shuffle."""
    return images // batch


def is_arch_step(config: SearchConfig, steps_per_epoch: int, step: int) -> bool:
    """Whether weight step number `step`, from 0, is followed by an architecture step.

    From `arch_start_epoch` of the joint phase on, after every `arch_every`-th weight
    step, counted anew in every epoch as the reference does: with 4,810 steps per epoch
    962 at `arch_every = 5`, and its 300 updates by reward at 16.
    """
    epoch, place = divmod(step, steps_per_epoch)
    is_started = epoch >= config.warmup_epochs + config.arch_start_epoch
    return is_started and (place + 1) % config.arch_every == 0


def arch_steps_before(config: SearchConfig, steps_per_epoch: int, step: int) -> int:
    """Architecture steps that came before weight step number `step`, from 0.

    >>> config = SearchConfig(warmup_epochs=1, arch_start_epoch=0, arch_every=2)
    >>> [arch_steps_before(config, 5, step) for step in (5, 6, 7, 10, 11, 12)]
    [0, 0, 1, 2, 2, 3]
    """
    epochs, place = divmod(step, steps_per_epoch)
    started = epochs - (config.warmup_epochs + config.arch_start_epoch)
    if started < 0:
        return 0
    every = config.arch_every
    return started * (steps_per_epoch // every) + place // every


def require_arch_steps(config: SearchConfig, steps_per_epoch: int) -> None:
    """Refuses a schedule in which no architecture step ever comes."""
    if config.arch_every > steps_per_epoch:
        raise ValueError(
            f"search.arch_every: expected at most the {steps_per_epoch} weight steps "
            f"of an epoch, got {config.arch_every}; lower it, or search.batch"
        )


def _with_promotion(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same where a user has JAX promote nothing: optax joins counts and floats."""

    def update(*given: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(*given)

    return optax.GradientTransformation(tx.init, update)


def _sgd(
    lr: optax.Schedule, *, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
    """Nesterov SGD as the reference's: decay joins the gradient, of all parameters.

    d = g + wd w;  v <- m v + d;  w <- w - lr (d + m v)
    """
    return _with_promotion(
        optax.chain(
            optax.add_decayed_weights(weight_decay),
            optax.sgd(lr, momentum=momentum, nesterov=True),
        )
    )


def search_weights(
    config: SearchConfig, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Weights of the supernet: cosine to 0 in warm-up, again in the joint phase.

    The momentum carries over from one phase to the next.
    """
    warmup_steps = config.warmup_epochs * steps_per_epoch
    joint = optax.cosine_decay_schedule(
        config.lr, config.joint_epochs * steps_per_epoch
    )
    if warmup_steps == 0:
        schedule = joint
    else:
        warmup = optax.cosine_decay_schedule(config.warmup_lr, warmup_steps)
        schedule = optax.join_schedules([warmup, joint], [warmup_steps])
    return _sgd(schedule, momentum=config.momentum, weight_decay=config.weight_decay)


def search_alphas(config: SearchConfig) -> optax.GradientTransformation:
    """Adam with beta1 = 0: an alpha whose gradient is zero does not move at all."""
    return _with_promotion(optax.adam(config.arch_lr, b1=0.0, b2=0.999, eps=1e-8))


def train_weights(
    config: TrainConfig, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Weights of a derived network: one cosine to 0."""
    schedule = optax.cosine_decay_schedule(config.lr, config.epochs * steps_per_epoch)
    return _sgd(schedule, momentum=config.momentum, weight_decay=config.weight_decay)


def multipliers(config: SearchConfig, steps_per_epoch: int) -> lagrangian.Ascent:
    """The pace of multipliers and penalty weight, by the number of architecture steps.

    Over the whole search the penalty weight grows by `penalty_growth`, and a multiplier
    moves by `multiplier_gain` times penalty weight times mean excess.
    """
    per_epoch = steps_per_epoch // config.arch_every
    steps = per_epoch * max(1, config.joint_epochs - config.arch_start_epoch)
    return lagrangian.Ascent(
        config.multiplier_gain / steps, config.penalty_growth ** (1 / steps)
    )
