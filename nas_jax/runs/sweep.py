"""Many searches, seeds x targets x experiments, and one table of their results.

Nothing is shared between the runs, so they may run anywhere in any order: `local` in
processes here, `slurm` as a job array through submitit. The folder of a run says how
far it is: absent, stopped, or finished (`result.json`), so the same command continues a
sweep that was stopped.
"""

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas_jax.config import files
from nas_jax.config.from_json import from_json
from nas_jax.config.search import TARGETS, parse_target
from nas_jax.runs import run_folder

FILE = "sweep.json"
"""File of a sweep's folder that lists its runs."""


class Run(NamedTuple):
    """One search of a sweep, and its folder."""

    experiment: str
    seed: int
    target: str | None
    """A ratio, or a time as in `0.25ms`; None for the experiment's."""
    folder: Path

    @property
    def log(self) -> Path:
        """The file of everything the run printed, beside its folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def is_finished(self) -> bool:
        return (self.folder / "result.json").is_file()


def listed(
    experiments: Sequence[str],
    seeds: Sequence[int],
    targets: Sequence[str],
    out: Path,
) -> list[Run]:
    """Every combination, the experiments slowest and the seeds fastest.

    Raises `ValueError` for one that is named twice or no target, or none at all.
    """
    for flag, given in (
        ("EXPERIMENT", [Path(name).stem for name in experiments]),
        ("--seeds", list(seeds)),
        ("--targets", list(targets)),
    ):
        if len(set(given)) < len(given):
            raise ValueError(f"{flag}: expected distinct ones, got {given}")
    for text in targets:
        parse_target(text)
    if not experiments or not seeds:
        raise ValueError("expected at least one experiment and one seed, got none")
    runs = []
    for name, target, seed in product(experiments, targets or (None,), seeds):
        parts = [Path(name).stem, *([target] if target else []), f"seed{seed}"]
        runs.append(Run(name, seed, target, out / "-".join(parts)))
    return runs


def overrides(run: Run, common: Sequence[str]) -> list[str]:
    """The fields that a run sets, as words: the common ones, then its own."""
    words = [*common, "--seed", str(run.seed)]
    if run.target is None:
        return words
    name, amount = parse_target(run.target)
    return [*words, f"--search.{name.replace('_', '-')}", f"{amount:g}"]


def command(run: Run, common: Sequence[str]) -> list[str]:
    """The words of the command line: to begin the run, or to resume it."""
    if run.folder.exists():
        return ["search", "--resume", str(run.folder)]
    words = overrides(run, common)
    return ["search", run.experiment, *words, "--out", str(run.folder)]


def clear(run: Run) -> None:
    """Removes the folder of a run that ended before its first checkpoint.

    It could not be resumed. A folder that another process works on stays.
    """
    folder = run.folder
    if not (folder / "config.json").is_file() or run.is_finished:
        return
    from nas_jax.runs import search  # and JAX

    if search.has_snapshots(folder):
        return
    with suppress(ValueError), run_folder.held(folder):
        shutil.rmtree(folder)


def write_list(out: Path, runs: Sequence[Run], common: Sequence[str]) -> None:
    """Makes the folder of a sweep, or checks that it is one of the same runs.

    Raises:
      ValueError: if it lists others, with the first difference, or is something else.
    """
    rows = [(run.experiment, run.seed, run.target) for run in runs]
    file, sweep = out / FILE, _Sweep(rows, list(common))
    if out.exists() and not file.is_file():
        raise ValueError(
            f"--out {out}: expected a new folder, or one with {FILE} of an earlier "
            "start of the same sweep; choose another name"
        )
    if not out.exists():
        out.mkdir(parents=True)
        files.write_json(file, asdict(sweep))
    stored = _read(file)
    if stored == sweep:
        return
    lacking = [list(row) for row in stored.runs if row not in rows]
    added = [list(row) for row in rows if row not in stored.runs]
    if stored.overrides != sweep.overrides:
        difference = f"with {stored.overrides}, got {sweep.overrides}"
    elif lacking:
        difference = f"which has {lacking[0]}"
    else:
        difference = f"which has no {added[0]}"
    raise ValueError(
        f"--out {out}: expected the sweep that this folder was made for, {difference}; "
        "choose another name"
    )


def read_list(out: Path) -> list[Run]:
    """The runs of a sweep's folder; `ValueError` if it is none."""
    file = out / FILE
    if not file.is_file():
        raise ValueError(
            f"{out}: expected the folder of a sweep with {FILE}, found none; "
            "'nas_jax sweep EXPERIMENT --seeds 0,1 --out FOLDER' makes one"
        )
    runs = _read(file).runs
    names = dict.fromkeys(name for name, _, _ in runs)
    targets = dict.fromkeys(target for _, _, target in runs if target is not None)
    seeds = dict.fromkeys(seed for _, seed, _ in runs)
    return listed(list(names), list(seeds), list(targets), out)


@dataclass(frozen=True)
class _Sweep:
    """The content of sweep.json."""

    runs: list[tuple[str, int, str | None]]
    overrides: list[str]


def _read(file: Path) -> _Sweep:
    try:
        sweep: _Sweep = from_json(_Sweep, files.read_json(file))
    except ValueError as error:
        raise ValueError(
            f"{file}: expected the list of a sweep's runs, got an error: {error}; "
            "remove the folder and begin again"
        ) from error
    return sweep


class Ended(NamedTuple):
    """A run that has ended; `reason` is the last line of its log, or what killed it."""

    run: Run
    code: int
    reason: str


def local(todo: Sequence[Run], common: Sequence[str], jobs: int) -> Iterator[Ended]:
    """Carries out runs in `jobs` child processes at a time; yields them as they end.

    A run that fails does not stop the others. When the caller stops, as by Ctrl-C, the
    children are stopped, too, and leave folders to resume from.
    """
    children: set[subprocess.Popen[bytes]] = set()

    def carry_out(run: Run) -> Ended:
        clear(run)
        words = [sys.executable, "-m", "nas_jax", *command(run, common)]
        with run.log.open("ab") as output:
            # in a group of its own: the terminal's Ctrl-C beside our SIGTERM would be
            # a second stop request, which does not wait for a snapshot
            child = subprocess.Popen(
                words, stdout=output, stderr=subprocess.STDOUT, process_group=0
            )
            children.add(child)
            code = child.wait()
            children.discard(child)
        if code >= 0:
            log = run.log.read_text(encoding="utf-8", errors="replace")
            last = [line for line in log.split("\n") if line.strip()][-1:]
            return Ended(run, code, "".join(last))
        name = signal.Signals(-code).name
        by = " (by the system for want of memory, if by nobody else)"
        return Ended(run, code, f"killed by {name}{by * (name == 'SIGKILL')}")

    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        for future in as_completed([pool.submit(carry_out, run) for run in todo]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in tuple(children):
            child.terminate()
        pool.shutdown(wait=True)


def slurm(
    todo: Sequence[Run],
    common: Sequence[str],
    jobs: int,
    out: Path,
    parameters: dict[str, Any],
) -> list[str]:
    """Submits the runs as one job array, at most `jobs` at a time; returns their ids.

    `out` lies on a file system that the nodes share; `parameters` are submitit's, as
    `timeout_min`, `gpus_per_node`, `slurm_partition`. Raises `ValueError` without
    submitit, for parameters it does not know, or if Slurm is not there.
    """
    try:
        import submitit
    except ImportError:
        raise ValueError(
            "--launcher slurm: expected submitit, which is not installed; install it "
            "with pip install nas_jax[slurm]"
        ) from None
    calls = [
        submitit.helpers.CommandFunction(
            [sys.executable, "-m", "nas_jax", *command(run, common)], cwd=os.getcwd()
        )
        for run in todo
    ]
    try:
        executor = submitit.AutoExecutor(folder=out / "slurm", cluster="slurm")
        executor.update_parameters(slurm_array_parallelism=jobs, **parameters)
        with executor.batch():
            submitted = [executor.submit(call) for call in calls]
    except (RuntimeError, TypeError, NameError) as error:
        raise ValueError(
            f"--launcher slurm: expected that Slurm takes the jobs, got {error}"
        ) from error
    return [job.job_id for job in submitted]


Row = dict[str, Any]


def results(runs: Sequence[Run]) -> list[Row]:
    """A row per run: accuracies as fractions, times in ms; None where there is none.

    Raises `ValueError` for a result that cannot be read.
    """
    return [_row(run) for run in runs]


def _row(run: Run) -> Row:
    row: Row = {
        "experiment": run.experiment,
        "target": run.target,
        "seed": run.seed,
        "state": "stopped" if run.folder.exists() else "not begun",
        "folder": str(run.folder),
    }
    if not run.is_finished:
        return row
    from nas_jax.runs.finalists import SEARCHED  # and JAX

    file = run.folder / "result.json"
    try:
        result = files.read_object(file)
        networks, derived = result["networks"], result["derivation"]
        found, other = networks[SEARCHED], networks.get("baseline")
        return row | {
            "state": "finished",
            "test_accuracy": float(found["test_accuracy"]),
            **_in_8_bits("test_accuracy_int8", found),
            "measured_ms": float(found["measured_ms"]["median"]),
            "params": found["params"],
            "macs": found["macs"],
            **{name: result[name] for name in TARGETS.values() if name in result},
            "slack": next(map(float, derived.get("slack", {}).values()), None),
            "baseline_test_accuracy": other and float(other["test_accuracy"]),
            **_in_8_bits("baseline_test_accuracy_int8", other or {}),
            "baseline_measured_ms": other and float(other["measured_ms"]["median"]),
            "seconds": sum(result["seconds_per_phase"].values()),
            "commit": result["commit"],
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected the result of a run, got {type(error).__name__}: {error}"
        ) from error


def _in_8_bits(name: str, network: dict[str, Any]) -> dict[str, float]:
    """The accuracy of a network in 8 bits as a column, if it has one."""
    accuracy = network.get("test_accuracy_int8")
    return {} if accuracy is None else {name: float(accuracy)}


def _accuracy(row: Row, whose: str = "") -> float:
    """The accuracy that counts, of the searched network or the `baseline_`."""
    name = f"{whose}test_accuracy"
    return float(row[f"{name}_int8" if f"{name}_int8" in row else name])


def as_csv(rows: Sequence[Row]) -> str:
    """All columns of all rows; empty where a run has none."""
    columns = dict.fromkeys(name for row in rows for name in row)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def summary(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Header and a row per experiment and target: mean and sd over the seeds."""
    header = (
        *("experiment", "target", "runs", "test acc.", "measured ms"),
        *("least unspent", "most unspent", "to the baseline: points", "latency"),
    )
    table: list[tuple[str, ...]] = [header]
    for (experiment, target), group in groupby(
        rows, lambda row: (row["experiment"], row["target"])
    ):
        every = list(group)
        done = [row for row in every if row["state"] == "finished"]
        against = [row for row in done if row["baseline_measured_ms"] is not None]
        slack = [row["slack"] for row in done if row["slack"] is not None]
        points = [
            100 * (_accuracy(row) - _accuracy(row, "baseline_")) for row in against
        ]
        shares = [row["measured_ms"] / row["baseline_measured_ms"] for row in against]
        table.append(
            (
                *(experiment, target or "-", f"{len(done)} of {len(every)}"),
                _mean([100 * _accuracy(row) for row in done], "{:.2f} %"),
                _mean([row["measured_ms"] for row in done], "{:.4g}"),
                f"{min(slack):.2%}" if slack else "-",
                f"{max(slack):.2%}" if slack else "-",
                _mean(points, "{:+.2f}"),
                _mean(shares, "{:.2f}"),
            )
        )
    return table


def _mean(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    text = form.format(np.mean(values))
    return text if len(values) < 2 else f"{text} ± {np.std(values, ddof=1):.2g}"
