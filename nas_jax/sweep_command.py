"""The verb `sweep`: seeds x targets x experiments, here or as an array of Slurm."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import overrides, process, shipped, sweep

LAUNCHERS = ("local", "slurm")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told."""
    add = parser.add_argument
    add("experiments", metavar="EXPERIMENT", nargs="*", help="one or several")
    add("--seeds", default="0", help="with commas between (default: 0)")
    add("--targets", default="", help="ratios or times: 0.4,0.6 or 0.2ms,0.3ms")
    add("--out", type=Path, required=True, metavar="FOLDER", help="of all runs")
    add("--jobs", type=int, default=1, help="runs at a time (default: 1)")
    add("--launcher", choices=LAUNCHERS, default="local", help=", ".join(LAUNCHERS))
    add(
        "--slurm",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="for slurm: timeout_min=600 gpus_per_node=1 slurm_partition=...",
    )
    add("--gather", action="store_true", help="run nothing; the table as it stands")


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Runs what is not finished and prints the table; the exit code is 1 if some fail.

    Raises:
      ValueError: for what does not fit, before anything begins.
    """
    if options.gather:
        if options.experiments or rest:
            raise ValueError("--gather: expected --out FOLDER alone; it runs nothing")
        return _print_table(options.out, sweep.read_list(options.out))
    if options.jobs < 1:
        raise ValueError(f"--jobs: expected a positive integer, got {options.jobs}")
    parameters = _parameters(options.slurm)
    if parameters and options.launcher != "slurm":
        raise ValueError("--slurm: expected only with --launcher slurm; leave it out")
    targets = [text.strip() for text in options.targets.split(",") if text.strip()]
    listed = sweep.listed(
        options.experiments, _seeds(options.seeds), targets, options.out
    )
    _check(listed, rest)
    sweep.write_list(options.out, listed, rest)
    todo = [one for one in listed if not one.is_finished]
    print(f"{len(todo)} of {len(listed)} runs to do", file=sys.stderr)
    if options.launcher == "slurm":
        submitted = sweep.slurm(todo, rest, options.jobs, options.out, parameters)
        print(f"submitted: {', '.join(submitted)}")
        print(
            f"the table, when they are done: nas_jax sweep --gather --out {options.out}"
        )
        return 0
    failed = 0
    for ended in sweep.local(todo, rest, options.jobs):
        failed += ended.code != 0
        how = "finished" if ended.code == 0 else f"failed: {ended.reason}"
        print(f"{ended.run.folder.name}: {how}", file=sys.stderr)
    _print_table(options.out, listed)
    return 1 if failed else 0


def _check(listed: Sequence[sweep.Run], common: Sequence[str]) -> None:
    """Raises what any of the runs would refuse at its start."""
    process.prepare()
    from nas_jax import setup

    # seeds draw other splits of the same data: one of them stands for all
    first = {(one.experiment, one.target): one for one in reversed(listed)}
    for one in first.values():
        given = sweep.overrides(one, common)
        experiment = overrides.apply(
            shipped.load_experiment(one.experiment), given, "nas_jax sweep"
        )
        setup.check(experiment)


def _seeds(text: str) -> list[int]:
    try:
        return [int(one) for one in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--seeds: expected whole numbers with commas between, got {text!r}"
        ) from None


def _parameters(given: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` as submitit takes them: whole numbers as such."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--slurm: expected NAME=VALUE, got {one!r}")
        found[name] = int(value) if value.isdecimal() else value
    return found


def _print_table(out: Path, listed: Sequence[sweep.Run]) -> int:
    from nas_jax import run_folder, terminal

    rows = sweep.results(listed)
    run_folder.write_text(out / "table.csv", sweep.as_csv(rows))
    print(terminal.aligned(sweep.summary(rows)))
    print(f"every run: {out / 'table.csv'}")
    return 0
