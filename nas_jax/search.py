"""The search: weights and architecture parameters trained in turn.

`run` is a generator over epochs: it yields, its consumer logs, times and saves.
ProxylessNAS, section 3; schedule as in the reference code.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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


class Steps(NamedTuple):
    """What is compiled for one space."""

    weight: Step
    arch: ArchStep
    validate: Callable[[SearchState, Path, Batch], Scalar]


class Epoch(NamedTuple):
    """What `run` yields after every epoch; `space` is what pruning left of it."""

    space: SearchSpace
    phase: str
    epoch: int
    state: SearchState
    probs: Probs
    metrics: Metrics
    steps: Steps

    def accuracy(self, valid: Split) -> Callable[[np.ndarray], float]:
        """Accuracy of a path `[L]` on the search's `valid` with the supernet's weights.

        With batch statistics, as the search looks at its progress.
        """

        def of_path(path: np.ndarray) -> float:
            return _accuracy(self.steps, self.state, jnp.asarray(path), valid)

        return of_path


def _accuracy(steps: Steps, state: SearchState, path: Path, valid: Split) -> float:
    """Mean over batches of `WATCHED`."""
    found = [steps.validate(state, path, one) for one in pieces(valid, WATCHED)]
    return float(np.mean(found))


def run(
    key: PRNGKey,
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: float | np.ndarray,
    train_weights: Split,
    train_alphas: Split,
    valid: Split,
    augment: Augment,
    compile: Compile = calls.on_first_call,
    after: Epoch | None = None,
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
      model: costs of all candidates, one kind or several.
      target: what the expected cost is held at, or one value for each kind.
      train_weights: trains the weights.
      train_alphas: trains the architecture parameters.
      valid: is watched.
      augment: applied inside the weight step.
      compile: makes the steps ready, before the first and after a pruning.
      after: an epoch of the warm-up of such a search to go on from, with its compiled
        steps. The warm-up knows neither costs nor target, so both may be others.
    """
    if config.objective == "mul_log":
        least = latency.reachable(model, space.mask)[0]
        objective.require_above_one(least, float(target))
    per_epoch = optim.steps_per_epoch(len(train_weights.labels), config.batch)
    optim.require_arch_steps(config, per_epoch)
    weights_tx = optim.search_weights(config, per_epoch)
    alphas_tx = optim.search_alphas(config)
    prune.require_below_chance(space, config.prune_below)
    mask = jnp.asarray(space.mask)
    goal = jnp.asarray(target, jnp.float32)
    ascent = optim.multipliers(config, per_epoch)

    weight_order = permutations(key, "weight_order", len(train_weights.labels))
    alpha_order = permutations(key, "alpha_order", len(train_alphas.labels))

    def compiled(space: SearchSpace, state: SearchState) -> Steps:
        weight = make_weight_step(space, config, weights_tx, augment)
        arch = make_arch_step(space, config, alphas_tx, ascent)
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
                    (state, arch_batch, model, goal),
                    f"search.arch_batch or {size}",
                ),
                "validation": Call(
                    make_validate(space),
                    (state, path, valid_batch),
                    f"data.valid or {size}",
                ),
            }
        )
        return Steps(
            ready["weight step"], ready["architecture step"], ready["validation"]
        )

    if after is None:
        state = init(key, space, config, weights_tx, alphas_tx)
        first, steps = 0, compiled(space, state)
    else:  # a copy: the steps donate their state
        state = jax.tree.map(jnp.copy, after.state)
        first, steps = after.epoch + 1, after.steps
    arch_steps = 0
    for epoch in range(first, config.warmup_epochs + config.joint_epochs):
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
                state, metrics = steps.arch(state, batch, model, goal)
                collected.append(metrics)
                arch_steps += 1
        probs = gates.probabilities(state.alphas, mask)
        likely = jnp.argmax(probs, axis=1)
        watched = _accuracy(steps, state, likely, valid)
        metrics = _mean(collected) | {
            "search/valid_accuracy": watched,
            **_expected(config, np.asarray(latency.expected(model, probs)), target),
            **_multipliers(config, state),
            "search/entropy": float(gates.entropy(probs)),
            "search/candidates": int(mask.sum()),
        }
        _require_finite(epoch, metrics["search/loss"], np.asarray(probs))
        phase = "warmup" if joint_epoch < 0 else "joint"
        yield Epoch(space, phase, epoch, state, probs, metrics, steps)
        if _prunes(config, joint_epoch):
            keep = prune.surviving(space, np.asarray(probs), config.prune_below)
            if keep.sum() < mask.sum():
                smaller = prune.restrict(space, keep)
                state = prune.shrink(space, smaller, state)
                space, mask = smaller, jnp.asarray(keep)
                steps = compiled(space, state)


def _expected(config: SearchConfig, expected: np.ndarray, target: Any) -> Metrics:
    """Expected cost and target in their unit; how far further limits are exceeded."""
    first, *others = expected.ravel().tolist()
    wanted, *limits = np.ravel(target).tolist()
    return {
        f"search/{EXPECTED[config.cost]}": first,
        f"search/{TARGETS[config.cost]}": wanted,
        **{
            f"search/limit_{place}_excess": cost / limit - 1
            for place, (cost, limit) in enumerate(
                zip(others, limits, strict=True), start=1
            )
        },
    }


def _multipliers(config: SearchConfig, state: SearchState) -> Metrics:
    if config.objective != "constrained":
        return {}
    first, *others = state.multipliers.ravel().tolist()
    return {
        "search/multiplier": first,
        "search/penalty_weight": float(state.penalty_weight),
        **{
            f"search/limit_{place}_multiplier": multiplier
            for place, multiplier in enumerate(others, start=1)
        },
    }


def _require_finite(epoch: int, loss: float, probs: np.ndarray) -> None:
    wrong = int((~np.isfinite(probs)).sum())
    if wrong or not np.isfinite(loss):
        raise ValueError(
            f"the search diverged in epoch {epoch}: expected a finite loss and finite "
            f"probabilities, got loss {loss} and {wrong} non-finite probabilities; "
            "lower search.lr, search.warmup_lr or search.arch_lr"
        )


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
