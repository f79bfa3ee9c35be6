"""The search loop: weights and architecture parameters trained in turn.

`run` is a generator over epochs: it yields, its consumer logs, times and saves. It
resumes between any two weight steps (`Reached`), bit for bit as if it had not been
stopped. ProxylessNAS, section 3; schedule as in the reference code. Shapes: L layers, K
candidates.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import Images, Metrics, Path, PRNGKey, Probs, Scalar
from nas_jax.config.data import WATCHED
from nas_jax.config.search import EXPECTED, TARGETS
from nas_jax.data.augment import as_they_are
from nas_jax.data.batches import (
    WHOLE,
    Augment,
    Batch,
    Shard,
    Split,
    batch_at,
    permutations,
    require_full,
)
from nas_jax.networks import parts
from nas_jax.search import (
    cost,
    divergence,
    estimators,
    gates,
    objective,
    prune,
    schedule,
    spendable,
)
from nas_jax.search.arch_step import ArchStep, make_arch_step
from nas_jax.search.search_state import SearchProblem, SearchState, init
from nas_jax.search.weight_step import WeightStep, make_weight_step
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import compiler, losses, optim
from nas_jax.training.compiler import Call, Compile
from nas_jax.training.devices import PLAIN, Devices

Validate = Callable[[SearchState, Path, Batch], Scalar]
PROGRAMS = ("weight step", "architecture step", "validation")
"""What is compiled for a search, in the order of `Steps`."""


class SearchData(NamedTuple):
    """The data and the devices of a search.

    `train_weights` trains the weights of the supernet, `train_alphas` the alphas;
    `valid` trains nothing. `augment` is applied inside the weight step, `normalise`
    inside the architecture step. The result does not depend on the number of devices,
    up to rounding.
    """

    train_weights: Split
    train_alphas: Split
    valid: Split
    augment: Augment
    devices: Devices = PLAIN
    normalise: Callable[[Images], Images] = as_they_are

    def require_full_batches(self, weights: int, alphas: int) -> None:
        """Raises `ValueError` for sizes of batches that a split does not fill."""
        images = len(self.train_weights.labels), len(self.train_alphas.labels)
        require_full("search.batch", weights, "train_weights", images[0])
        require_full("search.arch_batch", alphas, "train_alphas", images[1])

    def weight_batches(self, key: PRNGKey, size: int) -> Callable[[int], Batch]:
        """The batch of weight step number i; epochs are passes over the split."""
        return self._batches(self.train_weights, key, "weight_order", size)

    def arch_batches(self, key: PRNGKey, size: int) -> Callable[[int], Batch]:
        """The batch of architecture step number i."""
        return self._batches(self.train_alphas, key, "alpha_order", size)

    def _batches(
        self, split: Split, key: PRNGKey, stream: str, size: int
    ) -> Callable[[int], Batch]:
        order, devices = permutations(key, stream, len(split.labels)), self.devices
        return lambda step: devices.shared(
            batch_at(split, order, size, step, devices.shard)
        )


class Steps(NamedTuple):
    """The compiled steps of one space."""

    weight: WeightStep
    arch: ArchStep
    validate: Validate


class Reached(NamedTuple):
    """A point of a search between two weight steps, for `run` to resume from.

    `space` is what pruning left of it; `collected` are the metrics of the steps since
    the epoch began. Without `steps`, as when it comes from a file, they are compiled.
    """

    space: SearchSpace
    state: SearchState
    collected: Sequence[Metrics] = ()
    steps: Steps | None = None
    devices: Devices = PLAIN

    def accuracy(self, valid: Split) -> Callable[[np.ndarray], float]:
        """Accuracy of a path `[L]` on the search's `valid` with the supernet's weights.

        Over `watched_batches`, with the statistics of each batch.
        """
        devices, steps = self.devices, self.steps
        validate = steps.validate if steps else make_validate(self.space, devices)

        def of_path(path: np.ndarray) -> float:
            chosen = devices.whole(jnp.asarray(path))
            batches = watched_batches(valid, devices.shard)
            accuracies = [
                validate(self.state, chosen, devices.shared(batch)) for batch in batches
            ]
            images = len(valid.labels)
            watched = len(accuracies) * min(WATCHED, images)
            return float(np.mean(accuracies)) * (watched / images)

        return of_path


class Epoch(NamedTuple):
    """The result of an epoch."""

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


def watched_batches(valid: Split, shard: Shard = WHOLE) -> Iterator[Batch]:
    """All images in batches of `WATCHED`, or of all if these are fewer.

    The last is filled up with images before it, so that one compiled program and
    statistics of as many images serve all. Their label is -1, which is never right.
    """
    images = len(valid.labels)
    size = min(WATCHED, images)
    rows = shard.rows(size)
    for start in range(0, images, size):
        places = min(start, images - size) + np.arange(size)[rows]
        batch = valid.take(places)
        yield batch._replace(labels=np.where(places < start, -1, batch.labels))


def do_nothing(reached: Reached) -> None:
    """The default of `run` between two steps."""


def run(
    key: PRNGKey,
    problem: SearchProblem,
    data: SearchData,
    *,
    compile: Compile = compiler.on_first_call,
    after: Reached | None = None,
    between_steps: Callable[[Reached], None] = do_nothing,
) -> Iterator[Epoch]:
    """The epochs of a search, each run when it is asked for.

    Epochs count passes over `train_weights`. In the joint phase, from
    `arch_start_epoch` on, every `arch_every`-th weight step is followed by one
    architecture step on a batch of `train_alphas`. The most probable network is tested
    on `valid` with the statistics of `watched_batches`, as in the reference. With
    `prune_below`, less probable candidates are removed every `prune_every_epochs` of
    the joint phase, and smaller steps are compiled.

    Args:
      key: the key of the search; everything random derives from it.
      problem: space, settings, costs and targets.
      data: splits, augmentation, devices.
      compile: compiles the steps, at the start and after a pruning.
      after: a point of this search to resume from; its state is left alone. During
        warm-up costs and targets may still change.
      between_steps: called within an epoch, to save; the next step donates the state.

    Raises:
      ValueError: at once for settings that do not fit each other; after the epoch in
        which loss, gradients or alphas are no longer finite, with the first such step.
    """
    config, devices = problem.config, data.devices
    data.require_full_batches(config.batch, config.arch_batch)
    per_epoch = _per_epoch(problem, data)
    require_runnable(problem, per_epoch)
    targets = problem.targets
    weight_batch = data.weight_batches(key, config.batch)
    arch_batch = data.arch_batches(key, config.arch_batch)
    if after is None:
        after = Reached(problem.space, begin(key, problem, data))
    problem, steps = _placed(problem, after.space, devices), after.steps
    # copied: the steps donate theirs
    state = devices.whole(jax.tree.map(jnp.copy, after.state))
    collected, begun = list(after.collected), int(state.step)
    arch_steps = schedule.arch_steps_before(config, per_epoch, begun)
    for epoch in range(begun // per_epoch, config.warmup_epochs + config.joint_epochs):
        first, end = max(begun, epoch * per_epoch), (epoch + 1) * per_epoch
        is_whole = first == epoch * per_epoch
        if is_whole and schedule.is_pruned_after(config, epoch - 1):
            smaller = prune.pruned(problem.space, state.alphas, config.prune_below)
            if smaller != problem.space:
                state = prune.shrink(problem.space, smaller, state)
                problem, steps = _placed(problem, smaller, devices), None
        if steps is None:
            ready = compile(programs(key, problem, data, state))
            steps = Steps(*(ready[name] for name in PROGRAMS))
        for step in range(first, end):
            state, metrics = steps.weight(state, weight_batch(step))
            collected.append(metrics)
            if schedule.is_arch_step(config, per_epoch, step):
                state, metrics = steps.arch(state, arch_batch(arch_steps), problem)
                collected.append(metrics)
                arch_steps += 1
            if step < end - 1:
                between_steps(Reached(problem.space, state, collected, steps, devices))
        reached = Reached(problem.space, state, steps=steps, devices=devices)
        collected = jax.device_get(collected)
        divergence.require_finite(problem.space, state, collected, per_epoch)
        probs = gates.probabilities(state.alphas, problem.mask)
        metrics = _metrics(problem, state, probs, collected, targets)
        if schedule.is_watched(config, epoch):
            accuracy = reached.accuracy(data.valid)
            metrics["search/valid_accuracy"] = accuracy(np.argmax(probs, axis=1))
        collected = []
        phase = "warmup" if epoch < config.warmup_epochs else "joint"
        yield Epoch(phase, epoch, probs, metrics, reached)


def require_runnable(problem: SearchProblem, steps_per_epoch: int) -> None:
    """Raises `ValueError` for settings that do not fit each other."""
    config = problem.config
    estimators.of(config)
    if config.objective == "mul_log":
        least = cost.reachable(problem.costs, problem.space.mask)[0]
        objective.require_above_one(least, float(problem.targets))
    schedule.require_arch_steps(config, steps_per_epoch)
    prune.require_below_chance(problem.space, config.prune_below)


def programs(
    key: PRNGKey,
    problem: SearchProblem,
    data: SearchData,
    state: SearchState,
) -> dict[str, Call]:
    """The three programs of a search, with arguments of the shapes that they get."""
    config, devices, size = problem.config, data.devices, "space.input_size"
    per_epoch = _per_epoch(problem, data)
    problem = _placed(problem, problem.space, devices)
    weight_step = make_weight_step(
        problem.space,
        config,
        tx=schedule.search_weights(config, per_epoch),
        augment=data.augment,
        devices=devices,
    )
    arch_step = make_arch_step(
        schedule.search_alphas(config),
        ascent=schedule.multipliers(config, per_epoch),
        devices=devices,
        normalise=data.normalise,
    )
    weight_batch = data.weight_batches(key, config.batch)(0)
    arch_batch = data.arch_batches(key, config.arch_batch)(0)
    valid_batch = devices.shared(next(watched_batches(data.valid, devices.shard)))
    path = jnp.argmax(state.alphas, axis=1)
    validate = make_validate(problem.space, devices)
    made_of = _made_of(problem, data)
    calls = (
        Call(weight_step, (state, weight_batch), f"search.batch or {size}", made_of),
        Call(
            arch_step,
            (state, arch_batch, problem),
            f"search.arch_batch or {size}",
            made_of,
        ),
        Call(validate, (state, path, valid_batch), f"data.valid or {size}", made_of),
    )
    return dict(zip(PROGRAMS, calls, strict=True))


def begin(
    key: PRNGKey,
    problem: SearchProblem,
    data: SearchData,
) -> SearchState:
    """The state of a search before its first step."""
    config = problem.config
    weights_tx = schedule.search_weights(config, _per_epoch(problem, data))
    return init(key, problem.space, config, weights_tx, schedule.search_alphas(config))


def make_validate(space: SearchSpace, devices: Devices = PLAIN) -> Validate:
    """The jitted accuracy of one path, with the statistics of the batch."""

    def validate(state: SearchState, path: Path, batch: Batch) -> Scalar:
        batch = Batch(devices.cast(batch.images), batch.labels)
        logits = estimators.path_logits(space, state, path, batch)
        return losses.accuracy(logits, batch.labels)

    return devices.jit(validate)


def _placed(
    problem: SearchProblem, space: SearchSpace, devices: Devices
) -> SearchProblem:
    """The problem of what is left of its space, with its arrays on every device.

    With fewer candidates a target may be one that no network spends.
    """
    if space != problem.space or problem.is_spent is None:
        spent = spendable.is_spent(space.mask, problem.costs, problem.targets)
        problem = dataclasses.replace(problem, space=space, is_spent=jnp.asarray(spent))
    return dataclasses.replace(
        problem,
        costs=devices.whole(problem.costs),
        targets=devices.whole(jnp.asarray(problem.targets, jnp.float32)),
        is_spent=devices.whole(problem.is_spent),
    )


def _per_epoch(problem: SearchProblem, data: SearchData) -> int:
    return optim.steps_per_epoch(len(data.train_weights.labels), problem.config.batch)


def _made_of(problem: SearchProblem, data: SearchData) -> tuple[Any, ...]:
    """All that a search's programs have besides their arguments."""
    return (
        problem.space,
        parts.implementations(problem.space.candidates),
        problem.config,
        estimators.of(problem.config),
        _per_epoch(problem, data),
        data.augment,
        data.normalise,
        data.devices,
    )


def _metrics(
    problem: SearchProblem,
    state: SearchState,
    probs: Probs,
    collected: Sequence[Metrics],
    targets: Any,
) -> Metrics:
    """The metrics of an epoch: means over its steps, costs, multipliers, entropy."""
    values: dict[str, list[float]] = {}
    for metrics in collected:
        for name, value in divergence.numbers(metrics).items():
            values.setdefault(name, []).append(value)
    means: Metrics = {name: float(np.mean(each)) for name, each in values.items()}
    config = problem.config
    expected, *others = np.ravel(cost.expected(problem.costs, probs)).tolist()
    target, *limits = np.ravel(targets).tolist()
    excesses = [cost / limit - 1 for cost, limit in zip(others, limits, strict=True)]
    costs = {
        f"search/{EXPECTED[config.cost]}": expected,
        f"search/{TARGETS[config.cost]}": target,
        **_numbered("search/limit_{}_excess", excesses),
    }
    if config.objective == "constrained":
        multiplier, *others = state.multipliers.ravel().tolist()
        costs |= {
            "search/multiplier": multiplier,
            "search/penalty_weight": float(state.penalty_weight),
            **_numbered("search/limit_{}_multiplier", others),
        }
    return means | {
        **costs,
        "search/entropy": float(gates.entropy(probs)),
        "search/candidates": int(problem.space.mask.sum()),
    }


def _numbered(name: str, values: Sequence[float]) -> Metrics:
    return {name.format(place): value for place, value in enumerate(values, start=1)}
