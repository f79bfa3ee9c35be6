"""What stands where a command names a run or a network's folder, if it is not that.

Every verb that takes a run asks here, so that all of them say the same: what they
expected, what lies there, and which runs are near. Importing this imports no JAX.
"""

import os
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from nas_jax.config.naming import near

RUNS = Path("runs")
"""Where runs are made without `--out`."""
A_RUN = "a run (a folder with config.json)"
NETWORK_FILES = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".tar", ".ckpt")
"""Endings of files of weights, as others write them."""
_PICTURES = {
    *(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm"),
    *(".jp2", ".avif"),
}
_MODELS = (".onnx", ".tflite", ".stablehlo")
_NAMED = 3
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
    inside = runs_in(path)
    here = [*runs_in(path.parent), *(() if path.parent == RUNS else runs_in(RUNS))]
    named = {one.name: one for one in here}
    like = [named[name] for name in near(path.name, named)]
    if inside:
        advice = f"name one: {_listed(inside)}"
    elif not path.exists() and like:
        advice = f"did you mean {_either(like)}?"
    elif here:
        advice = f"runs here: {_listed(here)}"
    elif path.suffix == ".py":
        advice = f"nas_jax search {shlex.quote(str(path))} makes one"
    else:
        advice = "nas_jax search EXPERIMENT makes one"
    return ValueError(f"{path}: expected {expected}, {found_at(path)}; {advice}")


def runs_in(folder: Path) -> list[Path]:
    """The runs in a folder, in order of their names."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [one for one in inside if is_run(one)]


def found_at(path: Path) -> str:
    """What lies at a path, in words.

    >>> found_at(Path("nowhere")), found_at(Path(__file__))
    ('found nothing there', 'got a Python file')
    """
    if not path.exists():
        return "found nothing there"
    if path.is_file():
        kinds = {".py": "a Python file", ".json": "a JSON file"}
        kinds |= dict.fromkeys(_PICTURES, "a picture")
        kinds |= dict.fromkeys(_MODELS, "a model file")
        return f"got {kinds.get(path.suffix.lower(), 'another file')}"
    if runs := runs_in(path):
        return "got a folder of runs" if len(runs) > 1 else "got a folder with a run"
    if (path / "digests.json").is_file():
        return "got a network alone"
    names = list(islice(_files(path), _LOOKED_AT))
    if any(Path(name).suffix.lower() in _PICTURES for name in names):
        return "got a folder of pictures"
    return "got another folder" if names else "got an empty folder"


def require_network(flag: str, path: Path) -> None:
    """Raises `ValueError` unless a path is the folder of a network with its weights."""
    place = path.expanduser()
    if (place / "architecture.json").is_file() and not is_run(place):
        return
    expected = "the folder of a network, as nas_jax import writes it"
    trained = sorted(place.glob("checkpoints/[!.]*/architecture.json"))
    quoted = shlex.quote(str(path))
    if place.is_file():
        advice = f"nas_jax import {quoted} --out lite0 first, then {flag} lite0"
        got = "got a file"
    elif is_run(place):
        listed = _listed([path / one.relative_to(place).parent for one in trained])
        got = "got a run"
        advice = f"name one of its networks: {listed}" if trained else "it has none yet"
    else:
        got = found_at(place)
        advice = "nas_jax import FILE --out lite0 makes one of a file of weights"
        if not place.exists() and place.suffix.lower() in NETWORK_FILES:
            got = "found no such file"
        if like := near(place.name, _names(place.parent)):
            advice = f"did you mean {_either([path.with_name(one) for one in like])}?"
    raise ValueError(f"{flag} {path}: expected {expected}, {got}; {advice}")


def meant_beside(path: Path, is_folder: bool = False) -> str:
    """The end of a message about what is not there: what beside it has such a name."""
    names = [
        name
        for name in _names(path.parent)
        if (path.parent / name).is_dir() or not is_folder
    ]
    like = [path.with_name(one) for one in near(path.name, names)] if path.name else []
    return f"; did you mean {_either(like)}?" if like else ""


def _names(folder: Path) -> list[str]:
    try:
        names = [one.name for one in islice(folder.iterdir(), _LOOKED_AT)]
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith("."))


def _either(paths: list[Path]) -> str:
    return " or ".join(shlex.quote(str(one)) for one in paths)


def _listed(runs: list[Path]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(shlex.quote(str(one)) for one in runs[:_NAMED]) + more


def _files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names
