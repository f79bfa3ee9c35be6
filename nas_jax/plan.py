"""What a run will take on the devices at hand, from a few of its steps, really run.

The steps are compiled and timed on a copy of their first arguments, so nothing that a
search does afterwards depends on it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax import baselines, cost, memory, optim, rng, search_loop, train
from nas_jax.calls import Call, Compile
from nas_jax.config import Experiment
from nas_jax.data_config import WATCHED
from nas_jax.problem import Problem
from nas_jax.schedule import is_watched
from nas_jax.search_loop import SearchData
from nas_jax.search_state import SearchProblem
from nas_jax.watch import Watch

TIMED = 5
"""Calls of each program that are timed, after one that is not."""
LONG_MINUTES = 5.0
"""A search that will take longer says so before it begins."""


class Forecast(NamedTuple):
    """One program of a run: how often it is called, and what a call takes."""

    name: str
    calls: int
    images: int
    ms: float
    argument_bytes: int
    needed_bytes: int
    """Beyond the arguments, by the compiler; on one device."""

    @property
    def hours(self) -> float:
        return self.calls * self.ms / 3.6e6


class Told(Exception):
    """Leaves a process once its programs are known."""


def schedule(experiment: Experiment, given: Problem) -> dict[str, int]:
    """How often a run calls each program; trainings are those of all networks."""
    config, training = experiment.search, experiment.train
    splits = {name: len(split.labels) for name, split in given.splits.items()}
    per_epoch = optim.steps_per_epoch(splits["train_weights"], config.batch)
    epochs = config.warmup_epochs + config.joint_epochs
    watched = sum(is_watched(config, epoch) for epoch in range(epochs))
    with_alphas = max(0, config.joint_epochs - config.arch_start_epoch)
    trained = splits["train_weights"] + splits["train_alphas"]
    networks = 2 + config.trials + experiment.random_networks  # hand-designed, cheapest
    per_network = training.epochs * optim.steps_per_epoch(trained, training.batch)
    return {
        "weight step": epochs * per_epoch,
        "architecture step": with_alphas * (per_epoch // config.arch_every),
        "validation": watched * -(-splits["valid"] // WATCHED),
        "training step": networks * per_network,
    }


def of_run(
    experiment: Experiment, given: Problem, compile: Compile
) -> tuple[Forecast, ...]:
    """Forecasts of a whole run: the search, and the trainings after it.

    The hand-designed network stands for those that will be trained. No costs are
    needed: whatever they are, a step takes the same.

    Raises:
      ValueError: as the search itself, and if a program would not fit in memory.
    """
    config = experiment.search
    found: list[Forecast] = []
    counts = schedule(experiment, given)

    def look(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        ready = compile(calls)
        found.extend(forecasts(calls, ready, counts))
        raise Told

    costs = 1 + len(config.limits)
    # in the types of a true one, so that the search finds the programs in the cache
    full = jnp.full(given.space.mask.shape, 2.0, jnp.float32)
    one = cost.CostModel(full, 0.0)
    model = cost.stack([one] * costs) if config.limits else one
    target: Any = np.full(costs, 2.0) if config.limits else 2.0
    key = jax.random.key(experiment.seed)
    weights, alphas = (given.splits[f"train_{name}"] for name in ("weights", "alphas"))
    searching = search_loop.run(
        rng.stream(key, "search"),
        SearchProblem(given.space, config, model, target),
        SearchData(
            *(weights, alphas, given.splits["valid"]), given.augment, given.execution
        ),
        compile=look,
    )
    training = train.run(
        rng.stream(key, "train"),
        baselines.hand_designed(given.space),
        experiment.train,
        weights.joined(alphas),
        given.augment,
        compile=look,
        execution=given.execution,
    )
    running: Iterator[Any]
    for running in (searching, training):
        try:
            next(running)
        except Told:
            continue
    return tuple(found)


def forecasts(
    calls: Mapping[str, Call],
    ready: Mapping[str, Callable[..., Any]],
    counts: Mapping[str, int],
) -> list[Forecast]:
    """Runs compiled programs a few times; one forecast for each that is counted."""
    found = []
    for name, call in calls.items():
        sizes: Any = ready[name]
        batch = next(one for one in call.arguments if hasattr(one, "labels"))
        found.append(
            Forecast(
                name,
                counts[name],
                len(batch.labels),
                _milliseconds(ready[name], call.arguments),
                sizes.memory_analysis().argument_size_in_bytes,
                memory.needed_bytes(sizes),
            )
        )
    return found


def _milliseconds(step: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """Median time of a call; a step that returns a state is given it again."""
    state, *rest = arguments
    state = jax.tree.map(jnp.copy, state)  # donated, and the caller needs his
    times = []
    for _ in range(1 + TIMED):
        start = time.perf_counter()
        answer = jax.block_until_ready(step(state, *rest))
        times.append(1000 * (time.perf_counter() - start))
        state = answer[0] if isinstance(answer, tuple) else state
    return float(np.median(times[1:]))


def lines(found: tuple[Forecast, ...], devices: int) -> list[str]:
    """What forecasts say, one line each and one for the sum."""
    told = [
        f"{one.calls:,} x {one.name} of {one.images:,} images: {one.ms:.3g} ms, "
        f"{1000 * one.images / one.ms:,.0f} images/s; "
        f"{one.argument_bytes / 1e6:,.3g} MB of state and images, "
        f"{one.needed_bytes / 1e6:,.3g} MB beside, on each device"
        for one in found
    ]
    hours = sum(one.hours for one in found)
    spoken = f"{hours:.3g} h" if hours >= 1 else f"{60 * hours:.2g} min"
    plural = "s" if devices > 1 else ""
    rest = "; measuring, compiling and exporting come on top"
    return [*told, f"in all {spoken} of steps on {devices} device{plural}{rest}"]


def before(
    compile: Compile, experiment: Experiment, given: Problem, watch: Watch
) -> Compile:
    """`compile`, and a forecast of the search, if it is a long one, the first time."""
    counts = schedule(experiment, given)
    is_told = False

    def compiled(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        nonlocal is_told
        ready = compile(calls)
        if not is_told:
            is_told = True
            found = tuple(forecasts(calls, ready, counts))
            if sum(one.hours for one in found) * 60 > LONG_MINUTES:
                for line in lines(found, given.execution.devices):
                    watch.line(line)
        return ready

    return compiled
