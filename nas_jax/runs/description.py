"""How large a space or a network is, by its name; imports no more than that takes."""

from pathlib import Path
from typing import Any

from nas_jax.config import data, on_disk, shipped
from nas_jax.config.naming import meant
from nas_jax.networks import counts, device_memory
from nas_jax.runs import run_folder
from nas_jax.spaces import builders, elastic, published
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace


def describe(name: str) -> dict[str, Any]:
    """Size of a preset space, a published network, a file, or an experiment's space.

    Raises `ValueError` if `name` is none of these, with the nearest name.
    """
    if name in builders.PRESETS:
        return _of_space(builders.PRESETS[name]())
    if name in published.NAMES:
        return _of_network(published.get(name))
    if name.endswith(".json"):
        return _of_network(run_folder.read_architecture(Path(name)))
    if on_disk.is_run(Path(name)):
        raise ValueError(
            f"describe: {name} is a run; nas_jax report {name} shows it, and nas_jax "
            f"describe {Path(name) / 'architecture.json'} its network"
        )
    try:
        experiment = shipped.load_experiment(name)
    except ValueError as error:
        if Path(name).exists() or name.endswith(".py"):
            raise
        raise _unknown(name) from error
    # the numbers are of the largest network, all its widths and sides the largest
    whole = elastic.whole(experiment.space)
    every = {"architectures": whole.architectures}
    if isinstance(whole, elastic.ElasticSpace):  # its first shape is the smallest
        smallest, _ = counts.extreme(whole.shapes[0])
        every["macs_min"] = counts.describe(smallest)["macs"]
    return _of_space(builders.build(experiment.space)) | every


def _unknown(name: str) -> ValueError:
    """The error for a name, which may be that of something else."""
    if name in shipped.names("latency_tables", "*.json"):
        return ValueError(
            f"describe: {name!r} is a latency table; nas_jax table show {name} shows it"
        )
    if name in data.NAMES:
        return ValueError(
            f"describe: {name!r} is a data set, and describe takes a space, network or "
            f"experiment; a search takes the data by --data.name {name}"
        )
    known = [*builders.PRESETS, *published.NAMES]
    known += shipped.names("experiments", "*.py")
    hint = meant(name, known)
    return ValueError(
        f"describe: {name!r} is no space, published network or experiment{hint}"
        f"{' ' if hint else '; '}nas_jax list shows all"
    )


def _of_network(network: Architecture) -> dict[str, Any]:
    return counts.describe(network) | device_memory.describe(network)


def _of_space(space: SearchSpace) -> dict[str, Any]:
    _, largest = counts.extreme(space)
    return counts.describe_space(space) | device_memory.describe(largest)
