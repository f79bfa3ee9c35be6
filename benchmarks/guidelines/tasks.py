"""The kinds of tasks that the shipped records are about: some of every source.

A family of the records is a source of pictures (`sources`), so that advice is judged on
tasks of which it has seen no picture. Every task has a seed of its own: it draws the
classes, and which pictures train, choose and judge a network. Of one emoji all styles
are in one of these three.
"""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from benchmarks.guidelines import sources
from benchmarks.guidelines.sources import Places, Pool
from nas_jax.data.batches import Batch

TESTED = (2000, 1000, 500, 400, 200)
"""Different images that judge a network: as many as the pictures allow. A quarter as
many choose between networks."""
EVALUATED = {"valid": TESTED[0] // 4, "test": TESTED[0]}
"""Images of a task; where there are fewer, they are repeated a whole number of times,
so that one compiled program takes all."""


class Task(NamedTuple):
    """A kind of task: of which pictures, how many kinds, how many, how large."""

    source: str
    classes: int
    images_per_class: int
    input_size: int
    seed: int

    @property
    def name(self) -> str:
        """As in `mnist_10x100_28px`: classes, images per class, side."""
        return (
            f"{self.source}_{self.classes}x{self.images_per_class}_{self.input_size}px"
        )


_SIZES = {
    sources.LETTERS: (
        *((10, 20, 16), (10, 100, 16), (10, 100, 28)),
        *((26, 50, 16), (62, 50, 28), (4, 200, 16)),
    ),
    sources.DIGITS: ((10, 20, 16), (10, 50, 16), (10, 50, 28), (5, 60, 16)),
    sources.FASHION: ((10, 50, 16), (10, 100, 28), (10, 500, 28), (5, 200, 16)),
    sources.MNIST: ((10, 50, 16), (10, 100, 28), (10, 200, 16), (4, 50, 28)),
    sources.SILHOUETTES: ((10, 50, 16), (10, 100, 28), (10, 400, 16), (5, 100, 28)),
    sources.EMOJI: ((8, 50, 16), (8, 100, 28), (5, 50, 28), (3, 150, 16)),
}
"""Classes, images per class, side."""
TASKS: tuple[Task, ...] = tuple(
    Task(source, *size, seed)
    for seed, (source, size) in enumerate(
        (source, size) for source, sizes in _SIZES.items() for size in sizes
    )
)


class Data(NamedTuple):
    """The images of a task, and how many different ones judge a network."""

    train: Batch
    valid: Batch
    test: Batch
    test_images: int


@functools.lru_cache(maxsize=4)
def load(task: Task, places: Places) -> Data:
    """The images of a task, normalised by those that train.

    Raises `ValueError` for a source that is not there or has too few pictures.
    """
    rng = np.random.default_rng(task.seed)
    if task.source == sources.LETTERS:
        images = task.classes * task.images_per_class + sum(EVALUATED.values())
        # a class may get one picture more than another
        pool = sources.drawn(
            task.classes, images + 3 * task.classes, task.input_size, task.seed, rng
        )
    else:
        pool = sources.read(task.source, places)
        small = sources.resized(pool.images, task.input_size)
        pool = sources.distinct(pool._replace(images=small))
    tested, chosen = _chosen(task, pool, rng)
    counts = (task.classes * task.images_per_class, tested // 4, tested)
    train, valid, test = split(pool, chosen, counts, rng)
    mean, deviation = train.images.mean(), train.images.std()

    def ready(batch: Batch, times: int) -> Batch:
        images = ((batch.images - mean) / deviation).astype(np.float32)
        return Batch(*(np.concatenate([x] * times) for x in (images, batch.labels)))

    repeats = EVALUATED["test"] // tested
    return Data(ready(train, 1), ready(valid, repeats), ready(test, repeats), tested)


def _chosen(
    task: Task, pool: Pool, rng: np.random.Generator
) -> tuple[int, Int[np.ndarray, "K"]]:
    """How many images judge, and the classes: drawn among those with so many."""
    there = np.bincount(pool.labels)
    # of two groups a picture may be left over
    spare = 2 * (int(np.bincount(pool.groups).max()) - 1)
    for tested in TESTED:
        needed = task.images_per_class + spare
        needed += -(-tested // task.classes) - (-(tested // 4) // task.classes)
        roomy = np.flatnonzero(there >= needed)
        if len(roomy) >= task.classes:
            return tested, rng.permutation(roomy)[: task.classes]
    raise ValueError(
        f"{task.name}: expected {task.classes} classes of {needed} different pictures, "
        f"got {len(roomy)}; the largest have {sorted(there.tolist())[-task.classes :]}"
    )


def split(
    pool: Pool,
    classes: Int[np.ndarray, "K"],
    counts: tuple[int, ...],
    rng: np.random.Generator,
) -> list[Batch]:
    """Batches of so many images in random order, the classes as even as can be.

    The label is the place in `classes`; no group is in two batches.
    """
    parts: list[list[np.ndarray]] = [[] for _ in counts]
    for place, kind in enumerate(classes):
        own = np.flatnonzero(pool.labels == kind)
        order = rng.permutation(np.unique(pool.groups[own]))
        ranks = {group: rank for rank, group in enumerate(order)}
        own = own[np.argsort([ranks[one] for one in pool.groups[own]], kind="stable")]
        for part, count in zip(parts, counts, strict=True):
            share = count // len(classes) + (place < count % len(classes))
            part.append(own[:share])
            last = pool.groups[own[share - 1]]
            own = own[share:]
            own = own[pool.groups[own] != last]
    batches = []
    for part in parts:
        indices = rng.permutation(np.concatenate(part))
        labels = (pool.labels[indices][:, None] == classes).argmax(axis=1)
        batches.append(Batch(pool.images[indices], labels.astype(np.int32)))
    return batches
