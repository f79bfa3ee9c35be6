"""A schedule for the hours that there are, instead of steps that somebody guessed.

Steps are timed here (`plan`), what else a run does is estimated from the programs it
compiles and the parts it measures, and the epochs of all phases are multiplied by one
number, so that together they take the time given.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from nas_jax.config.experiment import Experiment
from nas_jax.config.space import ElasticConfig
from nas_jax.latency import tables
from nas_jax.runs import plan, pretrained, within_target
from nas_jax.runs.plan import Forecast
from nas_jax.runs.setup import Setup, load
from nas_jax.search import saliency
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.training import host
from nas_jax.training.compiler import Compiler
from nas_jax.training.progress import Progress

LEAST_EPOCHS = 4
"""Of a training in full: below, the quarter that a first rung takes is no epoch."""
MARGIN = 1.2
"""Of the least hours: a machine at other work takes longer from minute to minute."""
PER_PART_S, PER_ROUND_S = 0.06, 0.004
"""Of a measured table: loading a part into the runtime, and one round of it."""
PER_NETWORK_S = 1.5
"""Testing, exporting and timing one network."""


class Pace(NamedTuple):
    """Hours of a run on this machine: what it takes in any case, and an epoch more."""

    fixed: float
    per_epoch: float
    """Of every training, and of the search in proportion."""


def pace(experiment: Experiment, progress: Progress) -> Pace:
    """Times the steps of an experiment here. Raises `ValueError` as `setup.load`."""
    setup, compiler = load(experiment), Compiler(progress)
    with host.without_cache():  # the networks to come are in none
        timed = plan.of_run(setup, compiler)
    steps = sum(one.hours for one in timed)
    fixed = rest_hours(setup, compiler.seconds, timed)
    return Pace(fixed, steps / experiment.train.epochs)


def rest_hours(setup: Setup, compiled_s: float, timed: Sequence[Forecast]) -> float:
    """Hours of a run beside its steps, estimated: measuring, compiling, exporting.

    `compiled_s` are the seconds that compiling the `timed` programs took.
    """
    fixed_s = _fixed_s(setup, compiled_s, len(timed)) + _asked_s(setup, timed)
    return fixed_s / 3600


class Budget(NamedTuple):
    """An experiment that takes the time given, and a line about it."""

    experiment: Experiment
    note: str


def fitted(experiment: Experiment, hours: float, pace: Pace) -> Budget:
    """The experiment with its epochs multiplied so that a run takes `hours`.

    Raises:
      ValueError: for no time, and for hours in which no network could be trained for
        `LEAST_EPOCHS`.
    """
    epochs = int((require_hours(hours) - pace.fixed) / pace.per_epoch)
    if epochs < LEAST_EPOCHS:
        least = MARGIN * (pace.fixed + LEAST_EPOCHS * pace.per_epoch)
        raise ValueError(
            f"--hours {hours:g}: expected about {_up(least):g} or more on this "
            f"machine, where compiling and measuring take {pace.fixed:.2g} h now and "
            f"an epoch of all trainings {pace.per_epoch:.2g} h; give more, or take "
            "smaller images"
            f"{_fewer(experiment, hours, pace)}"
        )
    made = lasting(experiment, epochs)
    takes = pace.fixed + epochs * pace.per_epoch
    searched = made.search.warmup_epochs + made.search.joint_epochs
    of_which = f" and {searched} of the search" if searched else ""
    return Budget(
        made,
        f"about {plan.spoken(takes)} of {plan.spoken(hours)}: about "
        f"{plan.spoken(pace.fixed)} to compile, measure and export, the rest for "
        f"trainings of {epochs} epochs{of_which}",
    )


def _fewer(experiment: Experiment, hours: float, pace: Pace) -> str:
    """The most trials with which trainings of `LEAST_EPOCHS` fit into the hours.

    Of a search without steps of its own, whose time is that of its trainings. What is
    fixed is counted in full, though fewer networks take less of it.
    """
    search, most = experiment.search, experiment.search.trials
    if search.warmup_epochs or search.joint_epochs or not search.trials:
        return ""
    all_of_it = plan.trainings(experiment)
    for trials in range(most - 1, 0, -1):
        less = replace(experiment, search=replace(search, trials=trials))
        share = plan.trainings(less) / all_of_it
        if pace.fixed + LEAST_EPOCHS * share * pace.per_epoch <= hours:
            return (
                ", or compare fewer networks: nas_jax search FILE --hours "
                f"{hours:g} --search.trials {trials}, FILE of nas_jax start without "
                "--hours"
            )
    return ""


def require_hours(hours: float) -> float:
    """Hours as they are; `ValueError` for none, or no end of them."""
    if not 0 < hours < math.inf:
        raise ValueError(f"--hours: expected a number above 0, got {hours:g}")
    return hours


def lasting(experiment: Experiment, epochs: int) -> Experiment:
    """The experiment with trainings of so many epochs, and a search in proportion."""
    factor = epochs / experiment.train.epochs
    search = experiment.search

    def scaled(number: int) -> int:
        return max(1, round(factor * number)) if number else 0

    return replace(
        experiment,
        search=replace(
            search,
            warmup_epochs=scaled(search.warmup_epochs),
            joint_epochs=scaled(search.joint_epochs),
        ),
        train=experiment.train.lasting(epochs),
    )


def _fixed_s(setup: Setup, compiled_s: float, programs: int) -> float:
    """Seconds of what does not depend on epochs."""
    experiment = setup.experiment
    compared = [experiment.search.trials, experiment.scaled_networks]
    finals = 2 + experiment.random_networks + sum(count > 0 for count in compared)
    measuring = 0.0
    if experiment.latency.table is None:
        per_part = PER_PART_S + PER_ROUND_S * experiment.latency.repeats
        measuring = per_part * len(tables.required_parts(setup.whole))
    is_elastic = isinstance(experiment.space, ElasticConfig)
    timed = 2 * experiment.search.finalists if is_elastic else 0
    # the programs of the search once, that of a training for every network: trainings
    # of all lengths share it
    each = compiled_s / programs
    networks = 2 + experiment.random_networks + sum(compared)
    compiling = compiled_s - each + each * networks
    return compiling + measuring + PER_NETWORK_S * (finals + timed / 4)


def _asked_s(setup: Setup, timed: Sequence[Forecast]) -> float:
    """Seconds of holding networks against the one whose weights they start from.

    An answer takes a third of a training step of as many images.
    """
    experiment, space = setup.experiment, setup.whole
    start = experiment.train.weights
    if not isinstance(space, ElasticSpace) or start is None:
        return 0.0
    if experiment.search.warmup_epochs:
        return 0.0
    given = pretrained.read(start).architecture
    asked = within_target.PROBED + 2 * experiment.search.finalists
    asked += len(saliency.cuts(space, given))
    step = timed[-1]  # of a training
    return asked * step.ms / 1000 * within_target.ASKED / step.images / 3


def _up(hours: float) -> float:
    """Rounded up to two digits, so that the number said is enough.

    >>> _up(0.1234), _up(3.0)
    (0.13, 3.0)
    """
    digits = 1 - math.floor(math.log10(hours))
    return math.ceil(round(hours * 10**digits, 6)) / 10**digits
