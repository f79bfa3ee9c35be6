"""The verb `search`: one target or several, from a configuration to a report."""

import dataclasses
import hashlib
import sys
import tempfile
from pathlib import Path

import jax

from nas_jax import (
    devices,
    distributed,
    limits,
    pipeline,
    plan,
    problem,
    provenance,
    run_folder,
    shipped,
    terminal,
    trade_off,
)
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment
from nas_jax.search_config import TARGETS
from nas_jax.watch import Watch


def run(
    experiment: Experiment,
    source: Path | None,
    out: Path | None,
    runs: Path,
    targets: str | None,
    command: str,
    only_plan: bool = False,
) -> int:
    """Runs a search and prints its table; returns the exit code.

    Args:
      experiment: what is searched.
      source: the experiment's file.
      out: the run folder to make; None for the next free one in `runs`.
      runs: where unnamed runs go.
      targets: several targets with commas between, or None for the experiment's one.
      command: what the user typed, to be recorded.
      only_plan: print what the run would take, and make none.

    Raises:
      ValueError: for what does not fit; most of it before a folder is made.
    """
    several = [] if targets is None else [text.strip() for text in targets.split(",")]
    if jax.process_count() > 1:
        _require_agreement(experiment, several)
    for one in trade_off.experiments(experiment, several) if several else [experiment]:
        problem.check(one)  # refuse what does not fit before a folder is made
    if only_plan:
        return _plan(experiment, several)
    if jax.process_index() > 0:
        return _follow(experiment, source, command)
    folder = run_folder.create(experiment, out, runs, source)
    print(f"run folder: {folder}", file=sys.stderr)
    watch = terminal.Terminal()
    try:
        if several:
            result = trade_off.run(experiment, several, folder, command, watch)
        else:
            result = pipeline.run(experiment, folder, command, watch)
    except KeyboardInterrupt:
        again = "start again" + (" with a new --out" if out else "")
        print(
            f"nas_jax: stopped; what is finished lies in {folder}; {again}: {command}",
            file=sys.stderr,
        )
        return 130
    except ValueError as error:
        raise ValueError(f"{error} (run folder: {folder})") from error
    print(terminal.comparison_table(result["networks"]))
    if several:
        print(terminal.aligned(trade_off.table(result)))
        print(f"report: {folder / 'report.html'}")
        return 0
    cost = experiment.search.cost
    wanted = limits.amount(cost, result[TARGETS[cost]])
    print(f"target {wanted}, report: {folder / 'report.html'}")
    return 0


def _require_agreement(experiment: Experiment, targets: list[str]) -> None:
    """Refuses what several processes cannot do, or are not all told to do."""
    if targets:
        raise ValueError(
            f"--targets: expected one target with several processes, got {targets}; "
            "start a search for each"
        )
    table = experiment.latency.table
    if table is None:
        raise ValueError(
            "latency.table: expected a stored table with several processes, got None; "
            "measure it once on the machine that the network is for, with 'nas_jax "
            "measure EXPERIMENT --out TABLE.json'"
        )
    file = shipped.table_file(table)
    digest = hashlib.sha256(file.read_bytes()) if file.is_file() else None
    distributed.require_same(
        dataclasses.asdict(experiment)
        | {
            f"digest of {file.name}": digest and digest.hexdigest()[:16],
            "versions": provenance.versions(),
            "commit": provenance.commit(),
        }
    )


def _plan(experiment: Experiment, targets: list[str]) -> int:
    if targets:
        raise ValueError(
            f"--plan: expected one target, got --targets {','.join(targets)}; each "
            "takes a search of its own after one warm-up"
        )
    given = problem.load(experiment, devices.execution_of(experiment))
    watch = terminal.Terminal() if given.execution.writes else Watch()
    found = plan.of_run(experiment, given, Compiler(watch))
    if given.execution.writes:
        print("\n".join(plan.lines(found, given.execution.devices)))
    return 0


def _follow(experiment: Experiment, source: Path | None, command: str) -> int:
    """The part of a process that does not write: what it notes goes with it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = run_folder.create(experiment, Path(scratch) / "run", Path(), source)
        pipeline.run(experiment, folder, command, Watch())
    return 0
