"""Trained networks on disk: a folder with the architecture, the weights, a digest.

    model = checkpoint.load_model("runs/digits_cpu-seed0-000/checkpoints/searched")
    logits = model(images)  # normalised, Float [B H W C]

Weights are written by Orbax. A digest per array is checked on loading, because a
flipped bit in an array file would otherwise come back as a wrong number, unnoticed.
"""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from nas_jax.base import Images, Logits, PyTree
from nas_jax.config import checks, files, on_disk
from nas_jax.networks import network
from nas_jax.spaces import architecture_json
from nas_jax.spaces.architecture import Architecture


@dataclasses.dataclass(frozen=True)
class Model:
    """A network with its weights; call it on normalised images `[B H W C]`."""

    architecture: Architecture
    params: PyTree = dataclasses.field(repr=False)
    batch_stats: PyTree = dataclasses.field(repr=False)

    def __call__(self, images: Images) -> Logits:
        """Logits `[B classes]` with the running statistics.

        Raises `ValueError` for anything but normalised images of the network's shape.
        """
        shape = getattr(images, "shape", None)
        if shape is None:
            raise ValueError(
                f"images: expected an array of normalised images, got {images!r:.60}; "
                "files of pictures: nas_jax predict RUN PICTURES"
            )
        expected = self.architecture.input_shape
        if len(shape) != 4 or tuple(shape[1:]) != expected:
            raise ValueError(
                f"images: expected shape [batch, {', '.join(map(str, expected))}] "
                f"(height, width, channels), got {list(shape)}"
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"images: expected normalised images, whose values are floats, got "
                f"{images.dtype}; nas_jax predict reads pictures as training did"
            )
        return network.predict(self.architecture, self.params, self.batch_stats, images)


def digests(tree: PyTree) -> dict[str, str]:
    """SHA-256 of the bytes of every array, by its place in the tree."""
    return {
        jax.tree_util.keystr(path): hashlib.sha256(
            np.asarray(leaf).tobytes()
        ).hexdigest()
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def alone() -> ocp.options.MultiprocessingOptions:
    """For this process alone: by default all processes of a run would have to come."""
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=str(own)
    )


def folders_first() -> ocp.AsyncOptions:
    """A save makes its folders before it writes in threads.

    By default these are told of the folders through keys that all processes of a run
    share, `alone` or not: two that save at the same time take them away from each
    other, and wait for ever.
    """
    return ocp.AsyncOptions(create_directories_asynchronously=False)


def _checkpointer() -> ocp.StandardCheckpointer:
    return ocp.StandardCheckpointer(
        async_options=folders_first(), multiprocessing_options=alone()
    )


def save_model(folder: Path, model: Model) -> None:
    """Writes a network into a new folder, all of it or nothing.

    Raises `ValueError` if the folder exists, or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise ValueError(f"{folder} exists; expected a new folder to save a network in")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a save that was stopped
    partial.mkdir(parents=True)
    # NumPy's arrays: of several processes Orbax refuses what lies on one's own device
    trees = {"params": model.params, "batch_stats": model.batch_stats}
    weights = jax.tree.map(np.asarray, trees)
    try:
        with _checkpointer() as checkpointer:
            checkpointer.save(partial / "weights", weights)
    except Exception as error:  # Orbax raises many kinds; all mean the same to a user
        raise ValueError(
            f"{folder}: the network cannot be written ({checks.reason(error)}); make "
            "room"
        ) from error
    (partial / "digests.json").write_text(json.dumps(digests(weights), indent=1))
    text = architecture_json.to_json(model.architecture)
    (partial / "architecture.json").write_text(text)
    partial.rename(folder)


def load_model(folder: str | Path) -> Model:
    """Reads a network back, checking every array against its digest.

    Raises `ValueError` naming the folder and what is missing or damaged.
    """
    folder = Path(folder)
    if on_disk.is_run(folder) or not (folder / "architecture.json").is_file():
        raise on_disk.no_network(folder)
    folder = folder.absolute()
    try:
        text = files.read_text(folder / "architecture.json")
        architecture = architecture_json.from_json(text)
    except ValueError as error:
        source = folder.parent.parent / "experiment.py"  # of the run it belongs to
        if not source.is_file():
            raise
        raise ValueError(
            f"{error}; an operation of this run's own is registered by "
            f"nas_jax.config.shipped.load_experiment({str(source)!r})"
        ) from error
    trees = dict(
        zip(("params", "batch_stats"), network.shapes(architecture), strict=True)
    )
    target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), trees)
    try:
        written = files.read_object(folder / "digests.json")
        with _checkpointer() as checkpointer:
            weights: Any = checkpointer.restore(folder / "weights", target)
    except Exception as error:  # Orbax raises many kinds; all mean the same to a user
        raise ValueError(
            f"{folder}: the weights cannot be read ({checks.reason(error)}); "
            "restore the files, or train the network again"
        ) from error
    damaged = [
        name for name, value in digests(weights).items() if written.get(name) != value
    ]
    if damaged:
        raise ValueError(
            f"{folder}: {len(damaged)} arrays differ from their digest, first "
            f"{damaged[0]}; restore the files, or train the network again"
        )
    weights = jax.tree.map(jnp.array, weights)  # a copy: this memory is NumPy's
    return Model(architecture, **weights)
