"""Guesses of an exported model about pictures."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nas_jax.config import on_disk
from nas_jax.data import companions, preprocessing
from nas_jax.data.layouts import tree
from nas_jax.export import formats
from nas_jax.runs import unfinished
from nas_jax.runs.finalists import SEARCHED

_EXPECTED = f"a run, or a model file ({formats.ENDS})"
AT_ONCE = 64
"""Pictures that are held in memory."""


class Guess(NamedTuple):
    """A label and the probability that the model gives it."""

    label: str
    probability: float


class Seen(NamedTuple):
    """A picture and the guesses about it, or why there are none."""

    image: str
    guesses: tuple[Guess, ...] = ()
    error: str | None = None


def of_pictures(model: str | Path, *images: str | Path, top: int = 5) -> list[Seen]:
    """What an exported model sees in pictures: `nas_jax predict`, from Python.

        (seen,) = nas_jax.predict("runs/first-seed0-000", "new.jpg")
        seen.guesses[0].label  # seen.error says why there are none

    Args:
      model: a run, or a model file of its `export` folder.
      images: files, folders of pictures, or patterns such as `new/*.jpg`.
      top: guesses for each, the likeliest first.

    Raises `ValueError` as `predict`, for what is no path, and where there are no
    pictures.
    """
    for one in images:
        if not isinstance(one, str | Path):
            raise ValueError(
                "predict: expected paths of pictures, each an argument of its own, got "
                f"{type(one).__name__}; nas_jax.load_model gives a network that takes "
                "arrays"
            )
    files, _ = files_of(images)
    if not files:
        told = " ".join(map(str, (model, *images)))
        raise ValueError(f"predict {told}: expected pictures, found none")
    return list(predict(Path(model), files, top))


def predict(model: Path, images: Iterable[str | Path], top: int = 5) -> Iterator[Seen]:
    """The `top` guesses for every picture, the likeliest first.

    A file that is no picture is said to be none, and does not stop the others.

    Args:
      model: a file that `export_folder.export` wrote, its companions beside it; or the
        folder of a run.
      images: files of pictures.
      top: how many guesses; all classes if there are fewer.

    Raises:
      ValueError: naming the model or companion that is missing or wrong, or the runtime
        that is not installed.
    """
    if top < 1:
        raise ValueError(f"--top: expected 1 or more, got {top}")
    file = model_file(model)
    runner, network = formats.read(file), file.name.partition(".")[0]
    labels, prepare = companions.read(file.parent, network)
    every = list(images)
    for start in range(0, len(every), AT_ONCE):
        found: list[np.ndarray | str] = []
        for path in every[start : start + AT_ONCE]:
            try:
                found.append(preprocessing.read_image(path, prepare))
            except ValueError as error:
                found.append(str(error))
        inputs = [one for one in found if not isinstance(one, str)]
        answers = iter(runner.run(np.stack(inputs)) if inputs else ())
        for path, one in zip(every[start:], found, strict=False):
            if isinstance(one, str):
                yield Seen(str(path), error=one)
                continue
            logits = next(answers)
            if len(logits) != len(labels):
                raise ValueError(
                    f"{file.parent / companions.LABELS}: expected {len(logits)} "
                    f"labels, one per class of {file.name}, got {len(labels)}"
                )
            yield Seen(str(path), tuple(guesses(logits, labels, top)))


def model_file(model: Path) -> Path:
    """The model itself, or the one in a run's folder: the searched one of several.

    Raises `ValueError` for a folder without one, or with several others.
    """
    if not model.is_dir():
        if not model.is_file() or formats.of_file(model) is None:
            raise on_disk.no_run(model, _EXPECTED)
        return model
    folder = model / "export" if (model / "export").is_dir() else model
    ends = [one.suffix for one in formats.FORMATS.values()]
    for end in ends:
        if (folder / f"{SEARCHED}{end}").is_file():
            return folder / f"{SEARCHED}{end}"
    found = sorted({one for end in ends for one in folder.glob(f"[!.]*{end}")})
    if not found:
        if (model / "digests.json").is_file():
            raise ValueError(
                f"{model}: expected {_EXPECTED}, got a network alone; nas_jax export "
                f"{model} --format onnx writes a file beside it"
            )
        on_disk.require_run(model, _EXPECTED)
        if not any((model / "checkpoints").glob("[!.]*/digests.json")):
            raise ValueError(f"{model}: {unfinished.told(model)}")
        raise ValueError(
            f"{model}: expected a model file in export/, found none; nas_jax export "
            f"{model} --format onnx writes one"
        )
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise ValueError(
            f"{model}: expected one model file, got {names}; name the file"
        )
    return found[0]


def files_of(images: Sequence[str | Path]) -> tuple[list[str], tuple[str, ...]]:
    """Files of pictures: those named, in folders, and of patterns as in `a/*.jpg`.

    Also a line for each folder in which other files are left out.
    """
    found, notes = [], []
    for image in map(str, images):
        if Path(image).is_dir():
            inside = tree.walk(Path(image))
            found += [str(Path(image) / name) for name in inside.pictures]
            if others := tree.kinds(inside):
                notes.append(f"{image}: left out: {others}")
        elif not Path(image).exists() and glob.has_magic(image):
            # nothing found: the pattern itself is named as no picture
            found += sorted(glob.glob(image, recursive=True)) or [image]
        else:
            found.append(image)
    return found, tuple(notes)


def guesses(
    logits: Float[np.ndarray, "classes"], labels: Sequence[str], top: int
) -> list[Guess]:
    """Softmax probabilities, the `top` largest.

    >>> guesses(np.log([1.0, 3.0]), ["cat", "dog"], 1)
    [Guess(label='dog', probability=0.75)]
    """
    weights = np.exp(np.float64(logits) - np.max(logits))
    shares = weights / weights.sum()
    order = np.argsort(-shares, kind="stable")[:top]
    return [Guess(labels[k], round(float(shares[k]), 9)) for k in order]
