"""The verb `finetune`: somebody's own pictures from the weights of another task."""

import sys
from dataclasses import replace
from pathlib import Path

from nas_jax.cli import networks, terminal
from nas_jax.cli.flags import UNCHANGED, Fields
from nas_jax.cli.start import READING, Reading
from nas_jax.cli.terminal import Answer
from nas_jax.config import on_disk, overrides
from nas_jax.training import host


def finetune(
    weights: Path,
    pictures: Path,
    reading: Reading = READING,
    fields: Fields = UNCHANGED,
    *,
    side: int | None = None,
    out: Path | None = None,
    no_cache: bool = False,
) -> Answer:
    """A network with its weights, trained further on your pictures.

    It makes a run folder, which `export` and `predict` take.

    Args:
      weights: folder that `import` wrote, or of a trained network
      pictures: folder with a folder of pictures per class, or a file of their labels
      side: of the images (default: twice that of the pictures, from 64 to 128)
      out: run folder to make (default: runs/...)
      no_cache: compile again
    """
    from nas_jax.runs import first_experiment, pretrained, run_folder
    from nas_jax.spaces import around

    on_disk.require_network("finetune", weights)
    try:
        made = first_experiment.from_weights(pictures, weights, side, **vars(reading))
    except ValueError as error:  # what is --data.test-split elsewhere
        raise ValueError(str(error).replace("--data.", "--")) from error
    config = overrides.apply(made.experiment, fields)
    space, data = config.space, config.data
    shape = (space.input_size, space.input_channels, space.classes)
    network = around.resized(pretrained.read(weights).architecture, *shape)
    network = replace(network, name="finetuned")
    print(
        f"images of {space.input_size} pixels, normalised as for the weights: mean "
        f"{data.mean}, deviation {data.std}",
        file=sys.stderr,
    )
    host.prepare_for(config, cache=not no_cache)
    folder = run_folder.create(config, out, on_disk.RUNS, network=network)
    print(f"run folder: {folder}", file=sys.stderr)
    terminal.tell_fields(fields)
    return networks.trained(config, network, folder)
