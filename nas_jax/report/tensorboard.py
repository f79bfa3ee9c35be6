"""`metrics.jsonl` as TensorBoard event files.

They are converted afterwards, or again later: a search needs no library for it and
waits for no writer. What is no single number (the path probabilities) stays with the
report.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax.report.run_files import RunFiles


class Scalar(NamedTuple):
    """One number of one curve."""

    log: str
    """Folder of the events: `search`, or `train_searched` for a network."""
    tag: str
    value: float
    step: int
    seconds: float
    """Since the curve began."""


def scalars(run: RunFiles) -> Iterator[Scalar]:
    """All numbers of a run in the order of their lines, target after target."""
    logs = {"search": run.curves.search}
    logs |= {f"train_{name}": lines for name, lines in run.curves.retraining.items()}
    for log, lines in logs.items():
        log = _as_folder(log)
        for place, line in enumerate(lines):
            step = int(line.get("step", line.get("epoch", place)))
            for tag, value in line.items():
                if "/" in tag and isinstance(value, float):
                    yield Scalar(log, tag, value, step, line.get("seconds", 0.0))
    for name, one in run.targets.items():
        for scalar in scalars(one):
            yield scalar._replace(log=f"{_as_folder(name)}_{scalar.log}")


def _as_folder(name: str) -> str:
    """Nothing that a file system could take for a path."""
    return re.sub(r"[^\w-]", "_", name)


def write(run: RunFiles, folder: Path, new_writer: Callable[[str], Any]) -> int:
    """Writes the events below a new folder; returns how many there are.

    `new_writer` makes a writer of a folder, as `writer_class` of this module. Raises
    `ValueError` if the folder exists: events would be mixed with older ones.
    """
    if folder.exists():
        raise ValueError(
            f"--tensorboard {folder}: expected a folder that does not exist yet, this "
            "one does; choose another name"
        )
    writers: dict[str, Any] = {}
    count = 0
    try:
        for log, tag, value, step, seconds in scalars(run):
            if log not in writers:
                writers[log] = new_writer(str(folder / log))
            writers[log].add_scalar(tag, value, step, walltime=seconds)
            count += 1
    finally:
        for writer in writers.values():
            writer.close()
    return count


def writer_class() -> Callable[[str], Any]:
    """`tensorboardX.SummaryWriter`; `ValueError` naming the extra if it is missing."""
    try:
        import tensorboardX
    except ImportError as error:
        raise ValueError(
            "--tensorboard: expected the package tensorboardX, found none; install it "
            "with pip install 'nas_jax[tensorboard]'"
        ) from error
    return tensorboardX.SummaryWriter
