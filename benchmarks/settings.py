"""What the configurable benches measure. No JAX.

Every size is a field, so that a test runs in seconds what takes minutes in earnest.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from nas_jax.config import families
from nas_jax.config.checks import require
from nas_jax.config.space import SpaceConfig

Part = Literal["time", "memory", "compile", "growth", "torch"]
PARTS: tuple[Part, ...] = ("time", "memory", "compile", "growth", "torch")

LARGEST = "mb6_k7"
"""The candidate that needs most memory: 7x7 kernels, expansion 6."""
CANDIDATES = (
    *(LARGEST, "mb3_k3", "mb6_k3", "mb3_k7", "mb3_k5", "mb6_k5", "zero"),
    *("mb4_k3", "mb4_k5", "mb4_k7", "mb2_k3", "mb2_k5"),
)
"""A set of n candidates is the first n: all hold the largest, 7 are the paper's."""
FEW, MANY = 2, len(CANDIDATES)
AXES = ("candidates", "cells", "batch", "input_size")
"""What `benchmarks scaling` varies: the fields of a `Point`."""


@dataclass(frozen=True)
class EstimatorsConfig:
    """`benchmarks estimators`: gradients on a space small enough to enumerate."""

    with_file: str = ""
    """Experiment whose own estimator is compared with ours."""
    draws: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.draws >= 2, "draws", "at least 2", self.draws)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class EngineConfig:
    """`benchmarks engine`: the paper's space at 96x96 and at 224x224, width 1.0."""

    parts: tuple[Part, ...] = PARTS
    """What is measured; the others are reported as not run."""
    space: SpaceConfig = field(default_factory=lambda: SpaceConfig(input_size=96))
    batch: int = 16
    paths: int = 4
    """Sampled paths that every step goes through in turn."""
    rounds: int = 20
    """How often all calls are timed, each on the whole list of paths."""
    large_input_size: int = 224
    """Side of the images at which the steps are compiled for their memory alone."""
    large_batch: int = 32
    seed: int = 0

    @property
    def pixels(self) -> int:
        """Of a batch."""
        return self.batch * self.space.input_size**2

    def __post_init__(self) -> None:
        for name in ("batch", "paths", "large_input_size", "large_batch"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(self.rounds >= 2, "rounds", "at least 2", self.rounds)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        require(
            len(set(self.parts)) == len(self.parts) > 0,
            "parts",
            f"distinct names of {', '.join(PARTS)}, at least one",
            self.parts,
        )
        _require_largest(self.space)


def _require_largest(space: SpaceConfig) -> None:
    require(
        LARGEST in space.candidates and len(space.candidates) > 1,
        "space.candidates",
        f"{LARGEST!r}, that of the largest network, and another",
        space.candidates,
    )


@dataclass(frozen=True)
class Point:
    """One size of the space and the batch in `benchmarks scaling`."""

    candidates: int = 7
    """How many of `CANDIDATES`."""
    cells: int = 2
    """Searchable layers per stage."""
    batch: int = 8
    input_size: int = 32

    def __post_init__(self) -> None:
        require(
            FEW <= self.candidates <= MANY,
            "candidates",
            f"{FEW} to {MANY}",
            self.candidates,
        )
        for name in ("cells", "batch", "input_size"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)


@dataclass(frozen=True)
class ScalingConfig:
    """`benchmarks scaling`: one of four sizes varies, the others are `base`'s."""

    base: Point = field(default_factory=Point)
    candidates: tuple[int, ...] = (2, 4, 7, 12)
    cells: tuple[int, ...] = (1, 2, 4)
    batch: tuple[int, ...] = (4, 8, 16)
    input_size: tuple[int, ...] = (32, 48, 64)
    stage_widths: tuple[int, ...] = (24,)
    """Every stage halves the side of its input."""
    paths: int = 2
    rounds: int = 10
    seed: int = 0

    @property
    def pixels(self) -> int:
        """Of the largest batch."""
        return max(self.batch) * max(self.input_size) ** 2

    def __post_init__(self) -> None:
        for name in AXES:
            values = getattr(self, name)
            require(
                len(set(values)) == len(values) > 0,
                name,
                "distinct numbers, at least one",
                values,
            )
        require(self.paths >= 1, "paths", "a positive integer", self.paths)
        require(self.rounds >= 2, "rounds", "at least 2", self.rounds)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        # their own checks speak before anything is compiled
        self.points(), self.space(self.base)

    def points(self) -> dict[str, list[Point]]:
        """The points along each axis, in ascending order."""
        return {
            name: [
                dataclasses.replace(self.base, **{name: value})
                for value in sorted(getattr(self, name))
            ]
            for name in AXES
        }

    def space(self, point: Point) -> SpaceConfig:
        """The space of a point: a stem at full resolution, then halving stages."""
        stages = len(self.stage_widths)
        return SpaceConfig(
            name="bench_scaling",
            input_size=point.input_size,
            classes=10,
            stem_channels=16,
            stem_stride=1,
            first_block_channels=None,
            stage_widths=self.stage_widths,
            cells=(point.cells,) * stages,
            strides=(2,) * stages,
            candidates=CANDIDATES[: point.candidates],
            head_channels=64,
        )


@dataclass(frozen=True)
class InputConfig:
    """`benchmarks input`: photographs cut to 224x224, and images of CIFAR."""

    photographs: int = 64
    """Different ones, each decoded once per round."""
    input_size: int = 224
    batch: int = 64
    cifar_batch: int = 1024
    rounds: int = 10
    quarter_steps: int = 8
    """Batches in a quarter of the epoch whose memory is watched."""
    seed: int = 0

    @property
    def pixels(self) -> int:
        """Of a batch."""
        return self.batch * self.input_size**2

    def __post_init__(self) -> None:
        counts = ("photographs", "input_size", "batch", "cifar_batch", "quarter_steps")
        for name in counts:
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(self.rounds >= 2, "rounds", "at least 2", self.rounds)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class ResumeConfig:
    """`benchmarks resume`: a search of about a minute, killed and gone on with."""

    kills: int = 20
    experiment: str = "digits_cpu"
    table: str = "latency_tables/digits_cpu_onnxruntime.json"
    warmup_epochs: int = 60
    joint_epochs: int = 40
    train_epochs: int = 10
    checkpoint_every_s: float = 1.0
    """Often: kills should find many, and some being written."""
    delay_s: float = 0.05
    """At most; between the place in the files and the kill."""
    seed: int = 0
    """Of the moments."""

    def __post_init__(self) -> None:
        require(self.kills >= 1, "kills", "a positive integer", self.kills)
        require(self.delay_s >= 0, "delay_s", "0 or more", self.delay_s)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class Setting:
    """What is tuned of the peer of `benchmarks recipe`."""

    optimiser: Literal["sgd", "adamw"]
    lr: float
    flip: bool = True
    shift_pixels: int = 2


@dataclass(frozen=True)
class RecipeConfig:
    """`benchmarks recipe`: a small network on a part of Fashion-MNIST."""

    folder: str = "/usr/share/datasets/fashion-mnist"
    """Of the original files, as Debian's dataset-fashion-mnist installs them."""
    images: int = 7500
    """To train on, drawn from the training images."""
    tuning_images: int = 5000
    """Others of them, to choose the peer's settings on."""
    epochs: int = 8
    batch: int = 64
    sgd_rates: tuple[float, ...] = (0.1, 0.3)
    adamw_rates: tuple[float, ...] = (4e-3, 1e-2)
    shifts: tuple[int, ...] = (2,)
    """Of pixels; every rate is tried with every one."""
    seeds: int = 3

    def __post_init__(self) -> None:
        for name in ("images", "tuning_images", "epochs", "batch"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(self.seeds >= 2, "seeds", "at least 2", self.seeds)
        require(self.batch <= self.images, "batch", "at most images", self.batch)
        rates = self.sgd_rates + self.adamw_rates
        require(bool(rates and self.shifts), "shifts", "one, and a rate", self.shifts)

    def settings(self) -> list[Setting]:
        """What the peer tries."""
        return [
            setting
            for shift in self.shifts
            for setting in (
                *(Setting("sgd", lr, shift_pixels=shift) for lr in self.sgd_rates),
                *(Setting("adamw", lr, shift_pixels=shift) for lr in self.adamw_rates),
            )
        ]


DRY_RUN_PIXELS = 16_384
"""Of a batch: the most that `benchmarks gpu` takes on a CPU."""


@dataclass(frozen=True)
class GpuConfig:
    """`benchmarks gpu`: the paper's space at 224x224, on one GPU."""

    minutes: float = 9.0
    """No part is begun that may not end by then, nor goes on."""
    space: SpaceConfig = field(default_factory=SpaceConfig)
    batch: int = 256
    """Halved until the steps fit."""
    small_batch: int = 32
    """Of the steps with and without command buffers: what the host waits counts."""
    parity_batch: int = 8
    """Of the logits and gradients that are held against the CPU's."""
    paths: int = 2
    """Sampled paths that every step goes through in turn."""
    rounds: int = 10
    """How often calls are timed."""
    table_repeats: int = 20
    """Rounds of the latency table."""
    search_epochs: int = 100
    """Of the digits, half of them a warm-up."""
    seed: int = 0

    @property
    def pixels(self) -> int:
        """Of a batch."""
        return self.batch * self.space.input_size**2

    def __post_init__(self) -> None:
        for name in ("batch", "small_batch", "parity_batch", "paths"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(self.minutes > 0, "minutes", "above 0", self.minutes)
        require(self.rounds >= 2, "rounds", "at least 2", self.rounds)
        least = self.search_epochs
        require(least >= 4, "search_epochs", "at least 4", least)
        repeats = self.table_repeats
        require(repeats >= 3, "table_repeats", "at least 3", repeats)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
        _require_largest(self.space)


SOAK_EPOCH = 20
"""Weight steps of an epoch of `benchmarks soak`."""


@dataclass(frozen=True)
class SoakConfig:
    """`benchmarks soak`: a search as small as can be, long."""

    steps: int = 10_000
    """Weight steps; rounded up to whole epochs."""
    checkpoint_every_s: float = 2.0
    """Often, so that many are written."""
    seed: int = 0

    def __post_init__(self) -> None:
        least = 8 * SOAK_EPOCH  # two samples in every quarter
        require(self.steps >= least, "steps", f"at least {least}", self.steps)
        every = self.checkpoint_every_s
        require(every > 0, "checkpoint_every_s", "above 0", every)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class LatencyCoverageConfig:
    """`benchmarks latency_coverage`: networks of a space against stated intervals."""

    experiment: str = "fashion_cpu"
    """Whose space and conditions."""
    tables: int = 4
    """Measured, each held against networks of its own session."""
    networks: int = 16
    """Timed with each; those of every other session beside other work."""
    per_session: int = 4
    """Timed together, as at the end of a run."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.tables >= 1, "tables", "1 or more", self.tables)
        require(self.per_session >= 1, "per_session", "1 or more", self.per_session)
        least = 2 * self.per_session
        expected = f"at least {least}, two sessions"
        require(self.networks >= least, "networks", expected, self.networks)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class SpaceStartsConfig:
    """`benchmarks space_starts`: the first start of a search in each space."""

    spaces: tuple[str, ...] = tuple(families.SPACES)
    """Names in `families.SPACES`."""
    input_size: int = 96
    batch: int = 16

    def __post_init__(self) -> None:
        unknown = sorted({*self.spaces} - {*families.SPACES})
        known = ", ".join(families.SPACES)
        require(not unknown, "spaces", f"names of {known}", ", ".join(unknown))
        for name in ("input_size", "batch"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)


@dataclass(frozen=True)
class MemoryConfig:
    """`benchmarks memory`: the predicted peak against what ONNX Runtime holds."""

    published: tuple[str, ...] = (
        *("proxyless_gpu", "proxyless_cpu", "proxyless_mobile", "proxyless_mobile_14"),
        *("mobilenet_v2", "mobilenet_v2_14"),
    )
    experiments: tuple[str, ...] = ("digits_cpu", "fashion_cpu", "own_operation")
    """Whose spaces networks are drawn from, and from the paper's."""
    networks: int = 6
    """Drawn from each."""
    input_size: int = 96
    """Side of the images of published networks and of the paper's space."""
    call_bytes: int = 32_000_000
    """Predicted for a call, by which its number of images is chosen."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.networks >= 0, "networks", "0 or more", self.networks)
        require(self.input_size >= 32, "input_size", "32 or more", self.input_size)
        least = 1_000_000
        expected = f"{least} or more"
        require(self.call_bytes >= least, "call_bytes", expected, self.call_bytes)
        require(self.seed >= 0, "seed", "0 or more", self.seed)


@dataclass(frozen=True)
class ExportConfig:
    """`benchmarks export`: chains of blocks that papers published, as files."""

    networks: tuple[str, ...] = (
        "proxyless_gpu",
        "proxyless_cpu",
        "proxyless_mobile",
        "mobilenet_v2",
    )
    input_size: int = 224
    batch: int = 1
    threads: int = 1
    rounds: int = 40
    loop_ms: float = 20.0
    """Each timed loop lasts at least this long."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            len(set(self.networks)) == len(self.networks) > 0,
            "networks",
            "distinct names, at least one",
            self.networks,
        )
        for name in ("input_size", "batch", "threads"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        require(self.rounds >= 3, "rounds", "at least 3", self.rounds)
        require(self.loop_ms > 0, "loop_ms", "above 0", self.loop_ms)
        require(self.seed >= 0, "seed", "0 or more", self.seed)
