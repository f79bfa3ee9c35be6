"""All configuration, as frozen dataclasses. Importing this module imports no JAX.

An experiment file builds one `Experiment` in its `get_config()`; the command line
overrides single fields (`--search.target-ratio 0.6`). Values are checked here, where
they are made, so that a mistake is reported before anything is loaded or compiled.
Durations are in epochs, times in milliseconds, widths in channels.
"""

from dataclasses import dataclass, field
from typing import Literal

from nas_jax.checks import LARGEST, MOST_LAYERS, SEEDS, require_numbers
from nas_jax.checks import require as _require
from nas_jax.data_config import DataConfig
from nas_jax.devices_config import DevicesConfig
from nas_jax.search_config import SearchConfig

MBCONV_CANDIDATES = (
    "mb3_k3",
    "mb6_k3",
    "mb3_k5",
    "mb6_k5",
    "mb3_k7",
    "mb6_k7",
    "zero",
)


_SIZE = f"a positive integer, at most {LARGEST:,}"
MOST_CANDIDATES = 100
_CLASSES = f"at least 2, at most {LARGEST:,}"


@dataclass(frozen=True)
class SpaceConfig:
    """A MobileNetV2-like space; the defaults are the paper's ImageNet space.

    Stem, optionally a fixed first block of expansion 1, then `cells[i]` searchable
    layers of width `stage_widths[i]` per stage, a 1x1 convolution and a classifier.
    Widths are multiplied by `width_mult` and rounded to multiples of 8.
    """

    name: str = "imagenet_mobile"
    input_size: int = 224
    input_channels: int = 3
    classes: int = 1000
    stem_channels: int = 32
    stem_stride: int = 2
    first_block_channels: int | None = 16
    """Width of the fixed first block; None leaves the block out."""
    stage_widths: tuple[int, ...] = (24, 40, 80, 96, 192, 320)
    cells: tuple[int, ...] = (4, 4, 4, 4, 4, 1)
    strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1)
    """Stride of the first cell of each stage."""
    candidates: tuple[str, ...] = MBCONV_CANDIDATES
    """Candidate operations; `zero` is offered only where the shortcut exists."""
    head_channels: int = 1280
    width_mult: float = 1.0

    def __post_init__(self) -> None:
        for name in ("input_size", "input_channels", "stem_channels", "head_channels"):
            value = getattr(self, name)
            _require(1 <= value <= LARGEST, f"space.{name}", _SIZE, value)
        first = self.first_block_channels
        fits = first is None or 1 <= first <= LARGEST
        _require(fits, "space.first_block_channels", f"{_SIZE}, or None", first)
        _require(2 <= self.classes <= LARGEST, "space.classes", _CLASSES, self.classes)
        _require(
            self.stem_stride in (1, 2), "space.stem_stride", "1 or 2", self.stem_stride
        )
        scale = self.width_mult
        _require(0 < scale <= 100, "space.width_mult", "above 0, at most 100", scale)
        stages = (len(self.stage_widths), len(self.cells), len(self.strides))
        _require(
            len(set(stages)) == 1 and stages[0] > 0,
            "space.stage_widths, space.cells, space.strides",
            "one value per stage in each",
            stages,
        )
        for name in ("stage_widths", "cells"):
            values = getattr(self, name)
            fits = min(values) >= 1 and max(values) <= LARGEST
            _require(fits, f"space.{name}", f"each {_SIZE}", values)
        _require(
            sum(self.cells) <= MOST_LAYERS,
            "space.cells",
            f"at most {MOST_LAYERS} layers",
            self.cells,
        )
        _require(
            set(self.strides) <= {1, 2}, "space.strides", "1 or 2 each", self.strides
        )
        _require(
            len(set(self.candidates)) == len(self.candidates) > 0
            and len(self.candidates) <= MOST_CANDIDATES,
            "space.candidates",
            f"distinct names, 1 to {MOST_CANDIDATES}",
            self.candidates,
        )


TREE_CANDIDATES = (
    "identity",
    "sep_k3",
    "sep_k5",
    "sep_k7",
    "dil_k3",
    "avg_k3",
    "max_k3",
)


@dataclass(frozen=True)
class TreeConfig:
    """A PyramidNet of tree cells; the defaults are the paper's CIFAR-10 space.

    Three stages of cells whose widths grow evenly; 12 operations are open in each cell.
    """

    name: str = "cifar10_tree"
    input_size: int = 32
    input_channels: int = 3
    classes: int = 10
    stem_channels: int = 16
    cells_per_stage: int = 18
    """B of the paper."""
    last_channels: int = 400
    """F of the paper: the width of the last block."""
    candidates: tuple[str, ...] = TREE_CANDIDATES

    def __post_init__(self) -> None:
        for name in ("input_channels", "stem_channels", "last_channels"):
            value = getattr(self, name)
            _require(1 <= value <= LARGEST, f"space.{name}", _SIZE, value)
        most = MOST_LAYERS // 36  # three stages, 12 open operations a cell
        _require(
            1 <= self.cells_per_stage <= most,
            "space.cells_per_stage",
            f"a positive integer, at most {most}",
            self.cells_per_stage,
        )
        _require(2 <= self.classes <= LARGEST, "space.classes", _CLASSES, self.classes)
        _require(
            4 <= self.input_size <= LARGEST and self.input_size % 4 == 0,
            "space.input_size",
            "a multiple of 4 (the side is halved twice)",
            self.input_size,
        )
        _require(
            self.last_channels >= 8 and self.last_channels % 8 == 0,
            "space.last_channels",
            "a multiple of 8 (a quarter of it, even, is the width inside)",
            self.last_channels,
        )
        widest_start = min(64, self.last_channels)
        _require(
            self.stem_channels <= widest_start,
            "space.stem_channels",
            f"at most {widest_start}, where the first cell begins",
            self.stem_channels,
        )
        _require(
            len(set(self.candidates)) == len(self.candidates) > 0
            and len(self.candidates) <= MOST_CANDIDATES,
            "space.candidates",
            f"distinct names, 1 to {MOST_CANDIDATES}",
            self.candidates,
        )


@dataclass(frozen=True)
class LatencyConfig:
    """Where latencies come from: a stored table, or a measurement on this machine."""

    table: str | None = None
    """Path of a stored table; None measures one before the search."""
    runtime: Literal["onnxruntime"] = "onnxruntime"
    threads: int = 1
    batch: int = 8
    repeats: int = 20
    """Interleaved rounds per entry."""
    loop_ms: float = 1.0
    """Each timed loop lasts at least this long."""
    z: float = 0.0
    """The search counts mean + z standard deviations of every entry."""

    def __post_init__(self) -> None:
        _require(0 <= self.z <= 10, "latency.z", "0 to 10", self.z)
        for name in ("threads", "batch"):
            value = getattr(self, name)
            _require(value >= 1, f"latency.{name}", "a positive integer", value)
        _require(self.repeats >= 3, "latency.repeats", "at least 3", self.repeats)
        _require(self.loop_ms > 0, "latency.loop_ms", "above 0", self.loop_ms)


@dataclass(frozen=True)
class TrainConfig:
    """Training of a derived network."""

    epochs: int = 300
    batch: int = 256
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 4e-5
    label_smoothing: float = 0.1
    start: Literal["scratch", "supernet"] = "scratch"
    """Where the searched network's weights begin: drawn afresh, or kept from the
    supernet with its batch statistics estimated anew. Others always begin afresh."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            value = getattr(self, name)
            _require(value >= 1, f"train.{name}", "a positive integer", value)
        _require(self.lr > 0, "train.lr", "above 0", self.lr)
        _require(
            self.weight_decay >= 0, "train.weight_decay", "0 or more", self.weight_decay
        )
        for name in ("momentum", "label_smoothing"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"train.{name}", "in [0, 1)", value)


@dataclass(frozen=True)
class Experiment:
    """Everything a run depends on; written to `config.json` of its folder."""

    name: str
    seed: int = 0
    space: SpaceConfig | TreeConfig = field(default_factory=SpaceConfig)
    data: DataConfig = field(default_factory=DataConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    devices: DevicesConfig = field(default_factory=DevicesConfig)
    random_networks: int = 1
    """Networks drawn at random at the searched one's latency, trained beside it."""
    checkpoint_every_s: float = 60.0
    """Seconds between two checkpoints of a search or training; they change no result.
    """
    checkpoints_kept: int = 2
    """How many of the newest are kept, and the best of a search beside them."""

    def __post_init__(self) -> None:
        _require(
            bool(self.name) and self.name.replace("_", "").replace("-", "").isalnum(),
            "name",
            "letters, digits, - and _",
            self.name,
        )
        require_numbers(self)
        _require(0 <= self.seed < SEEDS, "seed", "0 or more, below 2^32", self.seed)
        for name in ("checkpoint_every_s", "checkpoints_kept"):
            value = getattr(self, name)
            _require(value > 0, name, "above 0", value)
        _require(
            self.random_networks >= 0,
            "random_networks",
            "0 or more",
            self.random_networks,
        )
        _require(
            self.devices.paths_per_step == 1 or self.search.expectation == "full",
            "devices.paths_per_step",
            "1 with search.expectation 'pair', whose rescale is that of a single pair",
            self.devices.paths_per_step,
        )
        _require(
            self.search.batch <= self.data.train_weights,
            "search.batch",
            f"at most data.train_weights = {self.data.train_weights}",
            self.search.batch,
        )
        _require(
            self.search.arch_batch <= self.data.train_alphas,
            "search.arch_batch",
            f"at most data.train_alphas = {self.data.train_alphas}",
            self.search.arch_batch,
        )
        _require(
            self.search.trials == 1 or self.train.start == "scratch",
            "search.trials",
            "1 with train.start supernet, which knows one network to go on with",
            self.search.trials,
        )
        train_images = self.data.train_weights + self.data.train_alphas
        _require(
            self.train.batch <= train_images,
            "train.batch",
            f"at most data.train_weights + data.train_alphas = {train_images}",
            self.train.batch,
        )

    @property
    def pixels(self) -> int:
        """Of the largest batch."""
        images = max(self.search.batch, self.search.arch_batch, self.train.batch)
        return images * self.space.input_size**2
