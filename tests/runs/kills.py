"""Kills of a run at random moments, and digests that compare two runs.

A moment is a place in the files of the run, drawn by seed: lines of metrics, unfinished
folders of a save, exported networks. A clock would have to know how long a run takes on
this machine. Also used by `python -m benchmarks resume`.
"""

import hashlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.runs import search, snapshots

PHASES = ("warmup", "joint", "saving", "train", "evaluation")
"""Phases of a run; `train` stands for trials and retraining."""
POLL_S = 0.002
"""Between two looks at the files: a save takes some hundredths of a second."""


class Moment(NamedTuple):
    """A number of lines of metrics in a phase, and a delay."""

    phase: str
    lines: int
    """Of `metrics.jsonl`, at least."""
    delay_s: float


def draw(
    numbers: random.Random, kills: int, phases: Sequence[str], delay_s: float
) -> list[Moment]:
    """Moments in all `PHASES` equally often, in random order.

    Args:
      phases: of every line of metrics of a whole run, in order.
      delay_s: the longest delay.
    """
    every = range(1, len(phases) + 1)
    places = {
        name: [line for line in every if phases[line - 1] == name]
        for name in ("warmup", "joint", "train")
    } | {"saving": [*every], "evaluation": [len(phases)]}
    drawn = [PHASES[index % len(PHASES)] for index in range(kills)]
    numbers.shuffle(drawn)
    return [
        Moment(name, numbers.choice(places[name]), numbers.uniform(0, delay_s))
        for name in drawn
    ]


def await_moment(moment: Moment, folder: Path, process: subprocess.Popen) -> None:
    """Waits until the moment of a run has come, or the run has ended."""
    while process.poll() is None and not has_come(moment, folder):
        time.sleep(POLL_S)
    time.sleep(moment.delay_s)


def kill_at(moment: Moment, folder: Path, process: subprocess.Popen) -> bool:
    """Kills a run at a moment; whether it was still running."""
    await_moment(moment, folder, process)
    process.kill()
    return process.wait() == -signal.SIGKILL


def has_come(moment: Moment, folder: Path) -> bool:
    """Whether a run is that far, by its files."""
    if moment.phase == "evaluation":
        return (folder / "export").is_dir()
    path = folder / "metrics.jsonl"
    there = path.read_bytes().count(b"\n") if path.is_file() else 0
    return there >= moment.lines and (moment.phase != "saving" or is_saving(folder))


def is_saving(folder: Path) -> bool:
    """Whether a snapshot or a trained network is half written."""
    patterns = (
        *("snapshots/search/*orbax-checkpoint-tmp*", "checkpoints/.*.partial"),
        *("snapshots/train/*/*orbax-checkpoint-tmp*", "trials/.*.partial"),
    )
    try:
        return any(any(islice(folder.glob(one), 1)) for one in patterns)
    except FileNotFoundError:  # gone while it was looked for
        return False


def doing(folder: Path) -> str:
    """Phase in which a run stopped, by its files."""
    lines = metrics(folder)
    if (folder / "result.json").is_file():
        return "finished"
    if (folder / "export").is_dir():
        phase = "evaluation"
    elif (folder / "architecture.json").is_file():
        phase = "retraining"
    elif (folder / "finalists.json").is_file():
        phase = "trials"
    else:
        phase = lines[-1]["phase"] if lines else "start"
    return f"{phase}, saving" if is_saving(folder) else phase


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics of a run that may have been killed in the last of them."""
    path = folder / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of all that must be equal in a resumed and in an undisturbed run."""
    where = search.snapshots_in(folder)
    last = snapshots.steps(where)[-1]
    state = snapshots.Snapshots(where, kept=1).digests(last)
    timeless = [
        {name: value for name, value in line.items() if name != "seconds"}
        for line in metrics(folder)
    ]
    texts = {
        "search state": json.dumps([last, state]),
        "metrics": json.dumps(timeless),
        **{
            name: (folder / name).read_text(encoding="utf-8")
            for name in ("architecture.json", "finalists.json")
        },
        **{
            f"weights of {path.parent.name}": path.read_text(encoding="utf-8")
            for path in folder.glob("checkpoints/*/digests.json")
        },
    }
    return {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()
    }
