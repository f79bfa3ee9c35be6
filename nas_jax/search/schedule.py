"""The schedule of a search: the order of its steps, and their optimisers."""

import optax

from nas_jax.config.search import SearchConfig
from nas_jax.search import constraint
from nas_jax.training import optim


def is_arch_step(config: SearchConfig, steps_per_epoch: int, step: int) -> bool:
    """Whether weight step number `step`, from 0, is followed by an architecture step.

    From `arch_start_epoch` of the joint phase on, after every `arch_every`-th weight
    step, counted from 0 in every epoch as the reference does: with 4,810 steps per
    epoch 962 at `arch_every = 5`, and its 300 updates by reward at 16.
    """
    epoch, place = divmod(step, steps_per_epoch)
    is_started = epoch >= config.warmup_epochs + config.arch_start_epoch
    return is_started and (place + 1) % config.arch_every == 0


def arch_steps_before(config: SearchConfig, steps_per_epoch: int, step: int) -> int:
    """The number of architecture steps before weight step number `step`, from 0.

    >>> config = SearchConfig(warmup_epochs=1, arch_start_epoch=0, arch_every=2)
    >>> [arch_steps_before(config, 5, step) for step in (5, 6, 7, 10, 11, 12)]
    [0, 0, 1, 2, 2, 3]
    """
    epochs, place = divmod(step, steps_per_epoch)
    epochs -= config.warmup_epochs + config.arch_start_epoch
    every = config.arch_every
    return 0 if epochs < 0 else epochs * (steps_per_epoch // every) + place // every


def require_arch_steps(config: SearchConfig, steps_per_epoch: int) -> None:
    """Raises `ValueError` for a schedule without architecture steps."""
    if config.arch_every > steps_per_epoch:
        raise ValueError(
            f"search.arch_every: expected at most the {steps_per_epoch} weight steps "
            f"of an epoch, got {config.arch_every}; lower it, or search.batch"
        )


def is_watched(config: SearchConfig, epoch: int) -> bool:
    """Whether the most probable network is tested on `valid` after this epoch."""
    after = epoch + 1
    is_last = after == config.warmup_epochs + config.joint_epochs
    return is_last or after % config.watch_every_epochs == 0


def is_pruned_after(config: SearchConfig, epoch: int) -> bool:
    """Whether candidates are pruned between this epoch and the next.

    Every `prune_every_epochs` of the joint phase, but neither before the alphas have
    moved nor after the last epoch.
    """
    joint_epoch, every = epoch - config.warmup_epochs, config.prune_every_epochs
    is_between = config.arch_start_epoch <= joint_epoch < config.joint_epochs - 1
    return every > 0 and is_between and (joint_epoch + 1) % every == 0


def search_weights(
    config: SearchConfig, steps_per_epoch: int
) -> optax.GradientTransformation:
    """Nesterov SGD of the supernet: cosine to 0 in warm-up, again in the joint phase.

    The momentum carries over from one phase to the next.
    """
    joint_steps = config.joint_epochs * steps_per_epoch
    rate = optax.cosine_decay_schedule(config.lr, joint_steps)
    if warmup_steps := config.warmup_epochs * steps_per_epoch:
        warmup = optax.cosine_decay_schedule(config.warmup_lr, warmup_steps)
        rate = optax.join_schedules([warmup, rate], [warmup_steps])
    return optim.sgd(rate, momentum=config.momentum, weight_decay=config.weight_decay)


def search_alphas(config: SearchConfig) -> optax.GradientTransformation:
    """Adam with beta1 = 0: an alpha whose gradient is zero does not move at all."""
    return optim.promoting(optax.adam(config.arch_lr, b1=0.0, b2=0.999, eps=1e-8))


def multipliers(config: SearchConfig, steps_per_epoch: int) -> constraint.Ascent:
    """The pace of multipliers and penalty weight, by the number of architecture steps.

    Over the whole search the penalty weight grows by `penalty_growth`, and a multiplier
    moves by `multiplier_gain` times penalty weight times mean excess.
    """
    per_epoch = steps_per_epoch // config.arch_every
    steps = per_epoch * max(1, config.joint_epochs - config.arch_start_epoch)
    return constraint.Ascent(
        config.multiplier_gain / steps, config.penalty_growth ** (1 / steps)
    )
