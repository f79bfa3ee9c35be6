"""What stands where a command names a run or a network's folder, if it is not that.

Every verb that takes a run asks here, so that all of them say the same: what they
expected, what lies there, and which runs are near. Importing this imports no JAX.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from nas_jax.config.naming import near, one_of

RUNS = Path("runs")
"""Where runs are made without `--out`."""
A_PICTURE, A_JSON_FILE = "a picture", "a JSON file"
A_RUN = "a run (a folder with config.json)"
A_NETWORK = "the folder of a network, as nas_jax import writes it"
_ENDINGS = {
    ".py": "a Python file",
    ".json": A_JSON_FILE,
    **dict.fromkeys((".onnx", ".tflite", ".stablehlo"), "a model file"),
    **dict.fromkeys((".pth", ".pt", ".safetensors"), "a file of weights"),
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"), A_PICTURE),
    **dict.fromkeys((".tif", ".tiff", ".ppm", ".jp2", ".avif"), A_PICTURE),
}
_NAMED = 6
"""Runs that a line names at most."""
_LOOKED_AT = 2000
"""Files of a folder that are looked at, to say what it holds."""


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / "config.json").is_file()


def require_run(path: Path, expected: str = A_RUN) -> None:
    """Raises `ValueError` unless a path is a run; `expected` is what a verb takes."""
    if not is_run(path):
        raise no_run(path, expected)


def no_run(path: Path, expected: str = A_RUN) -> ValueError:
    """The error for a path that is no run, nor anything else that is expected."""
    inside, around = runs_in(path), runs_in(path.parent)
    here = around if path.parent == RUNS else [*around, *runs_in(RUNS)]
    named = {one.name: one for one in here}
    hint = "; nas_jax search EXPERIMENT makes one"
    if path.suffix == ".py" and path.is_file():
        hint = f"; nas_jax search {shlex.quote(str(path))} makes one"
    if here:
        hint = f"; runs here: {_listed(here)}"
    if inside:
        hint = f"; name one: {_listed(inside)}"
    elif not path.exists():
        hint = one_of(_typed(named[one] for one in near(path.name, named))) or hint
    return ValueError(f"{path}: expected {expected}, {found_at(path)}{hint}")


def require_network(flag: str, path: Path) -> None:
    """Raises `ValueError` unless a path is the folder of a network with its weights."""
    place = path.expanduser()
    if (place / "architecture.json").is_file() and not is_run(place):
        return
    got = found_at(place)
    hint = "; nas_jax import FILE --out lite0 makes one of a file of weights"
    if place.is_file():
        quoted = shlex.quote(str(path))
        hint = f"; first nas_jax import {quoted} --out lite0, then {flag} lite0"
    elif is_run(place):
        hint = _name_one(path)
    elif not place.exists():
        hint = meant_beside(path) or hint
    raise ValueError(f"{flag} {path}: expected {A_NETWORK}, {got}{hint}")


def found_at(path: Path) -> str:
    """What lies at a path, in words.

    >>> found_at(Path("nowhere")), found_at(Path(__file__))
    ('found nothing there', 'got a Python file')
    """
    if not path.exists():
        return "found nothing there"
    if path.is_file():
        return f"got {_kind(path)}"
    if is_run(path):
        return "got a run"
    if runs := runs_in(path):
        return "got a folder of runs" if len(runs) > 1 else "got a folder with a run"
    if (path / "digests.json").is_file():
        return "got a network alone"
    names = list(islice(_files(path), _LOOKED_AT))
    if any(_kind(Path(name)) == A_PICTURE for name in names):
        return "got a folder of pictures"
    return "got another folder" if names else "got an empty folder"


def _kind(file: Path) -> str:
    """What a file is, by the end of its name."""
    return _ENDINGS.get(file.suffix.lower(), "another file")


def meant_beside(path: Path, kind: str | None = None) -> str:
    """The end of a message about what is not there: what lies beside it and is near.

    `kind`, one that `found_at` names, is what it should be; None is for anything.
    """
    place = path.expanduser().parent
    try:
        names = [one.name for one in islice(place.iterdir(), _LOOKED_AT)]
    except OSError:
        return ""
    visible = sorted(
        one
        for one in names
        if one[0] != "." and (kind is None or kind == _kind(Path(one)))
    )
    visible.sort(key=lambda one: Path(one).suffix == path.suffix)
    by_stem = {Path(one).stem: one for one in visible}  # all end in .jpg
    like = [path.with_name(by_stem[one]) for one in near(path.stem, by_stem)]
    return one_of(_typed(like))


def runs_in(folder: Path) -> list[Path]:
    """The runs in a folder, in order of their names."""
    try:
        return [one for one in sorted(folder.iterdir()) if is_run(one)]
    except OSError:
        return []


def networks_of(run: Path) -> list[Path]:
    """The folders of a run's trained networks, in order of their names."""
    trained = sorted(run.glob("checkpoints/[!.]*/architecture.json"))
    return [one.parent for one in trained]


def no_network(path: Path) -> ValueError:
    """The error for a path that is not the folder of a network with its weights."""
    hint = ""
    if is_run(path):
        hint = _name_one(path)
    elif not path.exists():
        beside = {one.name: one for one in networks_of(path.parent.parent)}
        hint = one_of(_typed(beside[one] for one in near(path.name, beside)))
    hint = hint or "; nas_jax search, train and import write one"
    return ValueError(
        f"{path}: expected the folder of a trained network, {found_at(path)}{hint}"
    )


def _name_one(run: Path) -> str:
    """The end of a message about a run in whose place one of its networks is wanted."""
    networks = networks_of(run)
    if not networks:
        return ", none of its networks is trained yet"
    return f"; name a network of it: {_listed(networks)}"


def _typed(paths: Iterable[Path]) -> list[str]:
    return [shlex.quote(str(one)) for one in paths]


def _listed(runs: list[Path]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(_typed(runs[:_NAMED])) + more


def _files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names
