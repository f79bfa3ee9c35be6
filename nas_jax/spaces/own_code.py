"""The code of a run: its `experiment.py` registers operations and spaces of its own."""

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
    """The space part of a run's configuration, with what it is made of registered.

    Raises `ValueError` if it is not one.
    """
    config = from_json(SpaceConfig | TreeConfig | OwnSpace, document, "space.")
    register(folder, config)
    return config


def register(folder: Path, config: SpaceConfig | TreeConfig | OwnSpace) -> None:
    """Loads the code of a run if this process does not know what its space names."""
    if not (builders.is_built(config) and all(map(is_known, config.candidates))):
        load(folder)


def load(folder: Path) -> None:
    """Loads the code of a run, if it has any."""
    source = folder / "experiment.py"
    if source.is_file():
        shipped.load_experiment(str(source))
