"""All configuration, as frozen dataclasses. Importing this module imports no JAX.

An experiment file builds one `Experiment` in its `get_config()`; the command line
overrides single fields (`--search.target-ratio 0.6`). Values are checked here, where
they are made, so that a mistake is reported before anything is loaded or compiled.
Durations are in epochs, times in milliseconds, widths in channels.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from nas_jax.config.checks import (
    EXACT,
    SEEDS,
    Count,
    Fraction,
    Natural,
    NotNegative,
    Positive,
    require,
)
from nas_jax.config.data import DataConfig
from nas_jax.config.from_json import require_types
from nas_jax.config.search import SCRATCH, SearchConfig
from nas_jax.config.space import AnySpace, ElasticConfig, SpaceConfig

SUPERNET = "supernet"
"""The start of a training with the weights of the search."""


def _located(path: str) -> str:
    return str(Path(path).expanduser().absolute())


SearchedRuntime = Literal["onnxruntime", "onnxruntime-int8"]


@dataclass(frozen=True)
class LatencyConfig:
    """Where latencies come from: a stored table, or a measurement on this machine."""

    table: str | None = None
    """Path of a stored table; None measures one before the search."""
    runtime: SearchedRuntime = "onnxruntime"
    """What runs the networks that the search itself measures; with -int8 they are
    quantised to 8-bit integers, timed, compared and tested so."""
    threads: Count = 1
    """Of the processor that a call may use."""
    batch: Count = 8
    """Images in a call; every time and target is of one call."""
    repeats: Annotated[int, Interval(ge=3, lt=EXACT)] = 20
    """Interleaved rounds per entry."""
    loop_ms: Positive = 1.0
    """Each timed loop lasts at least this long."""
    z: Annotated[float, Interval(ge=0, le=10)] = 0.0
    """The search counts mean + z standard deviations of every entry."""

    def __post_init__(self) -> None:
        require_types(self, "latency.")

    @property
    def is_int8(self) -> bool:
        """Whether networks run in 8-bit integers."""
        return self.runtime == "onnxruntime-int8"


@dataclass(frozen=True)
class TrainConfig:
    """Training of a derived network."""

    epochs: Count = 300
    """Passes over both training splits."""
    batch: Count = 256
    """Images in a training step."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with Nesterov's momentum, whose decay joins the gradient; or AdamW."""
    lr: Positive = 0.05
    """The highest learning rate; it falls as a cosine."""
    warmup_epochs: NotNegative = 0.0
    """Before it falls, the rate rises from 0 in a line, for so long."""
    momentum: Fraction = 0.9
    """Of SGD; of AdamW, its beta1."""
    weight_decay: NotNegative = 4e-5
    """Of what `decays`; AdamW multiplies it by the learning rate alone."""
    decays: Literal["all", "weights"] = "all"
    """What decays: all parameters, or the weights of convolutions and linear layers
    without biases and batch normalisation."""
    ema_epochs: NotNegative = 0.0
    """So many epochs reaches the moving average of weights and batch statistics that
    is tested and exported; 0 for the last weights themselves."""
    label_smoothing: Fraction = 0.1
    """Share of a label that is spread over all classes."""
    dropout: Fraction = 0.0
    """Share of the classifier's inputs that a step leaves out."""
    augmentation: Literal["data", "strong_jitter", "trivial"] = "data"
    """What data says; instead of its colour jitter the reference's strong one
    (0.4, 0.4, 0.4, hue 0.1); or, instead of it, TrivialAugment. The search itself
    always does what data says."""
    mixup_alpha: NotNegative = 0.0
    """Images are blended in pairs, by a share from Beta(alpha, alpha); 0 for none."""
    cutmix_alpha: NotNegative = 0.0
    """Likewise a box of one is put into the other; beside mixup, each for half of the
    images."""
    class_weights: Literal["none", "balanced"] = "none"
    """What counts the same in the loss: every image, or every class, however few its
    images (docs/data.md). The search itself does not weigh."""
    start: str = SCRATCH
    """Initial weights: scratch, drawn at random; supernet, for the derived network (of
    an elastic space, for all that are tried) the supernet's, for others those of
    `search.start`; or a folder that `nas_jax import` wrote, or of a trained network,
    from which those of every network are cut."""
    teacher: str | None = None
    """Folder of a network, trained on the same data, whose answers join the labels."""
    distillation: Fraction = 0.5
    """Share of the loss that is the cross-entropy with the teacher's answers."""
    frozen_epochs: NotNegative = 0.0
    """So long the classifier alone is trained, before all is."""
    layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Rate of a layer over that of the next one: below 1, layers near the images keep
    more of the weights they start from. The classifier has the whole rate."""

    def __post_init__(self) -> None:
        require_types(self, "train.")
        require(self.start != "", "train.start", "scratch, supernet or a folder", "")
        require(
            self.frozen_epochs < self.epochs,
            "train.frozen_epochs",
            f"less than train.epochs = {self.epochs}",
            self.frozen_epochs,
        )
        require(
            self.warmup_epochs < self.epochs,
            "train.warmup_epochs",
            f"less than train.epochs = {self.epochs}",
            self.warmup_epochs,
        )

    def lasting(self, epochs: int) -> "TrainConfig":
        """The recipe in another time: warm-up and average keep their share of it.

        >>> TrainConfig(epochs=40, warmup_epochs=4.0).lasting(10).warmup_epochs
        1.0
        """
        share = epochs / self.epochs
        return replace(
            self,
            epochs=epochs,
            warmup_epochs=share * self.warmup_epochs,
            ema_epochs=share * self.ema_epochs,
            frozen_epochs=share * self.frozen_epochs,
        )

    @property
    def weights(self) -> Path | None:
        """The folder of the weights that trainings start from, if they do."""
        return None if self.start in (SCRATCH, SUPERNET) else Path(self.start)


@dataclass(frozen=True)
class DevicesConfig:
    """Devices of the search and of the trainings; docs/devices.md."""

    backend: Literal["any", "cpu", "gpu", "tpu"] = "any"
    """Where JAX has to compute: what is not there is refused, where JAX itself would
    go on with the CPU. any leaves the choice to it."""
    data: Count | None = None
    """How many devices share every batch; None for all that JAX sees."""
    accumulate: Count = 1
    """Parts into which each batch is cut, one computed after the other in the memory
    of one; their gradients are averaged before the one update. Batch normalisation
    sees a part at a time, and its running values move with each."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations and of what multiplies them. Parameters, batch statistics,
    logits, losses and optimisers are float32 in any case."""
    paths_per_step: Count = 1
    """How many samples an architecture step averages over: 1, or one for each device,
    which computes it on its own part of the batch."""

    def __post_init__(self) -> None:
        require_types(self, "devices.")


@dataclass(frozen=True)
class Experiment:
    """Everything a run depends on; written to `config.json` of its folder."""

    name: str
    """Of the run folder, and in reports."""
    seed: Annotated[int, Interval(ge=0, lt=SEEDS)] = 0
    """Of everything that is drawn: splits, weights, paths, augmentation."""
    space: AnySpace = field(default_factory=SpaceConfig)
    data: DataConfig = field(default_factory=DataConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    devices: DevicesConfig = field(default_factory=DevicesConfig)
    random_networks: Natural = 1
    """Networks drawn at random at the latency of the derived one, trained as it is."""
    scaled_networks: Natural = 0
    """Ways to scale the hand-designed network to that latency, in width, depth,
    expansion or side, that are compared in rungs; the best one stays."""
    about: str = ""
    """A line about it, for the end of its run and its report."""
    checkpoint_every_s: Positive = 60.0
    """Seconds between two checkpoints of a search or training; they change no result.
    """
    checkpoints_kept: Count = 2
    """Newest checkpoints that are kept, besides the best of a search."""

    def __post_init__(self) -> None:
        require_types(self)
        require(
            bool(self.name) and self.name.replace("_", "").replace("-", "").isalnum(),
            "name",
            "letters, digits, - and _",
            self.name,
        )
        require(
            self.devices.paths_per_step == 1 or self.search.expectation == "full",
            "devices.paths_per_step",
            "1 with search.expectation 'pair', whose rescale is that of a single pair",
            self.devices.paths_per_step,
        )
        require(
            self.search.trials == 1
            or self.train.start != SUPERNET
            or isinstance(self.space, ElasticConfig),
            "search.trials",
            "1 with train.start supernet, which has weights for one network alone",
            self.search.trials,
        )
        require(
            self.data.name != "digits" or self.train.augmentation == "data",
            "train.augmentation",
            "'data' with the digits, which are no bytes",
            self.train.augmentation,
        )
        self._require_fitting_search()
        self.require_batches(self.data.train_weights, self.data.train_alphas)

    def _require_fitting_search(self) -> None:
        """Raises `ValueError` for a search of another kind of space."""
        if not isinstance(self.space, ElasticConfig):
            joint = self.search.joint_epochs
            require(joint > 0, "search.joint_epochs", "1 or more", joint)
            return
        require(
            self.search.joint_epochs == 0,
            "search.joint_epochs",
            "0 with an elastic space, whose networks share weights",
            self.search.joint_epochs,
        )
        is_trained = self.search.warmup_epochs > 0
        for name, start, is_fitting, wanted in (
            ("search", self.search.start, self.search.start == SCRATCH, "scratch"),
            ("train", self.train.start, self.train.start != SUPERNET, "a folder"),
        ):
            require(
                is_trained or is_fitting,
                f"{name}.start",
                f"{wanted} with an elastic space and search.warmup_epochs 0, which "
                "trains no supernet",
                start,
            )
        require(
            self.data.name != "digits",
            "data.name",
            "pictures with an elastic space, which come at several sides",
            self.data.name,
        )

    def require_batches(self, weights: int | None, alphas: int | None) -> None:
        """Raises `ValueError` for a batch that is larger than its training split.

        A split that takes the rest, None, is known once the data are loaded.
        """
        both = None if weights is None or alphas is None else weights + alphas
        batches = [
            (
                "train.batch",
                self.train.batch,
                "train_weights + data.train_alphas",
                both,
            )
        ]
        if self.search.joint_epochs:
            batches += [
                ("search.batch", self.search.batch, "train_weights", weights),
                ("search.arch_batch", self.search.arch_batch, "train_alphas", alphas),
            ]
        for name, batch, split, images in batches:
            if images is not None:
                expected = f"at most data.{split} = {images}"
                require(batch <= images, name, expected, batch)

    def located(self) -> "Experiment":
        """With full paths of data and weights, which hold wherever a run goes on."""
        data, search, train = self.data, self.search, self.train
        if data.path is not None:
            data = replace(data, path=_located(data.path))
        if train.weights is not None:
            train = replace(train, start=_located(train.start))
        if train.teacher is not None:
            train = replace(train, teacher=_located(train.teacher))
        if search.weights is not None:
            search = replace(search, start=_located(search.start))
        return replace(self, data=data, search=search, train=train)

    @property
    def weights(self) -> Path | None:
        """The folder of the weights that the supernet or trainings start from."""
        return self.train.weights or self.search.weights

    @property
    def reference(self) -> str:
        """What the network `baseline` is: hand-designed, or given with its weights."""
        space = self.space
        has_own = isinstance(space, SpaceConfig | ElasticConfig) and space.hand_designed
        return "given" if self.weights and has_own else "hand-designed"

    @property
    def pixels(self) -> int:
        """Of the largest batch."""
        images = max(self.search.batch, self.search.arch_batch, self.train.batch)
        sides: tuple[int, ...] = (self.space.input_size,)
        if isinstance(self.space, ElasticConfig):
            sides = self.space.input_sizes
        return images * max(sides) ** 2
