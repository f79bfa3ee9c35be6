"""The kinds of tasks that the shipped records are about, in families.

A family changes one thing and keeps the others near `Glyphs()`: its tasks are close to
each other, so that advice is judged on families that it has not seen (`check`). All
data come with the package's dependencies: characters in the typefaces of matplotlib and
the handwritten digits of scikit-learn.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks import glyphs
from nas_jax.config.data import DataConfig
from nas_jax.data import digits
from nas_jax.data.batches import Batch

EVALUATED = {"valid": 1000, "test": 4000}
"""Images on which networks are chosen, and on which the chosen one is judged."""


@dataclass(frozen=True)
class Glyphs:
    """Drawn characters: how many kinds, how large, how many, how far from clean."""

    classes: int = 10
    input_size: int = 16
    images_per_class: int = 100
    noise: float = 0.15
    """Standard deviation of the noise; paper is 0, full ink 1."""
    degrees: float = 10.0
    occlusion: float = 0.0
    """Side of the hidden square, as a share of the image's."""
    colour: str = ""
    """Grey if empty; "ink", "paper" or both in random colours."""


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, 8x8 up-sampled; 200 choose and 1,000 judge a network."""

    input_size: int = 16
    images_per_class: int = 57


class Task(NamedTuple):
    """A kind of task: its family, its name, how its images are made."""

    family: str
    name: str
    data: Glyphs | Digits


TASKS: tuple[Task, ...] = (
    *(Task("classes", f"classes_{n}", Glyphs(classes=n)) for n in (2, 5, 20, 36, 62)),
    *(Task("pixels", f"pixels_{n}", Glyphs(input_size=n)) for n in (8, 24, 32, 48)),
    *(
        Task("images", f"images_{n}", Glyphs(images_per_class=n))
        for n in (20, 50, 200, 500, 2000)
    ),
    *(
        Task("noise", f"noise_{round(100 * x)}", Glyphs(noise=x))
        for x in (0.0, 0.3, 0.6, 1.0)
    ),
    *(
        Task("occlusion", f"occlusion_{round(100 * x)}", Glyphs(occlusion=x))
        for x in (0.25, 0.4, 0.55)
    ),
    *(
        Task("rotation", f"rotation_{x}", Glyphs(degrees=float(x)))
        for x in (0, 45, 90, 180)
    ),
    *(
        Task("colour", f"colour_{name.replace(' ', '_')}", Glyphs(colour=name))
        for name in ("ink", "paper", "ink paper")
    ),
    *(
        Task("digits", f"digits_{side}px_{n}", Digits(side, n))
        for side in (8, 16)
        for n in (20, 57)
    ),
)


def load(data: Glyphs | Digits) -> dict[str, Batch]:
    """Splits `train`, `valid`, `test`; the last two as large as `EVALUATED` says.

    The digits are fewer: theirs are repeated as often as it takes, a whole number of
    times, which leaves every accuracy as it is.
    """
    if isinstance(data, Digits):
        config = DataConfig(
            train_weights=10 * data.images_per_class,
            train_alphas=10,
            valid=EVALUATED["valid"] // 5,
            test=EVALUATED["test"] // 4,
        )
        found = digits.load(config, data.input_size, seed=0)
        return {
            "train": found["train_weights"],
            "valid": _repeated(found["valid"], 5),
            "test": _repeated(found["test"], 4),
        }
    sizes = {"train": data.classes * data.images_per_class, **EVALUATED}
    return {
        split: _drawn(data, images, seed)
        for seed, (split, images) in enumerate(sizes.items())
    }


def distinct_test_images(data: Glyphs | Digits) -> int:
    """How many different images judge a network."""
    return EVALUATED["test"] // (4 if isinstance(data, Digits) else 1)


def _repeated(batch: Batch, times: int) -> Batch:
    return Batch(*(np.concatenate([x] * times) for x in batch))


def _drawn(data: Glyphs, images: int, seed: int) -> Batch:
    distortion = glyphs.Distortion((0.7, 0.95), data.degrees, 0.06, data.noise)
    characters = glyphs.CHARACTERS[: data.classes]
    clean = glyphs.draw(images, data.input_size, seed, distortion, characters)
    rng = np.random.default_rng([seed, 1])
    pixels = occluded(rng, np.asarray(clean.images), data.occlusion)
    return Batch(coloured(rng, pixels, data.colour), clean.labels)


def occluded(
    rng: np.random.Generator, images: Float[np.ndarray, "N H W C"], share: float
) -> Float[np.ndarray, "N H W C"]:
    """A square in a random place of every image set to the mean, 0."""
    side = images.shape[1]
    hidden = round(share * side)
    corners = rng.integers(side - hidden + 1, size=(len(images), 2, 1))
    rows, columns = np.moveaxis(corners, 1, 0)
    places = np.arange(side)
    inside = (places >= rows) & (places < rows + hidden)
    across = (places >= columns) & (places < columns + hidden)
    keep = ~(inside[:, :, None] & across[:, None, :])
    return images * keep[..., None]


def coloured(
    rng: np.random.Generator, images: Float[np.ndarray, "N H W 1"], colour: str
) -> Float[np.ndarray, "N H W C"]:
    """Ink and paper in random colours: x becomes x * ink + paper, 3 channels.

    Both are uniform in [-1, 1] per channel and image where `colour` names them, else 1
    and 0. Grey images stay `[N H W 1]`.
    """
    if not colour:
        return images
    shape = (len(images), 1, 1, 3)
    ink = rng.uniform(-1, 1, shape) if "ink" in colour else np.ones(shape)
    paper = rng.uniform(-1, 1, shape) if "paper" in colour else np.zeros(shape)
    return (images * ink + paper).astype(np.float32)
