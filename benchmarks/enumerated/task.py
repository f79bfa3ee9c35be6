"""What the enumerated benchmark asks for: space, letters, recipe, costs.

Six searchable layers, 324 networks. The letters are hard enough that networks differ:
see `Spread` in `ranking`.
"""

import functools
from typing import NamedTuple

import numpy as np

from benchmarks import glyphs
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

SPACE = SpaceConfig(
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
)
DISTORTION = glyphs.Distortion(size=(0.7, 0.95), degrees=4.0, shift=0.05, noise=0.15)
IMAGES = {"train": 3200, "valid": 1000, "test": 4000}
"""Training, choosing among trained networks, and truth; the seed is the place here."""
TRAIN = TrainConfig(epochs=5, batch=32, lr=0.2)
"""How every network is trained from scratch: 500 steps."""
EVALUATION_BATCH = 1000
"""Images that batch statistics are taken over when a network is evaluated."""
TABLE = "enumerated_cpu_onnxruntime.json"
TARGET_QUANTILE = 0.5
"""Half of the networks meet the target latency."""


class Task(NamedTuple):
    """The benchmark's space and data, and the latencies of its candidates."""

    space: SearchSpace
    splits: dict[str, Batch]
    model: CostModel


@functools.cache
def load() -> Task:
    """Draws the letters and reads the shipped latency table."""
    searched = builders.mobile(SPACE)
    splits = {
        name: glyphs.draw(images, SPACE.input_size, seed, DISTORTION)
        for seed, (name, images) in enumerate(IMAGES.items())
    }
    file = shipped.folder("latency_tables") / TABLE
    model = Costs(*tables.costs(tables.load(file), searched, str(file))).model
    return Task(searched, splits, model)


def path_macs(searched: SearchSpace, paths: np.ndarray) -> np.ndarray:
    """Multiply-adds of every path `[N L]`, Int64 `[N]`."""
    table, fixed = counts.costs(searched, counts.macs)
    macs = table[np.arange(paths.shape[1]), paths].sum(axis=1) + fixed
    return macs.astype(np.int64)


def target_ms(latencies_ms: np.ndarray) -> float:
    """T: the latency that `TARGET_QUANTILE` of the networks do not exceed."""
    return float(np.quantile(latencies_ms, TARGET_QUANTILE))
