"""Experiments, tables and records that come with the package.

They lie beside the package in a checkout and inside it once installed.
"""

import importlib.util
import sys
import traceback
from pathlib import Path

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
    if not path.is_file() and path.parent in (Path(), Path("experiments")):
        path = folder("experiments") / f"{path.stem}.py"
    if path.is_dir():
        raise ValueError(
            f"experiment {name!r}: expected a Python file with get_config(), got a "
            f"folder; nas_jax start {name} --out mine.py writes one for its pictures"
        )
    if not path.is_file() and name.endswith(".py"):
        raise ValueError(
            f"experiment {name!r}: expected a Python file with get_config(), found no "
            f"such file; nas_jax start PICTURES --out {name} writes one"
        )
    if not path.is_file():
        known = names("experiments", "*.py")
        raise ValueError(
            f"experiment {name!r}: expected a Python file with get_config(), or one of "
            f"the shipped experiments: {', '.join(known)}{meant(name, known)}"
        )
    return path


def table_file(name: str) -> Path:
    """The file of a table; `latency_tables/NAME.json` where the package is installed.

    >>> table_file("latency_tables/pixel1_tflite.json").is_file()
    True
    """
    path = Path(name)
    beside = folder("latency_tables") / path.name
    shipped = path.parent == Path("latency_tables") and beside.is_file()
    return beside if shipped and not path.is_file() else path


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
        raise ValueError(f"experiment {name!r}: expected a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        get_config = getattr(module, "get_config", None)
        experiment = get_config() if callable(get_config) else None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [one.lineno for one in frames if one.filename == spec.origin]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise ValueError(
            f"{place}: cannot be read ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(experiment, Experiment):
        got = type(experiment).__name__ if callable(get_config) else "no get_config()"
        raise ValueError(
            f"{path}: expected get_config() returning nas_jax.config.Experiment, "
            f"got {got}"
        )
    return experiment
