"""The verb `start`: the first experiment on somebody's own pictures."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas_jax.cli.flags import CALLED, Typed
from nas_jax.cli.terminal import Answer, Terminal
from nas_jax.config import files
from nas_jax.config.data import DataConfig
from nas_jax.config.space import ElasticConfig
from nas_jax.training import host


@dataclass(frozen=True)
class Reading:
    """How pictures are read."""

    skip_corrupt: bool = False
    """leave out what does not decode"""
    train_split: str = "train"
    """folder of the pictures to train on, or their name in a column of splits"""
    valid_split: str | None = None
    """that of the pictures to watch"""
    test_split: str = "test"
    """that of the pictures to test on; drawn from the others if the same"""
    label_pattern: str | None = None
    """where names of files say the label, as in '{label}_{number}.jpg'"""
    file_column: str | None = None
    """of a file of labels, the column of files; by usual names if not given"""
    label_column: str | None = None
    """its column of labels"""
    split_column: str | None = None
    """its column of splits"""
    group_column: str | None = None
    """its column of what a picture shows; pictures of one thing lie in one split"""
    group_pattern: str | None = None
    """where names of files say that, as in '{group}_{number}'"""
    group_folder: int | None = None
    """the folders that say it: 1 for those in the folders of the classes"""


READING = Reading()
Blocks = Literal[
    "mobilenet_v2", "mobilenet_v3", "mobilenet_v4", "efficientnet_lite", "fbnet"
]
"""The names of `families.BLOCKS`."""


def start(
    pictures: Path,
    *,
    out: Path,
    quick: bool = False,
    hours: float | None = None,
    weights: Path | None = None,
    blocks: Blocks | None = None,
    reading: Reading = READING,
    typed: Typed = CALLED,
) -> Answer:
    """An experiment for your pictures, counted and written to be changed.

    Args:
      pictures: folder with a folder of pictures per class, or a file of their labels;
        or a folder of IDX files, as those of MNIST, or one of these
      out: .py file to write
      quick: a first look, in minutes: small images, few and short trainings
      hours: that a run may take here; steps are timed to fit it (default: images of 64
        pixels at most, trainings as long as networks from scratch need)
      weights: folder that `import` wrote: the space is that around its network, and
        trainings start from its weights
      blocks: the family whose networks are searched (default: mobilenet_v2)
    """
    from nas_jax.runs import first_experiment

    files.require_new("--out", out)
    if out.suffix != ".py":
        raise ValueError(
            f"--out {out}: expected the name of a .py file, as {out.with_suffix('.py')}"
        )
    told = vars(reading) if blocks is None else {**vars(reading), "blocks": blocks}
    try:
        if quick and (hours is not None or weights is not None):
            other = "--hours" if hours is not None else "--weights"
            raise ValueError(
                f"--quick: expected without {other}, got both; leave one out"
            )
        if weights is not None:
            if hours is not None:
                raise ValueError(
                    "--hours: expected without --weights, got both; fit the time at "
                    "the search: nas_jax search FILE --hours H"
                )
            if blocks is not None:
                raise ValueError(
                    "--blocks: expected without --weights, whose network has its own, "
                    "got both; leave one out"
                )
            begun = first_experiment.from_weights(pictures, weights, **vars(reading))
        elif quick:
            begun = first_experiment.quick(pictures, **told)
        elif hours is None:
            begun = first_experiment.of_pictures(pictures, **told)
        else:
            host.prepare()
            begun = first_experiment.in_hours(pictures, hours, Terminal(), **told)
        made, counts, notes = begun
        made = first_experiment.named(made, out)
    except ValueError as error:  # what is --data.test-split elsewhere
        raise ValueError(str(error).replace("--data.", "--")) from error
    out.write_text(first_experiment.text(made, typed), encoding="utf-8")
    data, space = made.data, made.space
    assert isinstance(space, ElasticConfig)
    if weights is not None:
        notes = (*notes, f"trainings start from the weights in {weights}")
    lines = (
        *notes,
        f"{counts['train_weights'] + counts['train_alphas']} pictures to train, "
        f"{counts['valid']} to choose a network, {counts['test']} to test",
        f"images of {' or '.join(map(str, space.input_sizes))} pixels, "
        f"{_augmentation(data)}",
        f"target: half the latency of the {made.reference} network, batch "
        f"{made.latency.batch}; another one at the search: --target 0.3x",
        f"written: {out}",
        f"next: nas_jax search {shlex.quote(str(out))}  (--plan: how long it takes)",
    )
    shape = ("classes", "input_size", "input_channels")
    answer = {
        "file": str(out),
        **{name: getattr(space, name) for name in shape},
        "pictures": counts,
        "notes": list(notes),
    }
    return Answer(answer, "\n".join(lines))


def _augmentation(data: DataConfig) -> str:
    if data.name == "idx":
        return (
            f"moved by up to {data.shift_pixels} pixels; for things that may be "
            "mirrored, unlike letters and digits, at the search: --data.flip"
        )
    done, flags = [], []
    if data.flip:
        done.append("flipped")
        flags.append("--data.no-flip")
    if data.crop_area < 1:
        done.append(f"cut to {data.crop_area:.0%} of the area at least")
        flags.append("--data.crop-area 0.8")
    if not done:
        return "as they are"
    return (
        f"{' and '.join(done)}; for letters and digits, at the search: "
        f"{' '.join(flags)}"
    )
