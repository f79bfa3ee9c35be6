"""What the benches of found networks measure: how good, for which device. No JAX."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nas_jax.config.checks import require
from nas_jax.config.experiment import SearchedRuntime
from nas_jax.config.space import SpaceConfig


@dataclass(frozen=True)
class EnumerationConfig:
    """`benchmarks enumeration`: every network of an enumerated space, trained."""

    task: Literal["letters", "fashion"] = "letters"
    """Whose space and images."""
    file: Path = Path("networks.jsonl")
    """JSON lines to write; if they are there, what they lack is trained."""
    seeds: tuple[int, ...] = (0, 1)
    """Each network is trained once per seed."""

    def __post_init__(self) -> None:
        _require_seeds(self.seeds, at_least=2)


@dataclass(frozen=True)
class EnumeratedConfig:
    """`benchmarks enumerated`: searches held against the truth; a budget of n buys n
    trainings of one network."""

    task: Literal["letters", "fashion"] = "letters"
    """Whose networks are known."""
    budgets: tuple[int, ...] = (2,)
    seeds: tuple[int, ...] = (0, 1)
    searchers: tuple[str, ...] = ()
    """Which of the registry are run; none given stands for all."""
    file: Path | None = None
    """JSON lines of the runs; if they are there, what they lack is run."""
    recorded: bool = False
    """Print the stored runs of the full grid and run nothing."""

    def __post_init__(self) -> None:
        require(
            len(set(self.budgets)) == len(self.budgets) > 0 and min(self.budgets) > 0,
            "budgets",
            "distinct positive integers, at least one",
            self.budgets,
        )
        _require_seeds(self.seeds, at_least=1)


@dataclass(frozen=True)
class SpecialisationConfig:
    """`benchmarks specialisation`: one space searched under several devices' tables."""

    tables: tuple[str, ...] = (
        "latency_tables/pixel1_tflite.json",
        "latency_tables/imagenet_mobile_cpu_onnxruntime.json",
        "latency_tables/imagenet_mobile_cpu_litert.json",
    )
    """One per device; shipped ones by this name wherever the package is."""
    space: SpaceConfig = field(default_factory=SpaceConfig)
    """What the tables are of."""
    macs: float = 350e6
    """Multiply-adds of every network, to within 1 %: the same size on all devices."""
    above_least: float = 0.01
    """Target of a device: the least latency that a network of this size has there, and
    this share of it more; as strict on one as on another."""
    image_size: int = 64
    """Side of the images that weights and alphas are trained on."""
    images: int = 1040
    """To train the weights, and as many for the alphas."""
    batch: int = 16
    warmup_epochs: int = 6
    joint_epochs: int = 8
    arch_lr: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            len(set(self.tables)) == len(self.tables) >= 2,
            "tables",
            "distinct files, at least two",
            self.tables,
        )
        for name in ("image_size", "images", "batch", "warmup_epochs", "joint_epochs"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        for name in ("arch_lr", "macs", "above_least"):
            value = getattr(self, name)
            require(0 < value < float("inf"), name, "a number above 0", value)
        _require_seeds((self.seed,), at_least=1)


@dataclass(frozen=True)
class LeverageConfig:
    """`benchmarks leverage`: what decides the accuracy of networks of one latency."""

    task: Literal["fashion_mnist", "letters", "pictures"] = "fashion_mnist"
    """Garments, drawn letters, or colour pictures of `path`."""
    path: Path | None = None
    """Pictures in folders of their classes; the whole of Fashion-MNIST."""
    file: Path = Path("leverage.jsonl")
    """JSON lines to write; if they are there, what they lack is trained."""
    table: Path | None = None
    """Latency table to write, or to read if it is there."""
    ratio: float = 0.5
    """Latency of all networks, of the hand-designed one of the middle shape."""
    networks: int = 24
    """Of each space."""
    epochs: int = 8
    """Of each training."""
    repeated: int = 4
    """Networks that are trained with every seed."""
    supernet_epochs: tuple[int, ...] = (1, 2, 4)
    """Of a supernet that all networks share, after which it ranks them; each of its
    steps trains four of them."""
    short_epochs: tuple[int, ...] = (1, 2)
    """Of trainings, of another seed, that rank the networks likewise."""
    seeds: int = 3
    """Of these."""
    seed: int = 0
    """By which networks are drawn."""
    group_pattern: str | None = None
    """Where names of the pictures say what they show."""
    train_images: int | None = None
    """To train with; None for all that are not ranked or tested on."""
    weights: Path | None = None
    """Folder of a network: the only space is that around it, and supernet and trainings
    start from it."""
    side: int = 64
    """Of the images of networks that start from weights."""

    def __post_init__(self) -> None:
        require(0 < self.ratio < 10, "ratio", "a number above 0", self.ratio)
        for name in ("networks", "epochs", "repeated", "seeds"):
            value = getattr(self, name)
            require(value >= 1, name, "a positive integer", value)
        has_path = self.task != "pictures" or self.path is not None
        require(has_path, "path", "a folder of pictures", self.path)


def _require_seeds(seeds: tuple[int, ...], at_least: int) -> None:
    require(
        len(set(seeds)) == len(seeds) >= at_least and min(seeds) >= 0,
        "seeds",
        f"distinct numbers from 0, at least {at_least}",
        seeds,
    )


@dataclass(frozen=True)
class FamiliesConfig:
    """`benchmarks families`: one task, searched with blocks of several families."""

    families: tuple[str, ...] = ("mobilenet_v2", "mobilenet_v3", "mobilenet_v4")
    """Names in `families.BLOCKS`; the first gives the target."""
    runtimes: tuple[SearchedRuntime, ...] = ("onnxruntime", "onnxruntime-int8")
    """Searched for, each with a target of its own."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of splits, draws and trainings."""
    file: Path = Path("families.jsonl")
    """JSON lines to write; seeds that they hold are not repeated."""
    folder: Path = Path("families")
    """Where the runs go."""
    trials: int = 8
    """Networks that are compared in rungs."""
    epochs: int = 4
    """Of a training in full."""


@dataclass(frozen=True)
class PromiseConfig:
    """`benchmarks promise`: whole runs against what a user would do instead."""

    tasks: tuple[str, ...] = ("fashion_mnist", "letters", "pictures")
    """Of these three."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of splits, draws and trainings."""
    path: Path | None = None
    """Colour pictures in folders of their classes, for the task pictures."""
    group_pattern: str | None = None
    """Where names of these files say what they show."""
    file: Path = Path("promise.jsonl")
    """JSON lines to write; runs that they hold are not repeated."""
    folder: Path = Path("promise")
    """Where the runs go."""
    hours: float = 0.25
    """Of each run, planned."""
    largest: int = 64
    """Side of the images, at most."""
    trials: int = 16
    """Networks that are compared in rungs."""
    random_networks: int = 8
    """Of the latency of the searched one, trained in full beside it."""
    scaled_networks: int = 4
    """Ways to scale the hand-designed network."""
    weights: Path | None = None
    """Folder of a network: the space is that around it, and trainings start from it."""
    scratch: bool = False
    """In that space, but from nothing and with the recipe for that."""
    train_images: int | None = None
    """To train with; None for all."""

    def __post_init__(self) -> None:
        require(
            self.weights is not None or not self.scratch,
            "scratch",
            "False without weights, which give the space",
            self.scratch,
        )
        known = ("fashion_mnist", "letters", "pictures")
        require(
            bool(self.tasks) and {*self.tasks} <= {*known},
            "tasks",
            f"some of {', '.join(known)}",
            self.tasks,
        )
        require(
            self.random_networks > 1,
            "random_networks",
            "2 or more",
            self.random_networks,
        )
