"""Where the runs of a sweep are carried out: processes here, or jobs of Slurm.

Both exist already, so neither is built here. On one machine a pool of threads
(`concurrent.futures`), each waiting for a child process; on a cluster one job array
through submitit, which writes the batch script, requeues and keeps the logs. Ray would
serve as well, but needs its own servers on the machines; runs that share nothing gain
nothing from them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.sweep import runs
from nas_jax.sweep.runs import Run


class Ended(NamedTuple):
    """A run whose process has ended; `said` is the last line it wrote to its log.

    Of one that was killed it is by which signal.
    """

    run: Run
    code: int
    said: str


def log_of(run: Run) -> Path:
    """Everything a run printed, beside its folder."""
    return run.folder.with_name(f"{run.folder.name}.log")


def local(todo: Sequence[Run], common: Sequence[str], jobs: int) -> Iterator[Ended]:
    """Carries out runs in `jobs` child processes at a time; yields them as they end.

    A run that fails does not stop the others. When the caller stops listening, as by
    Ctrl-C, the children are told to stop, too, and leave folders to go on from.
    """
    children: set[subprocess.Popen[bytes]] = set()

    def carry_out(run: Run) -> Ended:
        runs.clear(run)
        words = [sys.executable, "-m", "nas_jax", *runs.command(run, common)]
        with log_of(run).open("ab") as log:
            # in a group of its own: a second wish to stop, from the terminal beside
            # ours, would not let it save
            child = subprocess.Popen(
                words, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )
            children.add(child)
            code = child.wait()
            children.discard(child)
        return Ended(run, code, _killed(-code) if code < 0 else _last_line(log_of(run)))

    pool = ThreadPoolExecutor(max_workers=jobs)
    try:
        for future in as_completed([pool.submit(carry_out, run) for run in todo]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in tuple(children):
            child.terminate()
        pool.shutdown(wait=True)


def _killed(number: int) -> str:
    name = signal.Signals(number).name
    by = " (by the system for want of memory, if by nobody else)"
    return f"killed by {name}{by if number == signal.SIGKILL else ''}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")


def slurm(
    todo: Sequence[Run],
    common: Sequence[str],
    jobs: int,
    out: Path,
    parameters: dict[str, Any],
) -> list[str]:
    """Submits the runs as one job array, at most `jobs` at a time; returns their ids.

    Args:
      todo: what to submit.
      common: fields that all runs set.
      jobs: how many run at once.
      out: folder of the sweep, on a file system that the nodes share.
      parameters: of submitit, as `timeout_min`, `gpus_per_node`, `slurm_partition`.

    Raises:
      ValueError: without submitit, for parameters it does not know, or if Slurm is not
        there.
    """
    try:
        import submitit
    except ImportError:
        raise ValueError(
            "--launcher slurm: expected submitit, which is not installed; install it "
            "with pip install nas_jax[slurm]"
        ) from None
    commands = [
        [sys.executable, "-m", "nas_jax", *runs.command(run, common)] for run in todo
    ]
    try:
        executor = submitit.AutoExecutor(folder=out / "slurm", cluster="slurm")
        executor.update_parameters(slurm_array_parallelism=jobs, **parameters)
        calls = [
            submitit.helpers.CommandFunction(words, cwd=os.getcwd())
            for words in commands
        ]
        with executor.batch():
            submitted = [executor.submit(call) for call in calls]
    except (RuntimeError, TypeError, NameError) as error:
        raise ValueError(
            f"--launcher slurm: expected that Slurm takes the jobs, got {error}"
        ) from error
    return [job.job_id for job in submitted]
