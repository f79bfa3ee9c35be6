"""The search: weights and architecture parameters trained in turn.

`run` is a generator over epochs: it yields, its consumer logs, times and saves. It goes
on from where a search stands between any two weight steps (`Reached`), bit for bit as
if it had not been stopped. ProxylessNAS, section 3; schedule as in the reference code.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import calls, divergence, gates, latency, objective, optim, prune
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


class Reached(NamedTuple):
    """Where a search stands between two weight steps, for `run` to go on from.

    `space` is what pruning left of it; `collected` are the metrics of the steps since
    the epoch began. Without `steps`, as when it comes from a file, they are compiled.
    """

    space: SearchSpace
    state: SearchState
    collected: Sequence[Metrics] = ()
    steps: Steps | None = None

    def accuracy(self, valid: Split) -> Callable[[np.ndarray], float]:
        """Accuracy of a path `[L]` on the search's `valid` with the supernet's weights.

        With batch statistics, as the search looks at its progress.
        """
        validate = self.steps.validate if self.steps else make_validate(self.space)

        def of_path(path: np.ndarray) -> float:
            return _accuracy(validate, self.state, jnp.asarray(path), valid)

        return of_path


class Epoch(NamedTuple):
    """What `run` yields after every epoch."""

    phase: str
    epoch: int
    probs: Probs
    metrics: Metrics
    reached: Reached

    @property
    def space(self) -> SearchSpace:
        return self.reached.space

    @property
    def state(self) -> SearchState:
        return self.reached.state


def keep_nothing(reached: Reached) -> None:
    """What `run` calls between two steps if nobody saves."""


def _accuracy(
    validate: Callable[..., Scalar], state: SearchState, path: Path, valid: Split
) -> float:
    """Mean over batches of `WATCHED`."""
    found = [validate(state, path, one) for one in pieces(valid, WATCHED)]
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
    after: Reached | None = None,
    keep: Callable[[Reached], None] = keep_nothing,
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
      ValueError: after the epoch in which loss or alphas are no longer finite, with the
        first such step and its path; or at once, if `prune_below` is not below the
        probability of chance.

    Args:
      key: the key of the search; everything random derives from it.
      space: the search space.
      config: schedule, optimisers, objective.
    target: float | np.ndarray,
    train_weights: Split,
    train_alphas: Split,
    valid: Split,
      augment: applied inside the weight step.
      compile: makes the steps ready, before the first and after a pruning.
      after: where this search stood, to go on from; its state is left alone. The
        warm-up knows neither costs nor target, so until its end both may be others.
      keep: called between two steps within an epoch. The state is alive until it
        returns: what is to stay is copied.
    """
    if config.objective == "mul_log":
        least = latency.reachable(model, space.mask)[0]
        objective.require_above_one(least, float(target))
    per_epoch = optim.steps_per_epoch(len(train_weights.labels), config.batch)
    optim.require_arch_steps(config, per_epoch)
    weights_tx = optim.search_weights(config, per_epoch)
    alphas_tx = optim.search_alphas(config)
    prune.require_below_chance(space, config.prune_below)
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
        after = Reached(space, init(key, space, config, weights_tx, alphas_tx))
    space, state, steps = after.space, after.state, after.steps
    state = jax.tree.map(jnp.copy, state)  # the steps donate their state
    collected, begun = list(after.collected), int(state.step)
    arch_steps = optim.arch_steps_before(config, per_epoch, begun)
    for epoch in range(begun // per_epoch, config.warmup_epochs + config.joint_epochs):
        joint_epoch = epoch - config.warmup_epochs
        first, end = max(begun, epoch * per_epoch), (epoch + 1) * per_epoch
        if first == epoch * per_epoch and _prunes(config, joint_epoch - 1):
            smaller = prune.pruned(space, state.alphas, config.prune_below)
            if smaller != space:
                state = prune.shrink(space, smaller, state)
                space, steps = smaller, None
        if steps is None:
            steps = compiled(space, state)
        for step in range(first, end):
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
            if step < end - 1:
                keep(Reached(space, state, collected, steps))
        reached = Reached(space, state, steps=steps)
        collected = jax.device_get(collected)
        divergence.require_finite(space, state, collected, per_epoch)
        probs = gates.probabilities(state.alphas, jnp.asarray(space.mask))
        likely = jnp.argmax(probs, axis=1)
        watched = _accuracy(steps.validate, state, likely, valid)
        metrics = _mean(collected) | {
            "search/valid_accuracy": watched,
            **_expected(config, np.asarray(latency.expected(model, probs)), target),
            **_multipliers(config, state),
            "search/entropy": float(gates.entropy(probs)),
            "search/candidates": int(space.mask.sum()),
        }
        collected = []
        phase = "warmup" if joint_epoch < 0 else "joint"
        yield Epoch(phase, epoch, probs, metrics, reached)


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
    """Mean of every number over the steps that reported it."""
    values: dict[str, list[float]] = {}
    for metrics in collected:
        for name, value in divergence.numbers(metrics).items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(numbers)) for name, numbers in values.items()}
