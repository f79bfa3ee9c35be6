"""The verb `start`: the first experiment on somebody's own pictures."""

import shlex
from pathlib import Path

from nas_jax.cli.flags import CALLED, Typed
from nas_jax.cli.terminal import Answer, Terminal
from nas_jax.config import files


def start(
    pictures: Path,
    *,
    out: Path,
    skip_corrupt: bool = False,
    typed: Typed = CALLED,
) -> Answer:
    """An experiment for a folder of pictures, counted and written to be changed.

    Args:
      pictures: folder with a folder of pictures per class
      out: .py file to write
      skip_corrupt: leave out what does not decode
    """
    from nas_jax.runs import first_experiment

    files.require_new("--out", out)
    if out.suffix != ".py":
        raise ValueError(f"--out {out}: expected the name of a .py file")
    made = first_experiment.of_pictures(pictures, skip_corrupt, Terminal())
    out.write_text(first_experiment.text(made, typed), encoding="utf-8")
    data, space = made.data, made.space
    lines = (
        f"{space.classes} classes; {data.train_weights} pictures for the weights, "
        f"{data.train_alphas} for the alphas, {data.valid} to watch, "
        f"{data.test} to test",
        f"images of {space.input_size} x {space.input_size} x {space.input_channels}, "
        f"flipped, and cut to {data.crop_area:.0%} of the area at least; for letters "
        "and digits: --data.no-flip --data.crop-area 0.8",
        f"half the latency of the hand-designed network, batch {made.latency.batch}; "
        f"written: {out}",
        f"next: nas_jax search {shlex.quote(str(out))}  (first with --plan)",
    )
    sizes = ("train_weights", "train_alphas", "valid", "test")
    shape = ("classes", "input_size", "input_channels")
    answer = {
        "file": str(out),
        **{name: getattr(space, name) for name in shape},
        "pictures": {name: getattr(data, name) for name in sizes},
    }
    return Answer(answer, "\n".join(lines))
