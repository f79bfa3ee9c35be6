"""A run without the network that a command asks for: why, and what to do."""

import shlex
from pathlib import Path

from nas_jax.config import files
from nas_jax.runs import run_folder, search

COMMAND = "command.txt"
"""File of a run with what the user typed to begin it."""
TABLE = "latency_table.json"
"""File of a run with its measured table."""


def told(folder: Path) -> str:
    """Why a run has no trained network yet, and the command that helps."""
    name = shlex.quote(str(folder))
    if run_folder.is_held(folder):
        return f"this run is still at work; watch it: nas_jax report {name} --watch"
    if (folder / "architecture.json").is_file():
        return f"its network is not trained yet; train it: nas_jax train {name}"
    if search.has_snapshots(folder):
        return (
            "this run was stopped before its end; go on with it: nas_jax search "
            f"--resume {name}"
        )
    how = "was stopped before anything was trained"
    if (folder / "metrics.jsonl").is_file():
        how = "was stopped before its first checkpoint"
    elif (folder / TABLE).is_file():
        how = (
            "measured its table and ended: it was stopped, or its target was out of "
            "reach"
        )
    return f"this run {how}; {begin_again(folder)}"


def begin_again(folder: Path) -> str:
    """The command that starts a run again, with its measured table."""
    path = folder / COMMAND
    typed = files.read_text(path).strip() if path.is_file() else ""
    if not typed.startswith("nas_jax search"):  # it was called from Python
        typed = "nas_jax search EXPERIMENT"
    again = "start again" + (" with a new --out" if "--out" in typed else "")
    table = folder / TABLE
    if table.is_file() and "--latency.table" not in typed:
        typed += f" --latency.table {shlex.quote(str(table))}"
    return f"{again}: {typed}"
