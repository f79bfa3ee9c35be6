"""Forecast of a run on the devices at hand, from a few of its steps, really run.

The steps are compiled and timed on a copy of their first arguments, so nothing in a
search depends on it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import stream
from nas_jax.config.data import WATCHED
from nas_jax.config.search import without_target
from nas_jax.runs.setup import Setup
from nas_jax.search import baselines, cost
from nas_jax.search import loop as search_loop
from nas_jax.search.schedule import is_watched
from nas_jax.search.search_state import SearchProblem
from nas_jax.training import loop as training_loop
from nas_jax.training import memory, optim
from nas_jax.training.compiler import Call, Compile
from nas_jax.training.progress import Progress

TIMED = 5
"""Calls of each program that are timed, after one that is not."""
LONG_MINUTES = 5.0
"""A search that will take longer is forecast before it begins."""


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


def schedule(setup: Setup) -> dict[str, int]:
    """How often a run calls each program; trainings are those of all networks."""
    experiment = setup.experiment
    config, training = experiment.search, experiment.train
    splits = {name: len(split.labels) for name, split in setup.splits.items()}
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


def of_run(setup: Setup, compile: Compile) -> tuple[Forecast, ...]:
    """Forecasts of a whole run: the search, and the trainings after it.

    The hand-designed network stands for those that will be trained. No costs are
    needed: whatever they are, a step takes the same.

    Raises:
      ValueError: as the search itself, and if a program would not fit in memory.
    """
    key, counts = jax.random.key(setup.experiment.seed), schedule(setup)
    training = training_loop.programs(
        stream(key, "train"), baselines.hand_designed(setup.space), setup.recipe
    )
    found: list[Forecast] = []
    searching = search_loop.programs(
        stream(key, "search"), _any_problem(setup), setup.search_data
    )
    for calls in (searching, training):
        found += forecasts(calls, compile(calls), counts)
    return tuple(found)


def _any_problem(setup: Setup) -> SearchProblem:
    """The problem of a search with made-up costs, of the true shapes and types."""
    config = without_target(setup.experiment.search)
    count = 1 + len(config.limits)
    one = cost.CostModel(jnp.full(setup.space.mask.shape, 2.0, jnp.float32), 0.0)
    if count == 1:
        return SearchProblem(setup.space, config, one, 2.0)
    costs, targets = cost.stack([one] * count), np.full(count, 2.0)
    return SearchProblem(setup.space, config, costs, cast(Any, targets))


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
    state = jax.tree.map(jnp.copy, state)  # donated, and the caller needs its own
    times = []
    for _ in range(1 + TIMED):
        start = time.perf_counter()
        answer = jax.block_until_ready(step(state, *rest))
        times.append(1000 * (time.perf_counter() - start))
        state = answer[0] if isinstance(answer, tuple) else state
    return float(np.median(times[1:]))


def lines(found: tuple[Forecast, ...], devices: int) -> list[str]:
    """Forecasts as text, one line each and one for the sum."""
    texts = [
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
    return [*texts, f"in all {spoken} of steps on {devices} device{plural}{rest}"]


def before(compile: Compile, setup: Setup, progress: Progress) -> Compile:
    """`compile`, which the first time also reports the forecast of a long search."""
    is_first = True

    def compiled(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        nonlocal is_first
        ready = compile(calls)
        if is_first:
            is_first = False
            found = tuple(forecasts(calls, ready, schedule(setup)))
            if sum(one.hours for one in found) * 60 > LONG_MINUTES:
                for line in lines(found, setup.devices.count):
                    progress.line(line)
        return ready

    return compiled
