"""The push of the button: every stage of a run, from a configuration to a report.

    measure -> search -> derive -> retrain -> test -> export -> time -> report

Each stage reads and writes the run folder, so the later ones can be run again alone
(`derive`, `train`, `evaluate`). Progress goes through `watch.Watch`, which the command
line draws and a notebook may replace.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import jax
import numpy as np

from nas_jax import (
    assessment,
    baselines,
    checkpoint,
    derivation,
    devices,
    limits,
    plan,
    problem,
    provenance,
    report,
    rng,
    run_folder,
    search,
    shipped,
    supernet,
    table_risk,
    tables,
    train,
)
from nas_jax.architecture import Architecture
from nas_jax.base import Probs
from nas_jax.batches import Split
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment, LatencyConfig
from nas_jax.derivation import SEARCHED
from nas_jax.derive import Limit
from nas_jax.measure import onnx_runtime, operations
from nas_jax.measure.journal import Journal
from nas_jax.problem import Problem
from nas_jax.search_config import EXPECTED, TARGETS
from nas_jax.space import SearchSpace
from nas_jax.watch import Watch


def measure(
    searched: SearchSpace, config: LatencyConfig, watch: Watch
) -> tables.LatencyTable:
    """The stored table that `config` names, or a new one measured here."""
    if config.table is not None:
        return tables.load(shipped.table_file(config.table))
    return operations.measure_table(
        onnx_runtime.device(config),
        tables.required_parts(searched),
        searched.input_shape,
        config,
        Journal(None, {}),
        progress=watch.steps,
    )


KEPT = "kept"
"""Folder of that network with the weights of the supernet, if a run keeps them."""


@contextmanager
def timed(seconds: dict[str, float], phase: str, compiler: Compiler) -> Iterator[None]:
    """Time spent on a phase; what was compiled ahead in it is added to `compile`."""
    start, before = time.perf_counter(), compiler.seconds
    yield
    compiling = compiler.seconds - before
    seconds[phase] = round(time.perf_counter() - start - compiling, 2)
    seconds["compile"] = round(seconds["compile"] + compiling, 2)


def run(experiment: Experiment, folder: Path, command: str, watch: Watch) -> dict:
    """Runs everything into a folder made by `run_folder.create`; returns the result.

    Of several processes only the one that writes goes on after the retraining.

    Raises:
      ValueError: if data, table or target do not fit; the folder then holds what was
        finished, a measured table among it.
    """
    seconds, compiler = {"compile": 0.0}, Compiler(watch)
    given = problem.load(experiment, devices.execution_of(experiment))
    for note in given.notes:
        watch.line(note)
    with timed(seconds, "measure", compiler):
        watch.phase("latency table")
        table = measure(given.space, experiment.latency, watch)
        watch.line(tables.validation_line(table.validation))
        tables.save(table, folder / "latency_table.json")
        origin, z = origin_of(experiment), experiment.latency.z
        model = problem.cost_model(table, given.space, origin, z)
    kept_to = aims(experiment, given.space, table, folder, watch)
    cost, target = experiment.search.cost, kept_to[0].target
    with timed(seconds, "search", compiler):
        watch.phase(f"search, target {limits.amount(cost, target)}")
        last = run_search(experiment, given, kept_to, folder, watch, compiler)
        derivation.compare(folder, last.accuracy(given.splits["valid"]))
    found, derived = derivation.derive_run(folder)
    watch.line(derivation.told(derived))
    if experiment.train.start == "supernet":
        checkpoint.save_model(folder / KEPT, kept(experiment, given, last, found))
    networks = baselines.comparison(
        given.space, model, found, experiment.random_networks, experiment.seed
    )
    with timed(seconds, "retrain", compiler):
        models = {}
        for name, network in networks.items():
            watch.phase(f"retraining: {name}")
            models[name] = retrain(experiment, given, network, folder, watch, compiler)
            checkpoint.save_model(folder / "checkpoints" / name, models[name])
    if not given.execution.writes:
        return {}
    with timed(seconds, "evaluate", compiler):
        watch.phase("test, export, timing")
        results = assessment.assess(experiment, given, models, table, folder, watch)
    if cost == "latency":
        risk = table_risk.within(table, found, target)
        results[SEARCHED]["risk"] = None if risk is None else risk._asdict()
        watch.line(table_risk.line(risk))
    result = {
        "networks": results,
        TARGETS[cost]: target,
        "derivation": derived,
        "seed": experiment.seed,
        **provenance.record(),
        "seconds_per_phase": seconds,
        "command": command,
    }
    run_folder.write_text(folder / "result.json", json.dumps(result, indent=1) + "\n")
    report.write(folder)
    return result


def origin_of(experiment: Experiment) -> str:
    """Names the latency table in errors."""
    return experiment.latency.table or "the measured table"


def aims(
    experiment: Experiment,
    searched: SearchSpace,
    table: tables.LatencyTable,
    folder: Path,
    watch: Watch,
) -> list[Limit]:
    """Target and limits, by the table of a run; `ValueError` if out of reach."""
    config, z, origin = experiment.search, experiment.latency.z, origin_of(experiment)
    try:
        found, warning = limits.resolve(config, searched, table, origin, z)
    except ValueError as error:
        if experiment.latency.table is not None:
            raise
        raise ValueError(
            f"{error}; measured already: --latency.table "
            f"{folder / 'latency_table.json'}"
        ) from error
    if warning:
        watch.phase(f"warning: {warning}")
    return found


def run_search(
    experiment: Experiment,
    given: Problem,
    kept_to: Sequence[Limit],
    folder: Path,
    watch: Watch,
    compiler: Compiler,
    after: search.Epoch | None = None,
    epochs: int | None = None,
) -> search.Epoch:
    """Runs the search, one metrics line per epoch; returns the last.

    It may go on `after` the warm-up of another search, and end early, after `epochs`.
    """
    config, start = experiment.search, time.perf_counter()
    cost, target = limits.stacked(kept_to)
    running = search.run(
        rng.stream(jax.random.key(experiment.seed), "search"),
        given.space,
        config,
        cost,
        target,
        given.splits["train_weights"],
        given.splits["train_alphas"],
        given.splits["valid"],
        given.augment,
        plan.before(compiler, experiment, given, watch),
        after,
        given.execution,
    )
    wanted = limits.amount(config.cost, kept_to[0].target)
    total = config.warmup_epochs + config.joint_epochs if epochs is None else epochs
    total -= 0 if after is None else after.epoch + 1
    for one in watch.steps(islice(running, total), total=total, desc="search"):
        line = {
            "step": int(one.state.step),
            "phase": one.phase,
            "epoch": one.epoch,
            "seconds": round(time.perf_counter() - start, 3),
            **one.metrics,
            "search/probs": _written(one.probs),
        }
        run_folder.append_metrics(folder, line)
        expected = one.metrics[f"search/{EXPECTED[config.cost]}"]
        watch.note(
            phase=one.phase,
            accuracy=f"{one.metrics['search/valid_accuracy']:.1%}",
            cost=f"{limits.amount(config.cost, expected)} of {wanted}",
            entropy=f"{one.metrics['search/entropy']:.2f}",
        )
    return one


def _written(probs: Probs) -> list[list[float]]:
    """Seven digits that matter: a rare candidate stays one, not an impossible one."""
    return [[float(f"{p:.7g}") for p in row] for row in np.asarray(probs).tolist()]


def kept(
    experiment: Experiment, given: Problem, last: search.Epoch, found: Architecture
) -> checkpoint.Model:
    """The derived network with the supernet's weights, statistics estimated anew."""
    state = given.execution.local(last.state)
    params, _ = supernet.extract(last.space, state.params, state.batch_stats, found)
    data = _train_images(given).evaluated()
    batch_stats = train.reestimate(found, params, data, experiment.train.batch)
    return checkpoint.Model(found, params, batch_stats)


def _train_images(given: Problem) -> Split:
    """Both training splits; only a search needs them apart."""
    return given.splits["train_weights"].joined(given.splits["train_alphas"])


def retrain(
    experiment: Experiment,
    given: Problem,
    network: Architecture,
    folder: Path,
    watch: Watch,
    compiler: Compiler,
) -> checkpoint.Model:
    """Trains a network on both training splits.

    The key does not depend on the network: all of a run see the same images in the same
    order, shifted alike, so their accuracies are paired. With `train.start =
    "supernet"` the searched network goes on from the weights that the search kept.
    """
    key = rng.stream(jax.random.key(experiment.seed), "train")
    config, start = experiment.train, time.perf_counter()
    weights = None
    if config.start == "supernet" and network.name == SEARCHED:
        model = checkpoint.load_model(folder / KEPT)
        weights = (model.params, model.batch_stats)
    how = (given.augment, weights, compiler, given.execution)
    epochs = train.run(key, network, config, _train_images(given), *how)
    for one in watch.steps(epochs, total=config.epochs, desc=network.name):
        line = {
            "step": int(one.state.step),
            "phase": "train",
            "network": network.name,
            "epoch": one.epoch,
            "seconds": round(time.perf_counter() - start, 3),
            **one.metrics,
        }
        run_folder.append_metrics(folder, line)
        watch.note(accuracy=f"{one.metrics['train/accuracy']:.1%}")
    end = given.execution.local(one.state)
    return checkpoint.Model(network, end.params, end.batch_stats)


def train_network(
    experiment: Experiment, network: Architecture, folder: Path, watch: Watch
) -> tuple[Path, float]:
    """Trains and saves one network; returns its folder and its test accuracy."""
    given = problem.load(experiment, devices.execution_of(experiment))
    saved = folder / "checkpoints" / network.name
    if saved.exists():
        raise ValueError(
            f"{saved} exists: this network is trained already; 'nas_jax evaluate "
            f"{folder}' tests it"
        )
    watch.phase(f"training: {network.name}")
    model = retrain(experiment, given, network, folder, watch, Compiler(watch))
    checkpoint.save_model(saved, model)
    return saved, assessment.test_accuracy(model, given.splits["test"])
