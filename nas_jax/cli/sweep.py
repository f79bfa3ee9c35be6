"""The verb `sweep`: seeds x targets x experiments, here or as Slurm jobs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas_jax.cli import terminal
from nas_jax.cli.flags import UNCHANGED, Fields
from nas_jax.cli.terminal import Answer
from nas_jax.config import files, overrides
from nas_jax.config.search import parse_target
from nas_jax.training import host


@dataclass(frozen=True)
class Launch:
    """Where the runs are carried out."""

    jobs: int = 1
    """runs at a time"""
    launcher: Literal["local", "slurm"] = "local"
    """as processes here, or as an array of Slurm jobs"""
    slurm: dict[str, str] | None = None
    """for slurm: timeout_min=600 gpus_per_node=1 slurm_partition=..."""


HERE = Launch()


def sweep(
    experiments: tuple[str, ...] = (),
    fields: Fields = UNCHANGED,
    launch: Launch = HERE,
    *,
    out: Path,
    seeds: tuple[int, ...] = (0,),
    targets: tuple[str, ...] = (),
    gather: bool = False,
) -> Answer:
    """Many searches and the table of them: seeds, targets, experiments.

    What is finished is not run again; the exit code is 1 if some fail.

    Args:
      experiments: names of shipped ones, or .py files
      out: folder of all runs
      seeds: with commas between
      targets: ratios or times with commas between: 0.4,0.6 or 0.2ms,0.3ms
      gather: run nothing; the table as it stands
    """
    from nas_jax.runs import setup
    from nas_jax.runs import sweep as runs

    if gather:
        if experiments or fields:
            raise ValueError("--gather: expected --out FOLDER alone; it runs nothing")
        return _table(out, runs.read_list(out), 0)
    if launch.jobs < 1:
        raise ValueError(f"--jobs: expected a positive integer, got {launch.jobs}")
    if launch.slurm and launch.launcher != "slurm":
        raise ValueError("--slurm: expected only with --launcher slurm; leave it out")
    listed = runs.listed(experiments, seeds, targets, out)
    host.prepare()
    # seeds draw other splits of the same data: one of them stands for all
    for run in {(run.experiment, run.target): run for run in reversed(listed)}.values():
        own = {**fields, "seed": run.seed}
        if run.target:
            name, amount = parse_target(run.target)
            own[f"search.{name}"] = amount
        setup.check(overrides.load(run.experiment, own))
    common = overrides.words(fields)
    runs.write_list(out, listed, common)
    todo = [run for run in listed if not run.is_finished]
    print(f"{len(todo)} of {len(listed)} runs to do", file=sys.stderr)
    if launch.launcher == "slurm":
        parameters = {
            name: int(value) if value.isdecimal() else value
            for name, value in (launch.slurm or {}).items()
        }
        jobs = runs.slurm(todo, common, launch.jobs, out, parameters)
        text = (
            f"submitted: {', '.join(jobs)}\n"
            f"the table, when they are done: nas_jax sweep --gather --out {out}"
        )
        return Answer({"submitted": jobs, "folder": str(out)}, text)
    failed = 0
    for ended in runs.local(todo, common, launch.jobs):
        failed += ended.code != 0
        how = "finished" if ended.code == 0 else f"failed: {ended.reason}"
        print(f"{ended.run.folder.name}: {how}", file=sys.stderr)
    return _table(out, listed, failed)


def _table(out: Path, listed: Any, failed: int) -> Answer:
    from nas_jax.runs import sweep as runs

    rows = runs.results(listed)
    file = out / "table.csv"
    files.write(file, runs.as_csv(rows))
    text = f"{terminal.aligned(runs.summary(rows))}\nevery run: {file}"
    found = {"file": str(file), "failed": failed, "runs": rows}
    return Answer(found, text, 1 if failed else 0)
