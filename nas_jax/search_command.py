"""The verb `search`: from a configuration to a report, or on with a stopped run."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import (
    config_changes,
    guidelines_command,
    launch,
    overrides,
    process,
    shipped,
    text_file,
)
from nas_jax.config import Experiment
from nas_jax.search_config import TARGETS

_PROG = "nas_jax search"
_COMMAND = "command.txt"
"""File of a run with what the user typed to begin it."""


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """What the verb is told besides the fields of the experiment.

    With --resume an experiment need not be named: `run` looks for it, since argparse
    would take the value of a field for it.
    """
    add = parser.add_argument
    if not any(word.split("=")[0] == "--resume" for word in words):
        add("experiment", metavar="EXPERIMENT")
    add("--out", type=Path, help="run folder to make (default: runs/...)")
    add("--targets", help="several targets, one warm-up: 0.3,0.45,0.6 or 0.2ms,0.3ms")
    add(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a stopped run, instead of EXPERIMENT",
    )
    add("--plan", action="store_true", help="steps, memory, hours; no run")
    launch.flags(parser)
    guidelines_command.cut_flag(parser)


def run(
    options: argparse.Namespace, rest: list[str], words: Sequence[str], runs: Path
) -> int:
    """Runs a search and prints its table; returns the exit code.

    `runs` is where unnamed run folders go.

    Raises:
      ValueError: for what does not fit; most of it before a folder is made or changed.
    """
    command = shlex.join(["nas_jax", *words])
    if options.resume is not None:
        return _resume(options, rest, command)
    if options.targets is not None and (given := overrides.targets_among(rest)):
        raise ValueError(
            f"--targets, {given[0]}: expected only one of the two; name all targets in "
            "--targets"
        )
    experiment = guidelines_command.cut(options, _experiment(options.experiment, rest))
    launch.start(options)
    process.prepare(cache=not options.no_cache, pixels=experiment.pixels)
    from nas_jax import multihost, plan_command, run_folder, setup, trade_off

    targets: list[str] = []
    if options.targets is not None:
        targets = [text.strip() for text in options.targets.split(",")]
    multihost.require_agreement(experiment, targets)
    for one in trade_off.experiments(experiment, targets) if targets else [experiment]:
        setup.check(one)  # refuse what does not fit before a folder is made
    if options.plan:
        return plan_command.run(experiment, targets)
    source = shipped.experiment_file(options.experiment)
    if not multihost.writes():
        return multihost.follow(experiment, source, None, command)
    folder = run_folder.create(experiment, options.out, runs, source)
    run_folder.write_text(folder / _COMMAND, command + "\n")
    print(f"run folder: {folder}", file=sys.stderr)
    return _work(experiment, targets, folder, command)


def _experiment(name: str, rest: list[str]) -> Experiment:
    return overrides.apply(shipped.load_experiment(name), rest, f"{_PROG} {name}")


def _resume(options: argparse.Namespace, rest: list[str], command: str) -> int:
    """Goes on with a run, with its configuration but for lower rates of the search."""
    folder: Path = options.resume
    for flag in ("out", "targets", "from_recommendation", "plan"):
        if getattr(options, flag) not in (None, False):
            raise ValueError(
                f"--resume, --{flag.replace('_', '-')}: expected only one of the two; "
                "a run goes on in its folder, as it was begun"
            )
    from nas_jax import finalists, report, run_folder, search_stage, trade_off

    saved = run_folder.read_experiment(folder)
    if rest and not rest[0].startswith("-"):
        experiment = _experiment(rest[0], rest[1:])
    else:
        experiment = overrides.apply(saved, rest, f"{_PROG} --resume {folder}")
    origin = f"--resume {folder}"
    found = config_changes.require_same(saved, experiment, origin, config_changes.RATES)
    if (folder / "result.json").is_file():
        page = folder / "report.html"
        if not page.is_file():
            report.write(folder)
        print(f"{folder} is finished: {page}")
        return 0
    if not search_stage.has_snapshots(folder):
        raise ValueError(
            f"{origin}: expected checkpoints to go on from, found none; "
            f"{_begin_again(folder)}"
        )
    rates = [one for one in found if one.field in config_changes.RATES]
    if rates and any(folder.glob(f"**/{finalists.FINALISTS}")):
        raise ValueError(
            f"{origin}: expected no other {rates[0].field}, a search is finished; "
            "leave it out"
        )
    launch.start(options)
    process.prepare(cache=not options.no_cache, pixels=experiment.pixels)
    from nas_jax import multihost

    targets = trade_off.targets_of(folder)
    multihost.require_agreement(experiment, targets)
    if not multihost.writes():
        return multihost.follow(experiment, None, folder, command)
    multihost.meet()  # the others have copied what is there
    changed = {one.field: {"from": one.saved, "to": one.given} for one in found}
    return _work(experiment, targets, folder, command, changed)


def _begin_again(folder: Path) -> str:
    """How a run is begun once more, without measuring its table again."""
    path = folder / _COMMAND
    typed = text_file.read(path).strip() if path.is_file() else _PROG
    again = "start again" + (" with a new --out" if "--out" in typed else "")
    table = folder / "latency_table.json"
    if table.is_file() and "--latency.table" not in typed:
        typed += f" --latency.table {shlex.quote(str(table))}"
    return f"{again}: {typed}"


def _work(
    experiment: Experiment,
    targets: Sequence[str],
    folder: Path,
    command: str,
    changed: dict[str, Any] | None = None,
) -> int:
    """Runs what a folder lacks; `changed` are fields of a run that goes on."""
    from nas_jax import (
        distributed,
        pipeline,
        run_folder,
        run_lock,
        search_stage,
        stopping,
        terminal,
        trade_off,
    )

    progress = terminal.Terminal()
    go_on = f"{_PROG} --resume {shlex.quote(str(folder))}"
    try:
        with (
            distributed.leaving(),
            run_lock.held(folder),
            stopping.Stop().listening() as stop,
        ):
            if changed is not None:
                run_folder.write_experiment(folder, experiment)
                line = {"command": command, "changed": changed}
                run_folder.record_resumption(folder, line)
            if targets:
                result = trade_off.run(
                    experiment,
                    targets,
                    folder,
                    command=command,
                    progress=progress,
                    stop=stop,
                )
            else:
                result = pipeline.run(
                    experiment, folder, command=command, progress=progress, stop=stop
                )
    except KeyboardInterrupt as stopped:
        again = (
            f"go on: {go_on}"
            if search_stage.has_snapshots(folder)
            else _begin_again(folder)
        )
        print(
            f"nas_jax: stopped; what is finished lies in {folder}; {again}",
            file=sys.stderr,
        )
        return getattr(stopped, "exit_code", 130)
    except (ValueError, OSError) as error:
        again = f"; go on from its last checkpoint: {go_on}"
        where = f"{folder}{again if search_stage.has_snapshots(folder) else ''}"
        raise ValueError(f"{error} (run folder: {where})") from error
    _print(experiment, targets, folder, result)
    return 0


def _print(
    experiment: Experiment,
    targets: Sequence[str],
    folder: Path,
    result: dict[str, Any],
) -> None:
    from nas_jax import targets as targets_module
    from nas_jax import terminal, trade_off

    print(terminal.comparison_table(result["networks"]))
    page = folder / "report.html"
    if targets:
        print(terminal.aligned(trade_off.table(result)))
        print(f"report: {page}")
        return
    cost = experiment.search.cost
    wanted = targets_module.amount(cost, result[TARGETS[cost]])
    calls = experiment.latency
    print(f"ms per call of {calls.batch} images, {calls.threads} thread(s)")
    print(f"target {wanted}, report: {page}")
