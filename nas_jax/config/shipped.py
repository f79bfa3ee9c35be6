"""Experiments, tables and records that come with the package.

They lie beside the package in a checkout and inside it once installed.
"""

import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path

from nas_jax import config
from nas_jax.config import on_disk
from nas_jax.config.experiment import Experiment
from nas_jax.config.naming import meant

_PACKAGE = Path(__file__).resolve().parents[1]
# the package has code of this name
_INSTALLED = {"guidelines": "guidelines/shipped"}
_IN_CHECKOUT = {"records": "benchmarks/records"}


def folder(name: str) -> Path:
    """The folder `experiments`, `latency_tables`, `guidelines` or `records`."""
    inside = _PACKAGE / _INSTALLED.get(name, name)
    beside = _PACKAGE.parent / _IN_CHECKOUT.get(name, name)
    return inside if inside.is_dir() else beside


def names(kind: str, pattern: str) -> list[str]:
    """Names of the files in one of these folders, without their endings."""
    files = folder(kind).glob(pattern)
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def experiment_file(name: str) -> Path:
    """The file of an experiment, given by path or by the name of a shipped one.

    Raises `ValueError` if there is no such file.
    """
    path = Path(name)
    # `digits_cpu`, and `experiments/digits_cpu.py` where the package is installed
    beside = folder("experiments") / f"{path.stem}.py"
    if path.is_file():
        return path
    if path.parent in (Path(), Path("experiments")) and beside.is_file():
        return beside
    expected = f"experiment {name!r}: expected a Python file with get_config()"
    if on_disk.is_run(path):
        raise ValueError(
            f"{expected}, got a run; nas_jax search --resume {name} goes on with it"
        )
    if path.is_dir():
        raise ValueError(
            f"{expected}, {on_disk.found_at(path)}; for pictures begin with nas_jax "
            f"start {name} --out mine.py"
        )
    if name.endswith(".py"):
        hint = on_disk.meant_beside(path) or (
            f"; nas_jax start PICTURES --out {name} writes one"
        )
        raise ValueError(f"{expected}, found no such file{hint}")
    known = names("experiments", "*.py")
    raise ValueError(
        f"{expected}, or one of the shipped experiments: {', '.join(known)}"
        f"{meant(name, known) or on_disk.meant_beside(path)}"
    )


def table_file(name: str | os.PathLike[str]) -> Path:
    """The file of a table, by its path or the name of a shipped one.

    Also `latency_tables/NAME.json` where the package is installed. What is nowhere is
    the path as it is given.

    >>> table_file("pixel1_tflite").is_file(), table_file("pixel1").is_file()
    (True, False)
    """
    path = Path(name)
    by_name = path.parent == Path() and not path.suffix
    if path.exists() or not (by_name or path.parent == Path("latency_tables")):
        return path
    beside = folder("latency_tables") / (f"{name}.json" if by_name else path.name)
    return beside if beside.is_file() else path


def _field_meant(error: Exception) -> str:
    """The end of a message about a field that a configuration does not have."""
    wrong = re.match(r"(\w+)\.__init__\(\) got an unexpected .* '(\w+)'", str(error))
    kind = getattr(config, wrong[1], None) if wrong else None
    return meant(wrong[2], kind.__dataclass_fields__) if wrong and kind else ""


def load_experiment(name: str) -> Experiment:
    """The configuration of an experiment; operations of its own are registered.

    Raises `ValueError` if there is no such file, or if it does not define
    `get_config()` returning an `Experiment`.
    """
    path = experiment_file(name)
    spec = importlib.util.spec_from_file_location(
        f"_experiment_{path.stem}", path.resolve()
    )
    if spec is None or spec.loader is None:
        raise ValueError(
            f"experiment {name!r}: expected a Python file with get_config(), "
            f"{on_disk.found_at(path)}; nas_jax start PICTURES --out mine.py writes one"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        get_config = getattr(module, "get_config", None)
        experiment = get_config() if callable(get_config) else None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [one.lineno for one in frames if one.filename == spec.origin]
        if isinstance(error, SyntaxError) and error.filename == spec.origin:
            text = (error.text or "").strip()
            raise ValueError(
                f"{path}, line {error.lineno}: expected Python, got {text!r:.80} "
                f"({error.msg}); mend it"
            ) from error
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise ValueError(
            f"{place}: cannot be read ({type(error).__name__}: {error}); mend it"
            f"{_field_meant(error)}"
        ) from error
    if not isinstance(experiment, Experiment):
        got = f"{type(experiment).__name__}; return an Experiment"
        if not callable(get_config):
            got = "no get_config(); nas_jax start PICTURES --out mine.py writes one"
        raise ValueError(
            f"{path}: expected get_config() returning nas_jax.config.Experiment, "
            f"got {got}"
        )
    return experiment
