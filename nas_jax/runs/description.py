"""How large a space or a network is, by its name; imports no more than that takes."""

from pathlib import Path
from typing import Any

from nas_jax.config import shipped
from nas_jax.networks import counts
from nas_jax.runs import run_folder
from nas_jax.spaces import builders, published


def describe(name: str) -> dict[str, Any]:
    """Size of a preset space, a published network, a file, or an experiment's space.

    Raises `ValueError` naming the first two kinds if `name` is none of these.
    """
    if name in builders.PRESETS:
        return counts.describe_space(builders.PRESETS[name]())
    if name in published.NAMES:
        return counts.describe(published.get(name))
    if name.endswith(".json"):
        return counts.describe(run_folder.read_architecture(Path(name)))
    try:
        experiment = shipped.load_experiment(name)
    except ValueError as error:
        if Path(name).is_file():
            raise
        raise ValueError(
            f"describe {name!r}: expected a space ({', '.join(builders.PRESETS)}), a "
            f"published network ({', '.join(published.NAMES)}), an architecture file "
            "(.json) or an experiment"
        ) from error
    return counts.describe_space(builders.build(experiment.space))
