"""The search: weights and architecture parameters trained in turn.

`run` is a generator over epochs: it yields, its consumer logs, times and saves.
ProxylessNAS, section 3; schedule as in the reference code.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import calls, gates, latency, objective, optim, prune
from nas_jax.base import Metrics, Path, PRNGKey, Probs, Scalar
from nas_jax.batches import Augment, Batch, Split, batch_at, permutations, pieces
from nas_jax.calls import Call, Compile
from nas_jax.config import SearchConfig
from nas_jax.data_config import WATCHED
from nas_jax.search_config import EXPECTED, TARGETS
from nas_jax.search_state import SearchState, init
from nas_jax.space import SearchSpace
from nas_jax.steps import (
    ArchStep,
    Step,
    make_arch_step,
    make_validate,
    make_weight_step,
)


class Epoch(NamedTuple):
    """What `run` yields after every epoch; `space` is what pruning left of it."""

    space: SearchSpace
    phase: str
    epoch: int
    state: SearchState
    probs: Probs
    metrics: Metrics


def run(
    key: PRNGKey,
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: float,
    train_weights: Split,
    train_alphas: Split,
    valid: Split,
    augment: Augment,
    compile: Compile = calls.on_first_call,
) -> Iterator[Epoch]:
    """Runs a search, yielding after every epoch.

    Epochs count passes over `train_weights`. In the joint phase, from
    `arch_start_epoch` on, every `arch_every`-th weight step is followed by one
    architecture step on a batch of `train_alphas`. `valid` trains nothing: the network
    that is most probable now is tested on it with the statistics of batches of
    `WATCHED`, as in the reference, or of all if there are fewer.

    With `prune_below`, candidates that have become less probable are removed every
    `prune_every_epochs` of the joint phase, and smaller steps are compiled.

    Raises:
      ValueError: after the epoch in which loss or alphas are no longer finite; or at
        once, if `prune_below` is not below the probability of chance.

    Args:
      key: the key of the search; everything random derives from it.
      space: the search space.
      config: schedule, optimisers, objective.
      model: costs `[L K]` in the unit of `config.cost`, and the fixed part.
      target: the cost to reach, in that unit.
      train_weights: in the form for training.
      train_alphas: held out from the weights, as evaluated.
      valid: held out from both, as evaluated; full batches of `WATCHED`, or fewer.
      augment: applied inside the weight step.
      compile: makes the steps ready, before the first and after a pruning.
    """
    if config.objective == "mul_log":
        objective.require_above_one(latency.reachable(model, space.mask)[0], target)
    per_epoch = optim.steps_per_epoch(len(train_weights.labels), config.batch)
    optim.require_arch_steps(config, per_epoch)
    weights_tx = optim.search_weights(config, per_epoch)
    alphas_tx = optim.search_alphas(config)
    prune.require_below_chance(space, config.prune_below)
    mask = jnp.asarray(space.mask)
    uniform = gates.probabilities(jnp.zeros(space.mask.shape), mask)
    start = float(latency.expected(model, uniform))
    target_at = jax.jit(optim.target(config, per_epoch, start, target))

    weight_order = permutations(key, "weight_order", len(train_weights.labels))
    alpha_order = permutations(key, "alpha_order", len(train_alphas.labels))

    def compiled(space: SearchSpace, state: SearchState) -> _Steps:
        weight = make_weight_step(space, config, weights_tx, augment)
        arch = make_arch_step(space, config, alphas_tx)
        weight_batch = batch_at(train_weights, weight_order, config.batch, 0)
        arch_batch = batch_at(train_alphas, alpha_order, config.arch_batch, 0)
        valid_batch = next(pieces(valid, WATCHED))
        path = jnp.argmax(state.alphas, axis=1)
        size = "space.input_size"
        ready = compile(
            {
                "weight step": Call(
                    weight, (state, weight_batch), f"search.batch or {size}"
                ),
                "architecture step": Call(
                    arch,
                    (state, arch_batch, model, target_at(state.step)),
                    f"search.arch_batch or {size}",
                ),
                "validation": Call(
                    make_validate(space),
                    (state, path, valid_batch),
                    f"data.valid or {size}",
                ),
            }
        )
        return _Steps(
            ready["weight step"], ready["architecture step"], ready["validation"]
        )

    state = init(key, space, config, weights_tx, alphas_tx)
    steps = compiled(space, state)
    arch_steps = 0
    for epoch in range(config.warmup_epochs + config.joint_epochs):
        joint_epoch = epoch - config.warmup_epochs
        collected: list[Metrics] = []
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            batch = batch_at(train_weights, weight_order, config.batch, step)
            state, metrics = steps.weight(state, batch)
            collected.append(metrics)
            if optim.is_arch_step(config, per_epoch, step):
                batch = batch_at(
                    train_alphas, alpha_order, config.arch_batch, arch_steps
                )
                wanted = target_at(state.step)
                state, metrics = steps.arch(state, batch, model, wanted)
                collected.append(metrics)
                arch_steps += 1
        probs = gates.probabilities(state.alphas, mask)
        likely = jnp.argmax(probs, axis=1)
        watched = [steps.validate(state, likely, one) for one in pieces(valid, WATCHED)]
        metrics = _mean(collected) | {
            "search/valid_accuracy": float(np.mean(watched)),
            f"search/{EXPECTED[config.cost]}": float(latency.expected(model, probs)),
            f"search/{TARGETS[config.cost]}": target,
            "search/entropy": float(gates.entropy(probs)),
            "search/penalty": float(state.penalty),
            "search/candidates": int(mask.sum()),
        }
        _require_finite(epoch, metrics["search/loss"], np.asarray(probs))
        phase = "warmup" if joint_epoch < 0 else "joint"
        yield Epoch(space, phase, epoch, state, probs, metrics)
        if _prunes(config, joint_epoch):
            keep = prune.surviving(space, np.asarray(probs), config.prune_below)
            if keep.sum() < mask.sum():
                smaller = prune.restrict(space, keep)
                state = prune.shrink(space, smaller, state)
                space, mask = smaller, jnp.asarray(keep)
                steps = compiled(space, state)


def _require_finite(epoch: int, loss: float, probs: np.ndarray) -> None:
    wrong = int((~np.isfinite(probs)).sum())
    if wrong or not np.isfinite(loss):
        raise ValueError(
            f"the search diverged in epoch {epoch}: expected a finite loss and finite "
            f"probabilities, got loss {loss} and {wrong} non-finite probabilities; "
            "lower search.lr, search.warmup_lr or search.arch_lr"
        )


class _Steps(NamedTuple):
    """What is compiled for one space."""

    weight: Step
    arch: ArchStep
    validate: Callable[[SearchState, Path, Batch], Scalar]


def _prunes(config: SearchConfig, joint_epoch: int) -> bool:
    """Whether candidates are pruned when this epoch of the joint phase has ended."""
    every = config.prune_every_epochs
    is_last = joint_epoch == config.joint_epochs - 1
    if joint_epoch < config.arch_start_epoch:  # the alphas are still as drawn
        return False
    return (
        every > 0
        and joint_epoch >= 0
        and not is_last
        and ((joint_epoch + 1) % every == 0)
    )


def _mean(collected: list[Metrics]) -> Metrics:
    """Mean of every metric over the steps that reported it."""
    values: dict[str, list[float]] = {}
    for metrics in jax.device_get(collected):
        for name, value in metrics.items():
            values.setdefault(name, []).append(float(value))
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}
