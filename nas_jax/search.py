"""The search: weights and architecture parameters trained in turn.

`run` is a generator over epochs: it yields, its consumer logs, times and saves. It goes
on from where a search stands between any two weight steps (`Reached`), bit for bit as
if it had not been stopped. ProxylessNAS, section 3; schedule as in the reference code.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import (
    calls,
    divergence,
    epoch_metrics,
    gates,
    latency,
    objective,
    optim,
    prune,
)
from nas_jax.base import Metrics, Path, PRNGKey, Probs, Scalar
from nas_jax.batches import Augment, Batch, Split, batch_at, permutations, pieces
from nas_jax.calls import Call, Compile
from nas_jax.config import SearchConfig
from nas_jax.data_config import WATCHED
from nas_jax.devices import PLAIN, Devices
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
    execution: Devices = PLAIN

    def accuracy(self, valid: Split) -> Callable[[np.ndarray], float]:
        """Accuracy of a path `[L]` on the search's `valid` with the supernet's weights.

        With batch statistics, as the search looks at its progress.
        """
        validate = (
            self.steps.validate
            if self.steps
            else make_validate(self.space, self.execution)
        )

        def of_path(path: np.ndarray) -> float:
            chosen = self.execution.whole(jnp.asarray(path))
            return _accuracy(self.execution, validate, self.state, chosen, valid)

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
    execution: Devices,
    validate: Callable[..., Scalar],
    state: SearchState,
    path: Path,
    valid: Split,
) -> float:
    """Mean over batches of `WATCHED`."""
    found = [
        validate(state, path, execution.shared(one))
        for one in pieces(valid, WATCHED, execution.shard)
    ]
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
    execution: Devices = PLAIN,
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
      model: the costs of all candidates.
      target: of the expected cost; one, or one for each of D costs.
      train_weights: trains the weights of the supernet.
      train_alphas: trains the alphas.
      valid: tells how the search is getting on.
      augment: applied inside the weight step.
      compile: makes the steps ready, before the first and after a pruning.
      after: where this search stood, to go on from; its state is left alone. The
        warm-up knows neither costs nor target, so until its end both may be others.
      keep: called between two steps within an epoch. The state is alive until it
        returns: what is to stay is copied.
      execution: the devices, the same as those of `after`. What is sampled, drawn and
        yielded does not depend on how many there are, up to rounding.
    """
    if config.objective == "mul_log":
        least = latency.reachable(model, space.mask)[0]
        objective.require_above_one(least, float(target))
    per_epoch = optim.steps_per_epoch(len(train_weights.labels), config.batch)
    optim.require_arch_steps(config, per_epoch)
    weights_tx = optim.search_weights(config, per_epoch)
    alphas_tx = optim.search_alphas(config)
    prune.require_below_chance(space, config.prune_below)
    goal = execution.whole(jnp.asarray(target, jnp.float32))
    model = execution.whole(model)
    ascent = optim.multipliers(config, per_epoch)

    weight_order = permutations(key, "weight_order", len(train_weights.labels))
    alpha_order = permutations(key, "alpha_order", len(train_alphas.labels))

    def weight_batch_at(step: int) -> Batch:
        own = (weight_order, config.batch, step, execution.shard)
        return execution.shared(batch_at(train_weights, *own))

    def arch_batch_at(step: int) -> Batch:
        own = (alpha_order, config.arch_batch, step, execution.shard)
        return execution.shared(batch_at(train_alphas, *own))

    def compiled(space: SearchSpace, state: SearchState) -> Steps:
        weight = make_weight_step(space, config, weights_tx, augment, execution)
        arch = make_arch_step(space, config, alphas_tx, ascent, execution)
        weight_batch, arch_batch = weight_batch_at(0), arch_batch_at(0)
        valid_batch = execution.shared(next(pieces(valid, WATCHED, execution.shard)))
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
                    make_validate(space, execution),
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
    state = execution.whole(jax.tree.map(jnp.copy, state))  # the steps donate theirs
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
            state, metrics = steps.weight(state, weight_batch_at(step))
            collected.append(metrics)
            if optim.is_arch_step(config, per_epoch, step):
                batch = arch_batch_at(arch_steps)
                state, metrics = steps.arch(state, batch, model, goal)
                collected.append(metrics)
                arch_steps += 1
            if step < end - 1:
                keep(Reached(space, state, collected, steps, execution))
        reached = Reached(space, state, steps=steps, execution=execution)
        collected = jax.device_get(collected)
        divergence.require_finite(space, state, collected, per_epoch)
        probs = gates.probabilities(state.alphas, jnp.asarray(space.mask))
        metrics = epoch_metrics.mean(collected) | {
            **epoch_metrics.expected(
                config, np.asarray(latency.expected(model, probs)), target
            ),
            **epoch_metrics.multipliers(config, state),
            "search/entropy": float(gates.entropy(probs)),
            "search/candidates": int(space.mask.sum()),
        }
        if is_watched(config, epoch):
            accuracy = reached.accuracy(valid)
            metrics["search/valid_accuracy"] = accuracy(np.argmax(probs, axis=1))
        collected = []
        phase = "warmup" if joint_epoch < 0 else "joint"
        yield Epoch(phase, epoch, probs, metrics, reached)


def is_watched(config: SearchConfig, epoch: int) -> bool:
    """Whether the most probable network is tried on `valid` after this epoch."""
    after = epoch + 1
    is_last = after == config.warmup_epochs + config.joint_epochs
    return is_last or after % config.watch_every_epochs == 0


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
