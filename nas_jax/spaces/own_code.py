"""The code of a run: its `experiment.py`, which registers operations and spaces."""

from pathlib import Path
from typing import Any

from nas_jax.config import shipped
from nas_jax.config.from_json import from_json
from nas_jax.config.space import OwnSpace, SpaceConfig, TreeConfig
from nas_jax.spaces import builders
from nas_jax.spaces.operations import is_known


def read_space(
    folder: Path, document: dict[str, Any]
) -> SpaceConfig | TreeConfig | OwnSpace:
    """The space in a run's configuration; its operations are registered as well.

    Raises `ValueError` if `document` describes no space.
    """
    config = from_json(SpaceConfig | TreeConfig | OwnSpace, document, "space.")
    register(folder, config)
    return config


def register(folder: Path, config: SpaceConfig | TreeConfig | OwnSpace) -> None:
    """Loads the code of a run if its space or an operation of it is not yet known."""
    if not (builders.is_built(config) and all(map(is_known, config.candidates))):
        load(folder)


def load(folder: Path) -> None:
    """Loads the code of a run, if it has any."""
    source = folder / "experiment.py"
    if source.is_file():
        shipped.load_experiment(str(source))
