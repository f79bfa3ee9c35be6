"""The runs of a sweep: seeds x targets x experiments, a folder and a command each.

Nothing is shared between them, so they may run anywhere in any order. The folder of a
run says how far it is: not there, stopped, or finished (`result.json`), so a sweep that
was stopped is gone on with by the same command.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from nas_jax import files, run_lock
from nas_jax.search_config import parse_target

FILE = "sweep.json"
"""File of a sweep's folder that lists what it consists of."""


class Run(NamedTuple):
    """One search: what it varies, and where it goes."""

    experiment: str
    seed: int
    target: str | None
    """A ratio, or a time as in `0.25ms`; None for the experiment's."""
    folder: Path


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
    found = []
    for name, target, seed in product(experiments, targets or (None,), seeds):
        parts = [Path(name).stem, *([target] if target else []), f"seed{seed}"]
        found.append(Run(name, seed, target, out / "-".join(parts)))
    return found


def overrides(run: Run, common: Sequence[str]) -> list[str]:
    """The fields that a run sets, as words: those of all runs, then its own."""
    words = [*common, "--seed", str(run.seed)]
    if run.target is None:
        return words
    name, amount = parse_target(run.target)
    return [*words, f"--search.{name.replace('_', '-')}", f"{amount:g}"]


def command(run: Run, common: Sequence[str]) -> list[str]:
    """What `nas_jax` is told: to begin, or to go on where it stopped."""
    if run.folder.exists():
        return ["search", "--resume", str(run.folder)]
    words = overrides(run, common)
    return ["search", run.experiment, *words, "--out", str(run.folder)]


def clear(run: Run) -> None:
    """Removes what a run left that ended before its first checkpoint.

    Nothing could go on from there. One that another process works on stays.
    """
    folder = run.folder
    if not (folder / "config.json").is_file() or is_finished(run):
        return
    from nas_jax import search_stage  # and JAX

    if search_stage.has_snapshots(folder):
        return
    with suppress(ValueError), run_lock.held(folder):
        shutil.rmtree(folder)


def is_finished(run: Run) -> bool:
    """Whether its result is there."""
    return (run.folder / "result.json").is_file()


def write_list(out: Path, runs: Sequence[Run], common: Sequence[str]) -> None:
    """Makes the folder of a sweep, or checks that it is one of the same runs.

    Raises:
      ValueError: if it lists others, with the first difference, or is something else.
    """
    document = {
        "runs": [[run.experiment, run.seed, run.target] for run in runs],
        "overrides": list(common),
    }
    file = out / FILE
    if out.exists() and not file.is_file():
        raise ValueError(
            f"--out {out}: expected a new folder, or one with {FILE} of an earlier "
            "start of the same sweep; choose another name"
        )
    if not out.exists():
        out.mkdir(parents=True)
        files.write_json(file, document)
        return
    found = _read(file)
    if found != document:
        raise ValueError(
            f"--out {out}: expected the sweep that this folder was made for, "
            f"{_difference(found, document)}; choose another name"
        )


def read_list(out: Path) -> list[Run]:
    """The runs of a sweep's folder.

    Raises `ValueError` if it is none.
    """
    file = out / FILE
    if not file.is_file():
        raise ValueError(
            f"{out}: expected the folder of a sweep with {FILE}, found none; "
            "'nas_jax sweep EXPERIMENT --seeds 0,1 --out FOLDER' makes one"
        )
    found = _read(file)["runs"]
    names = dict.fromkeys(name for name, _, _ in found)
    targets = dict.fromkeys(target for _, _, target in found if target is not None)
    seeds = dict.fromkeys(seed for _, seed, _ in found)
    return listed(list(names), list(seeds), list(targets), out)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = files.read_object(file)
        for name, seed, target in document["runs"]:
            is_run = isinstance(name, str) and type(seed) is int
            if not is_run or not isinstance(target, str | None):
                raise TypeError(f"a run of {name!r}, {seed!r}, {target!r}")
        return document
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected the list of a sweep's runs, got {error}; remove the "
            "folder and begin again"
        ) from error


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    if found.get("overrides") != wanted["overrides"]:
        return f"with {found.get('overrides')}, got {wanted['overrides']}"
    there, asked = ([str(run) for run in one["runs"]] for one in (found, wanted))
    lacking = [run for run in there if run not in asked]
    added = [run for run in asked if run not in there]
    return f"which {f'has {lacking[0]}' if lacking else f'has no {added[0]}'}"
