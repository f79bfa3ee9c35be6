"""What the enumerated benchmark asks for, by name: space, images, recipe, costs.

Drawn letters, on which settings of the searches were chosen, and photographed garments
in narrower networks of two kernels, on which none was. Both have six searchable layers,
324 networks, and are hard enough that networks differ: see `Spread` in `ranking`.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks import glyphs
from benchmarks.enumerated import garments
from nas_jax.config import shipped
from nas_jax.config.experiment import TrainConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data.batches import Batch
from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.search.cost import CostModel
from nas_jax.search.targets import Costs
from nas_jax.spaces import builders
from nas_jax.spaces.space import SearchSpace

EVALUATION_BATCH = 1000
"""Images that batch statistics are taken over when a network is evaluated."""
TARGET_QUANTILE = 0.5
"""Half of the networks meet the target latency."""


class Task(NamedTuple):
    """What all networks of a space are trained on, and how."""

    name: str
    space: SpaceConfig
    images: dict[str, int]
    """Of each split: training, choosing among trained networks, and truth."""
    origin: dict[str, Any]
    """What the images depend on besides their number and side, ready for JSON."""
    draw: Callable[[dict[str, int]], dict[str, Batch]]
    """Splits of so many images."""
    train: TrainConfig
    """How every network is trained from scratch."""
    table: str
    """Name of the shipped table of latencies."""

    @property
    def steps(self) -> int:
        """Steps of one network's training: the unit of budgets."""
        return self.train.epochs * (self.images["train"] // self.train.batch)


class Given(NamedTuple):
    """A task with its space built, its images drawn and its latencies read."""

    task: Task
    space: SearchSpace
    splits: dict[str, Batch]
    model: CostModel


_DISTORTION = glyphs.Distortion(size=(0.7, 0.95), degrees=4.0, shift=0.05, noise=0.15)


def _letters(images: dict[str, int]) -> dict[str, Batch]:
    """Letters; the seed is the place of the split."""
    return {
        name: glyphs.draw(number, LETTERS.space.input_size, seed, _DISTORTION)
        for seed, (name, number) in enumerate(images.items())
    }


LETTERS = Task(
    name="letters",
    space=SpaceConfig(
        name="enumerated",
        input_size=16,
        input_channels=1,
        classes=glyphs.CLASSES,
        stem_channels=8,
        stem_stride=2,
        first_block_channels=None,
        stage_widths=(16, 24),
        cells=(3, 3),
        strides=(2, 2),
        candidates=("mb1_k3", "mb6_k3", "zero"),
        head_channels=32,
    ),
    images={"train": 3200, "valid": 1000, "test": 4000},
    origin={"distortion": _DISTORTION._asdict()},
    draw=_letters,
    train=TrainConfig(epochs=5, batch=32, lr=0.2),
    table="enumerated_cpu_onnxruntime.json",
)
FASHION = Task(
    name="fashion",
    space=dataclasses.replace(
        LETTERS.space,
        name="enumerated_fashion",
        input_size=garments.SIDE,
        classes=garments.CLASSES,
        stage_widths=(8, 16),
        candidates=("mb1_k3", "mb6_k5", "zero"),
    ),
    images={"train": 4000, "valid": 1000, "test": 5000},
    origin={"images_of": "fashion_mnist"},
    draw=garments.deal,
    train=TrainConfig(epochs=3, batch=32, lr=0.2),
    table="enumerated_fashion_cpu_onnxruntime.json",
)
TASKS = {task.name: task for task in (LETTERS, FASHION)}


@functools.cache
def load(name: str) -> Given:
    """Draws the images of a task and reads its shipped latency table."""
    task = TASKS[name]
    searched = builders.mobile(task.space)
    file = shipped.folder("latency_tables") / task.table
    model = Costs(*tables.costs(tables.load(file), searched, str(file))).model
    return Given(task, searched, task.draw(task.images), model)


def path_macs(searched: SearchSpace, paths: np.ndarray) -> np.ndarray:
    """Multiply-adds of every path `[N L]`, Int64 `[N]`."""
    table, fixed = counts.costs(searched, counts.macs)
    macs = table[np.arange(paths.shape[1]), paths].sum(axis=1) + fixed
    return macs.astype(np.int64)


def target_ms(latencies_ms: np.ndarray) -> float:
    """T: the latency that `TARGET_QUANTILE` of the networks do not exceed."""
    return float(np.quantile(latencies_ms, TARGET_QUANTILE))
