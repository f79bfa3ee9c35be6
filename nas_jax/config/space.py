"""Search spaces, as frozen dataclasses. No JAX."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval

from nas_jax.config.checks import LARGEST, MOST_LAYERS, require
from nas_jax.config.from_json import require_types

MBCONV_CANDIDATES = (
    *(f"mb{expansion}_k{kernel}" for kernel in (3, 5, 7) for expansion in (3, 6)),
    "zero",
)
ELASTIC_CANDIDATES = (
    *(f"mb{expansion}_k{kernel}" for kernel in (3, 5) for expansion in (2, 4, 6)),
    "zero",
)
TREE_CANDIDATES = (
    "identity",
    *(f"sep_k{kernel}" for kernel in (3, 5, 7)),
    *(f"{kind}_k3" for kind in ("dil", "avg", "max")),
)
MOST_CANDIDATES = 100
Size = Annotated[int, Interval(ge=1, le=LARGEST)]
Classes = Annotated[int, Interval(ge=2, le=LARGEST)]
Epsilon = Annotated[float, Interval(gt=0, lt=1)]
ActivationName = Literal["relu6", "relu", "hard_swish", "silu", "none"]
HiddenForm = Literal["bias", "bn", "plain"]
"""What comes with the convolution between pooling and the linear layer."""
Padding = Literal["centre", "same"]
"""Of a k x k convolution that moves by s: k//2 on every side, as PyTorch's; or, as
TensorFlow's, what ceil(side / s) outputs need, an odd one at the end."""
Stride = Annotated[int, Interval(ge=1, le=2)]
RequiredCells = Annotated[int, Interval(ge=0, le=MOST_LAYERS)]


def _require_candidates(names: tuple[str, ...]) -> None:
    fits = len(set(names)) == len(names) and 0 < len(names) <= MOST_CANDIDATES
    expected = f"distinct names, 1 to {MOST_CANDIDATES}"
    require(fits, "space.candidates", expected, names)


def _require_stages(space: "SpaceConfig | ElasticConfig", of_widths: str) -> None:
    widths = getattr(space, of_widths)
    stages = (len(widths), len(space.cells), len(space.strides))
    require(
        len(set(stages)) == 1 and stages[0] > 0,
        f"space.{of_widths}, space.cells, space.strides",
        "one value per stage in each",
        stages,
    )
    require(
        sum(space.cells) <= MOST_LAYERS,
        "space.cells",
        f"at most {MOST_LAYERS} layers",
        space.cells,
    )
    require(
        len(space.hand_designed) in (0, sum(space.cells)),
        "space.hand_designed",
        f"one operation for each of {sum(space.cells)} layers, or none",
        space.hand_designed,
    )
    offered = space.stage_candidates
    require(
        len(offered) in (0, len(space.cells)) and all(offered),
        "space.stage_candidates",
        f"candidates for each of {len(space.cells)} stages, or none",
        offered,
    )
    others = {name for stage in offered for name in stage} - {*space.candidates}
    require(
        not others and all(len({*stage}) == len(stage) for stage in offered),
        "space.stage_candidates",
        "distinct names out of space.candidates",
        sorted(others) or offered,
    )


@dataclass(frozen=True)
class EndsConfig:
    """What stands before and after the layers of a mobile network."""

    stem_activation: ActivationName = "relu6"
    """After the first convolution."""
    head_activation: ActivationName = "relu6"
    """After the last convolution before pooling."""
    hidden_channels: Size | None = None
    """Width of a layer between pooling and the linear one; None leaves it out."""
    hidden_form: HiddenForm = "bias"
    """What that layer has besides its weights: a bias, BN, or nothing."""
    hidden_activation: ActivationName = "hard_swish"
    """After that layer."""

    def __post_init__(self) -> None:
        require_types(self, "space.ends.")


@dataclass(frozen=True)
class SpaceConfig:
    """A MobileNetV2-like space; the defaults are the paper's ImageNet space.

    Stem, optionally a fixed first block of expansion 1, then `cells[i]` searchable
    layers of width `stage_widths[i]` per stage, a 1x1 convolution and a classifier.
    Widths are multiplied by `width_mult` and rounded to multiples of 8.
    """

    name: str = "imagenet_mobile"
    """Of the space, in reports and messages."""
    input_size: Size = 224
    """Side of the images in pixels."""
    input_channels: Size = 3
    """Channels of the images: 1 for grey, 3 for colour."""
    classes: Classes = 1000
    """How many classes there are."""
    stem_channels: Size = 32
    """Width of the first convolution."""
    stem_stride: Stride = 2
    """Stride of the first convolution."""
    first_block_channels: Size | None = 16
    """Width of the fixed first block; None leaves the block out."""
    stage_widths: tuple[Size, ...] = (24, 40, 80, 96, 192, 320)
    """Width of the layers of each stage."""
    cells: tuple[Size, ...] = (4, 4, 4, 4, 4, 1)
    """Searchable layers of each stage."""
    strides: tuple[Stride, ...] = (2, 2, 2, 1, 2, 1)
    """Stride of the first cell of each stage."""
    candidates: tuple[str, ...] = MBCONV_CANDIDATES
    """Candidate operations; `zero` is offered only where the shortcut exists."""
    head_channels: Size = 1280
    """Width of the last convolution, before the classifier."""
    width_mult: Annotated[float, Interval(gt=0, le=100)] = 1.0
    """Factor of all widths."""
    bn_eps: Epsilon = 1e-3
    """Epsilon of every batch normalisation: that of the weights to start from."""
    padding: Padding = "centre"
    """Of convolutions: k//2 on every side, or as TensorFlow's; that of the weights."""
    hand_designed: tuple[str, ...] = ()
    """Operations of the network to compare with, one per layer; of none, 3x3 kernels
    with expansion 6 everywhere."""
    stage_candidates: tuple[tuple[str, ...], ...] = ()
    """Those of `candidates` that each stage offers; of none, all in every stage."""
    required_cells: RequiredCells = 0
    """How many of a stage's first cells `zero` does not leave out."""
    ends: EndsConfig = field(default_factory=EndsConfig)
    """What stands before and after the layers."""

    def __post_init__(self) -> None:
        require_types(self, "space.")
        _require_stages(self, "stage_widths")
        _require_candidates(self.candidates)


@dataclass(frozen=True)
class ElasticConfig:
    """A mobile space in which image side and widths are choices, beside operations.

    One choice of side, stem and stage widths is a *shape*: a space as `SpaceConfig`
    describes it. Widths never fall from one stage to the next. How deep a stage is
    follows from `zero`, which leaves a layer out.
    """

    name: str = "elastic"
    """Of the space, in reports and messages."""
    input_sizes: tuple[Size, ...] = (160, 192, 224)
    """Sides of the images in pixels, among which a network has one."""
    input_channels: Size = 3
    """Channels of the images: 1 for grey, 3 for colour."""
    classes: Classes = 1000
    """How many classes there are."""
    stem_widths: tuple[Size, ...] = (16, 24, 32)
    """Widths of the first convolution."""
    stem_stride: Stride = 2
    """Stride of the first convolution."""
    first_block_channels: Size | None = None
    """Width of a fixed first block of expansion 1; None leaves the block out."""
    stage_choices: tuple[tuple[Size, ...], ...] = (
        *((16, 24), (24, 32, 40), (40, 64, 80), (80, 96, 128)),
        *((128, 160, 192), (192, 256, 320)),
    )
    """Widths of each stage, among which a network has one."""
    cells: tuple[Size, ...] = (1, 3, 3, 4, 4, 1)
    """Searchable layers of each stage, at most."""
    strides: tuple[Stride, ...] = (1, 2, 2, 2, 1, 2)
    """Stride of the first cell of each stage."""
    candidates: tuple[str, ...] = ELASTIC_CANDIDATES
    """Candidate operations; `zero` is offered only where the shortcut exists."""
    head_channels: Size = 1280
    """Width of the last convolution, before the classifier."""
    bn_eps: Epsilon = 1e-3
    """Epsilon of every batch normalisation: that of the weights to start from."""
    padding: Padding = "centre"
    """Of convolutions: k//2 on every side, or as TensorFlow's; that of the weights."""
    hand_designed: tuple[str, ...] = ()
    """Operations of the network to compare with, one per layer; of none, 3x3 kernels
    with expansion 6 everywhere."""
    stage_candidates: tuple[tuple[str, ...], ...] = ()
    """Those of `candidates` that each stage offers; of none, all in every stage."""
    required_cells: RequiredCells = 0
    """How many of a stage's first cells `zero` does not leave out."""
    ends: EndsConfig = field(default_factory=EndsConfig)
    """What stands before and after the layers."""

    def __post_init__(self) -> None:
        require_types(self, "space.")
        _require_stages(self, "stage_choices")
        for name, every in (
            ("input_sizes", (self.input_sizes,)),
            ("stem_widths", (self.stem_widths,)),
            ("stage_choices", self.stage_choices),
        ):
            require(
                all(one and (*sorted({*one}),) == one for one in every),
                f"space.{name}",
                "one or more numbers in each, rising",
                getattr(self, name),
            )
        _require_candidates(self.candidates)

    @property
    def input_size(self) -> int:
        """Side of the images of the middle shape."""
        return self.middle.input_size

    @property
    def middle(self) -> SpaceConfig:
        """The shape of middle side and widths."""
        every = (self.input_sizes, self.stem_widths, *self.stage_choices)
        side, stem, *widths = (choices[len(choices) // 2] for choices in every)
        return self.shape(side, stem, tuple(widths))

    def shape(self, side: int, stem: int, widths: tuple[int, ...]) -> SpaceConfig:
        """One shape, as a space of its own."""
        return SpaceConfig(
            name=self.name,
            input_size=side,
            input_channels=self.input_channels,
            classes=self.classes,
            stem_channels=stem,
            stem_stride=self.stem_stride,
            first_block_channels=self.first_block_channels,
            stage_widths=widths,
            cells=self.cells,
            strides=self.strides,
            candidates=self.candidates,
            head_channels=self.head_channels,
            bn_eps=self.bn_eps,
            padding=self.padding,
            hand_designed=self.hand_designed,
            stage_candidates=self.stage_candidates,
            required_cells=self.required_cells,
            ends=self.ends,
        )


@dataclass(frozen=True)
class OwnSpace:
    """A space that an experiment's file builds itself, made by `builders.own`.

    It tells the space apart and does not describe it: a run keeps the file.
    """

    name: str
    """Of the space."""
    input_size: Size
    """Side of the images in pixels."""
    input_channels: Size
    """Channels of the images."""
    classes: Size
    """How many classes there are."""
    candidates: tuple[str, ...]
    """Names of all operations that a layer offers."""
    digest: str
    """Of all its layers and parts."""

    def __post_init__(self) -> None:
        require_types(self, "space.")
        _require_candidates(self.candidates)


@dataclass(frozen=True)
class TreeConfig:
    """A PyramidNet of tree cells; the defaults are the paper's CIFAR-10 space.

    Three stages of cells whose widths grow evenly; 12 operations are open in each cell.
    """

    name: str = "cifar10_tree"
    """Of the space, in reports and messages."""
    input_size: Size = 32
    """Side of the images in pixels."""
    input_channels: Size = 3
    """Channels of the images: 1 for grey, 3 for colour."""
    classes: Classes = 10
    """How many classes there are."""
    stem_channels: Size = 16
    """Width of the first convolution."""
    cells_per_stage: Annotated[int, Interval(ge=1, le=MOST_LAYERS // 36)] = 18
    """B of the paper."""
    last_channels: Size = 400
    """F of the paper: the width of the last block."""
    candidates: tuple[str, ...] = TREE_CANDIDATES
    """Operations open in each cell."""

    def __post_init__(self) -> None:
        require_types(self, "space.")
        require(
            4 <= self.input_size <= LARGEST and self.input_size % 4 == 0,
            "space.input_size",
            "a multiple of 4 (the side is halved twice)",
            self.input_size,
        )
        require(
            self.last_channels >= 8 and self.last_channels % 8 == 0,
            "space.last_channels",
            "a multiple of 8 (a quarter of it, even, is the width inside)",
            self.last_channels,
        )
        widest_start = min(64, self.last_channels)
        require(
            self.stem_channels <= widest_start,
            "space.stem_channels",
            f"at most {widest_start}, where the first cell begins",
            self.stem_channels,
        )
        _require_candidates(self.candidates)


AnySpace = SpaceConfig | ElasticConfig | TreeConfig | OwnSpace
"""What an experiment may search."""
