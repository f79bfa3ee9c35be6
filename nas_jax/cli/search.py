"""The verb `search`: from an experiment to a report, or a stopped run resumed."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.cli import networks, terminal
from nas_jax.cli.flags import CALLED, UNCHANGED, Fields, Typed
from nas_jax.cli.terminal import Answer, Terminal
from nas_jax.config import changes, files, on_disk, overrides, shipped
from nas_jax.config.experiment import Experiment
from nas_jax.config.search import TARGET_FIELDS, TARGETS, parse_target
from nas_jax.training import host
from nas_jax.training.progress import Progress


@dataclass(frozen=True)
class Options:
    """Flags of a search besides fields."""

    out: Path | None = None
    """run folder to make (default: runs/...)"""
    target: str | None = None
    """0.4ms, or 0.5x for that share of the hand-designed network's cost"""
    targets: tuple[str, ...] | None = None
    """several targets, one warm-up: 0.3,0.45,0.6 or 0.2ms,0.3ms; of a search by
    gradients, in a space of one shape"""
    resume: Path | None = None
    """stopped run to resume; takes no EXPERIMENT"""
    hours: float | None = None
    """multiply the epochs of all phases so that the run takes so long here"""
    plan: bool = False
    """show steps, memory and hours; start nothing"""
    from_recommendation: Path | None = None
    """cut the space to the size in this file, written by `recommend --json`"""
    no_cache: bool = False
    """compile again"""


@dataclass(frozen=True)
class Processes:
    """Several processes, docs/devices.md."""

    distributed: bool = False
    """one process of several; without other flags as Slurm, a TPU or GKE say"""
    coordinator: str | None = None
    """HOST:PORT where process 0 listens"""
    processes: int | None = None
    """how many there are"""
    process_id: int | None = None
    """which one this is, from 0"""

    def start(self) -> None:
        """Joins the other processes, if there are; before JAX computes anything.

        Raises `ValueError` for flags that do not fit, and if the others do not come.
        """
        place = (self.coordinator, self.processes, self.process_id)
        if self.distributed:
            from nas_jax.training import distributed

            distributed.start(*place)
        elif any(value is not None for value in place):
            raise ValueError(
                "--coordinator, --processes, --process-id: expected with "
                "--distributed, got alone; add it"
            )


class _Run(NamedTuple):
    """A search and its folder, ready to start or to resume."""

    experiment: Experiment
    targets: Sequence[str]
    folder: Path
    command: str
    changed: dict[str, Any] | None = None
    """Fields with other values than before, if the run is resumed."""


AS_IT_IS, ALONE = Options(), Processes()


def search(
    experiment: str | None = None,
    fields: Fields = UNCHANGED,
    options: Options = AS_IT_IS,
    processes: Processes = ALONE,
    typed: Typed = CALLED,
) -> Answer:
    """Measure, search, retrain, test, export, report: an experiment from end to end.

    Args:
      experiment: one of `nas_jax list`, or a .py file
    """
    fields = _targets(options, fields)
    if options.resume is not None:
        return _resume(experiment, fields, options, processes, typed)
    if experiment is None:
        raise ValueError("expected EXPERIMENT, got none; see nas_jax search --help")
    config = overrides.load(experiment, fields)
    if options.from_recommendation is not None:
        from nas_jax.guidelines import cutting

        config, largest = cutting.cut(config, options.from_recommendation)
        print(f"space cut: networks of at most {largest:,} parameters", file=sys.stderr)
    processes.start()
    host.prepare_for(config, cache=not options.no_cache)
    from nas_jax.runs import (
        budget,
        multihost,
        run_folder,
        setup,
        trade_off,
        unfinished,
    )
    from nas_jax.runs import targets as costs_of

    config = networks.for_weights(config)
    if options.hours is not None:
        if options.targets is not None or processes.distributed:
            raise ValueError(
                "--hours: expected one target and one process, got --targets or "
                "--distributed; give epochs instead"
            )
        budget.require_hours(options.hours)
        pace = budget.pace(config, Terminal())
        fit = budget.fitted(config, options.hours, pace)
        config = fit.experiment
        print(f"hours: {fit.note}", file=sys.stderr)
    targets = list(options.targets or ())
    multihost.require_agreement(config, targets)
    several = options.targets is not None
    for one in trade_off.experiments(config, targets) if several else [config]:
        setup.check(one)  # refuse what does not fit before a folder is made
        if (line := costs_of.far(one.search)) and one.latency.table is None:
            print(line, file=sys.stderr)
    if options.plan:
        return _plan(config, targets)
    source = shipped.experiment_file(experiment)
    if not multihost.writes():
        multihost.follow(config, source, None, typed)
        return Answer({}, "")
    folder = run_folder.create(config, options.out, on_disk.RUNS, source)
    files.write(folder / unfinished.COMMAND, typed + "\n")
    print(f"run folder: {folder}", file=sys.stderr)
    terminal.tell_fields(fields)
    return _work(_Run(config, targets, folder, typed))


def _targets(options: Options, fields: Fields) -> Fields:
    """The fields, that of `--target` among them; `ValueError` for several targets."""
    flagged = [
        one for one in ("targets", "target") if getattr(options, one) is not None
    ]
    names = [one for one in fields if one.removeprefix("search.") in TARGET_FIELDS]
    if flagged and len([*flagged, *names]) > 1:
        flags = overrides.words(dict.fromkeys([*flagged, *names][:2], True))
        advice = "; name all targets in --targets" if options.targets else ""
        raise ValueError(f"{', '.join(flags)}: expected only one of the two{advice}")
    if options.target is None:
        return fields
    name, amount = parse_target(options.target, "--target")
    return Fields({**fields, f"search.{name}": amount})


def _plan(experiment: Experiment, targets: Sequence[str]) -> Answer:
    if targets:
        raise ValueError(
            f"--plan: expected one target, got --targets {','.join(targets)}; each "
            "takes a search of its own after one warm-up"
        )
    from nas_jax.runs import budget, plan
    from nas_jax.runs.setup import load, warnings
    from nas_jax.training.compiler import Compiler

    setup = load(experiment)
    for line in warnings(setup):
        print(line, file=sys.stderr)
    compiler = Compiler(Terminal() if setup.devices.writes else Progress())
    found = plan.of_run(setup, compiler)
    if not setup.devices.writes:
        return Answer({}, "")
    # the networks to come are not in the cache
    compiled_s = compiler.seconds + compiler.saved_seconds
    rest_hours = budget.rest_hours(setup, compiled_s, found)
    lines = plan.lines(found, setup.devices.count, rest_hours)
    ratio = experiment.search.target_ratio
    if ratio is not None and ratio < 1:
        lines.append(
            f"networks within the target count {ratio:g} of a training step, the share "
            "of the hand-designed one's time that they take"
        )
    return Answer({"plan": [one._asdict() for one in found]}, "\n".join(lines))


def _resume(
    experiment: str | None,
    fields: Fields,
    options: Options,
    processes: Processes,
    typed: Typed,
) -> Answer:
    """Resumes a run with its configuration, but for other rates of the search."""
    folder = options.resume
    assert folder is not None
    if experiment is not None:
        raise ValueError(
            f"--resume {folder}, {experiment}: expected only one of the two; a run "
            "goes on with its own experiment"
        )
    for flag in ("out", "targets", "from_recommendation", "hours", "plan"):
        if getattr(options, flag) not in (None, False):
            raise ValueError(
                f"--resume, --{flag.replace('_', '-')}: expected only one of the two; "
                "a run goes on in its folder, as it was begun"
            )
    from nas_jax import report
    from nas_jax.runs import finalists, multihost, run_folder, trade_off, unfinished
    from nas_jax.runs import search as search_stage

    saved = run_folder.read_experiment(folder)
    config, origin = overrides.apply(saved, fields).located(), f"--resume {folder}"
    others = changes.require_same(saved, config, origin, changes.RATES)
    if (folder / "result.json").is_file():
        page = folder / "report.html"
        if not page.is_file():
            report.write(folder)
        result = files.read_object(folder / "result.json")
        return Answer(result, f"{folder} is finished: {page}")
    if not search_stage.has_snapshots(folder):
        raise ValueError(f"{origin}: {unfinished.told(folder)}")
    rates = [one for one in others if one.field in changes.RATES]
    if rates and any(folder.glob(f"**/{finalists.FINALISTS}")):
        raise ValueError(
            f"{origin}: expected no other {rates[0].field}, a search is finished; "
            "leave it out"
        )
    processes.start()
    host.prepare_for(config, cache=not options.no_cache)
    targets = trade_off.targets_of(folder)
    multihost.require_agreement(config, targets)
    if not multihost.writes():
        multihost.follow(config, None, folder, typed)
        return Answer({}, "")
    multihost.meet()  # the others have copied what is there
    changed = {one.field: {"from": one.saved, "to": one.given} for one in others}
    return _work(_Run(config, targets, folder, typed, changed))


def _work(run: _Run) -> Answer:
    """Runs what a folder lacks, and says how to resume if it stops."""
    from nas_jax.report import target as target_report
    from nas_jax.report import verdict
    from nas_jax.report.quantities import NBSP
    from nas_jax.runs import pipeline, run_folder, stopping, trade_off, unfinished
    from nas_jax.runs import search as search_stage
    from nas_jax.runs import targets as costs_of
    from nas_jax.training import distributed

    experiment, targets, folder, command, changed = run
    progress = Terminal()
    go_on = f"nas_jax search --resume {shlex.quote(str(folder))}"
    try:
        with (
            distributed.leaving(),
            run_folder.held(folder),
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
        is_begun = search_stage.has_snapshots(folder)
        again = f"go on: {go_on}" if is_begun else unfinished.begin_again(folder)
        stopped.add_note(f"what is finished lies in {folder}; {again}")
        raise
    except (ValueError, OSError) as error:
        again = f"; go on from its last checkpoint: {go_on}"
        where = f"{folder}{again if search_stage.has_snapshots(folder) else ''}"
        raise ValueError(f"{error} (run folder: {where})") from error
    page = f"report: {folder / 'report.html'}"
    if targets:
        lines = [terminal.aligned(trade_off.table(result)), page]
    else:
        cost, calls = experiment.search.cost, experiment.latency
        target = costs_of.amount(cost, result[TARGETS[cost]])
        lines = [
            terminal.how_timed(calls),
            f"baseline is the {experiment.reference} network, cheapest the fastest of "
            "the space",
            f"target {target}, {page}",
        ]
        if experiment.about:
            lines.append(f"this was {experiment.about}")
        told = [*target_report.of_result(result), verdict.of_result(result["networks"])]
        lines += [one.replace(NBSP, " ") for one in told if one]
        lines.append(f"next: nas_jax predict {shlex.quote(str(folder))} PICTURES")
    table = terminal.comparison_table(result["networks"])
    return Answer(result, "\n".join([table, *lines]))
