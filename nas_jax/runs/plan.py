"""Forecast of a run on the devices at hand, from a few of its steps.

They are compiled and timed on copies of their first arguments, so nothing in a search
depends on it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.base import stream
from nas_jax.config.data import WATCHED
from nas_jax.config.experiment import Experiment
from nas_jax.config.search import without_target
from nas_jax.config.space import ElasticConfig
from nas_jax.runs import targets
from nas_jax.runs.setup import Setup
from nas_jax.search import baselines, halving, shared_search
from nas_jax.search import loop as search_loop
from nas_jax.search.derivation import Limit
from nas_jax.search.schedule import is_watched
from nas_jax.search.search_state import SearchProblem
from nas_jax.search.shared_search import SharedProblem
from nas_jax.search.targets import Targets
from nas_jax.spaces import builders
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.training import loop as training_loop
from nas_jax.training import memory, optim
from nas_jax.training.compiler import Call, Compile
from nas_jax.training.progress import Progress

TRAINING = "training step"
"""The program of all trainings, by its name."""
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
    """How often a run calls each program; trainings are those of all networks.

    A step of a network within the target counts as the share of one that it takes.
    """
    experiment = setup.experiment
    config, training = experiment.search, experiment.train
    splits = {name: len(split.labels) for name, split in setup.splits.items()}
    per_epoch = optim.steps_per_epoch(splits["train_weights"], config.batch)
    epochs = config.warmup_epochs + config.joint_epochs
    watched = sum(is_watched(config, epoch) for epoch in range(epochs))
    with_alphas = max(0, config.joint_epochs - config.arch_start_epoch)
    trained = splits["train_weights"] + splits["train_alphas"]
    epochs_trained = round(trainings(experiment) * training.epochs)
    return {
        "weight step": epochs * per_epoch,
        "architecture step": with_alphas * (per_epoch // config.arch_every),
        "validation": watched * -(-splits["valid"] // WATCHED),
        TRAINING: epochs_trained * optim.steps_per_epoch(trained, training.batch),
    }


def trainings(experiment: Experiment) -> float:
    """All trainings of a run, counted in full ones of the hand-designed network.

    One at the target takes its share of that; the cheapest network counts as one, too.
    """
    config, epochs = experiment.search, experiment.train.epochs
    # the searched and the scaled one are the best of their rungs
    at_target = experiment.random_networks + halving.trainings(config.trials, epochs)
    if scaled := experiment.scaled_networks:
        at_target += halving.trainings(scaled, epochs)
    share = 1.0 if config.target_ratio is None else min(1.0, config.target_ratio)
    return 1 + share * (1 + at_target)


def of_run(setup: Setup, compile: Compile) -> tuple[Forecast, ...]:
    """Forecasts of a whole run: the search, and the trainings after it.

    The hand-designed network stands for those that will be trained. Raises
    `ValueError` as the search itself, and if a program would not fit in memory.
    """
    key, counts = jax.random.key(setup.experiment.seed), schedule(setup)
    training = training_loop.programs(
        stream(key, "train"), baselines.hand_designed(setup.space), setup.recipe
    )
    if isinstance(setup.whole, ElasticSpace):
        searching = _elastic(setup, setup.whole, counts)
        return tuple(
            one
            for calls in (searching, training)
            for one in forecasts(calls, compile(calls), counts)
        )
    # made-up costs, of the true shapes and types
    config = without_target(setup.experiment.search)
    space = targets.within_peaks(config, setup.space)
    limit = Limit("", np.full(space.mask.shape, 2.0), 0.0, 2.0)
    made_up = Targets((limit,) * (1 + len(config.sums)))
    problem = SearchProblem(space, config, made_up.costs, made_up.values)
    key, data = stream(key, "search"), setup.search_data
    begun = data.devices.whole(search_loop.begin(key, problem, data))
    searching = search_loop.programs(key, problem, data, begun)
    programs: list[Forecast] = []
    for calls in (searching, training):
        programs += forecasts(calls, compile(calls), counts)
    return tuple(programs)


def _elastic(
    setup: Setup, space: ElasticSpace, counts: dict[str, int]
) -> dict[str, Call]:
    """The steps of a shared supernet; the hand-designed shape stands for all."""
    config = setup.experiment.search
    if not config.warmup_epochs:
        return {}
    choices = setup.experiment.space
    assert isinstance(choices, ElasticConfig)
    shapes = (replace(choices.middle, input_size=side) for side in space.sides)
    networks = tuple(baselines.hand_designed(builders.mobile(one)) for one in shapes)
    data = {side: setup.shared_data(side) for side in space.sides}
    problem = SharedProblem(networks, config, data)
    key = stream(jax.random.key(setup.experiment.seed), "search")
    calls = shared_search.programs(key, problem, shared_search.init(key, problem))
    steps = config.warmup_epochs * problem.steps_per_epoch
    counts |= dict.fromkeys(calls, steps // len(calls))
    return calls


def forecasts(
    calls: Mapping[str, Call],
    ready: Mapping[str, Callable[..., Any]],
    counts: Mapping[str, int],
) -> list[Forecast]:
    """Runs compiled programs a few times; one forecast for each that is counted."""
    programs: list[Forecast] = []
    for name, call in calls.items():
        program: Any = ready[name]
        (images,) = (len(x.labels) for x in call.arguments if hasattr(x, "labels"))
        ms = _milliseconds(program, call.arguments)
        arguments = program.memory_analysis().argument_size_in_bytes
        needed = memory.needed_bytes(program)
        programs.append(Forecast(name, counts[name], images, ms, arguments, needed))
    return programs


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


def lines(
    programs: tuple[Forecast, ...], devices: int, rest_hours: float | None = None
) -> list[str]:
    """Forecasts as text, one line each and one for the sum.

    `rest_hours` is what a run does beside its steps (`budget.rest_hours`), if known.
    """
    texts = [
        f"{program.calls:,} x {program.name} of {program.images:,} images: "
        f"{program.ms:.3g} ms, {1000 * program.images / program.ms:,.0f} images/s; "
        f"memory on each device: {program.argument_bytes / 1e6:,.3g} MB of state and "
        f"images, and {program.needed_bytes / 1e6:,.3g} MB while it computes"
        for program in programs
    ]
    hours = sum(program.hours for program in programs)
    steps = f"{spoken(hours)} of steps on {devices} device{'s' if devices > 1 else ''}"
    rest = "measuring, compiling and exporting"
    if rest_hours is None:
        return [*texts, f"in all {steps}; {rest} come on top"]
    about = f"{steps}, and about {spoken(rest_hours)} for {rest}"
    return [*texts, f"in all about {spoken(hours + rest_hours)}: {about}"]


def spoken(hours: float) -> str:
    """Hours as people say them: in minutes, if it is less than one.

    >>> spoken(0.05), spoken(36)
    ('3 min', '36 h')
    """
    return f"{hours:.3g} h" if hours >= 1 else f"{60 * hours:.2g} min"


def before(compile: Compile, setup: Setup, progress: Progress) -> Compile:
    """`compile`, which the first time also reports the forecast of a long search."""
    counts = [schedule(setup)]

    def compiled(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
        ready = compile(calls)
        if counts:
            programs = tuple(forecasts(calls, ready, counts.pop()))
            if 60 * sum(program.hours for program in programs) > LONG_MINUTES:
                for line in lines(programs, setup.devices.count):
                    progress.line(line)
        return ready

    return compiled
