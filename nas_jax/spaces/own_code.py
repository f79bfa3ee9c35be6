"""The code of a run: its `experiment.py`, which registers operations and spaces."""

from pathlib import Path

from nas_jax.config import shipped
from nas_jax.config.space import AnySpace
from nas_jax.spaces import builders
from nas_jax.spaces.operations import is_known


def register(folder: Path, config: AnySpace) -> None:
    """Loads the code of a run if its space or an operation of it is not yet known."""
    if not (builders.is_built(config) and all(map(is_known, config.candidates))):
        load(folder)


def load(folder: Path) -> None:
    """Loads the code of a run, if it has any."""
    source = folder / "experiment.py"
    if source.is_file():
        shipped.load_experiment(str(source))
