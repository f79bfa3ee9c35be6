"""Space, images and devices of an experiment, checked against each other."""

import functools
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax

from nas_jax.config.data import WATCHED
from nas_jax.config.experiment import Experiment
from nas_jax.data import augment, partition, record, splits
from nas_jax.data.batches import Augment, Split
from nas_jax.data.splits import Loaded
from nas_jax.latency import tables
from nas_jax.networks import parts
from nas_jax.runs import pretrained, targets
from nas_jax.runs.targets import ElasticGoal
from nas_jax.search import baselines, estimators, movement, prune, schedule
from nas_jax.search.loop import SearchData
from nas_jax.search.shared_search import SideData
from nas_jax.search.targets import Targets
from nas_jax.spaces import builders, elastic
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.elastic import ElasticSpace
from nas_jax.spaces.space import SearchSpace
from nas_jax.supernet import shared
from nas_jax.training import devices, optim
from nas_jax.training.devices import Devices
from nas_jax.training.loop import Recipe


@dataclass(frozen=True)
class Setup:
    """An experiment with its space and images loaded."""

    experiment: Experiment
    space: SearchSpace
    splits: dict[str, Split]
    augment: Augment
    label_names: tuple[str, ...] = ()
    """Meanings of the labels, in their order."""
    notes: tuple[str, ...] = ()
    """Remarks on the data for the user, one line each."""
    devices: Devices = devices.PLAIN
    _at: dict[int, "Setup"] = field(default_factory=dict)
    """At other sides, as they were asked for."""

    @functools.cached_property
    def whole(self) -> SearchSpace | ElasticSpace:
        """The space with all its shapes; `space` is the middle one of an elastic."""
        return elastic.whole(self.experiment.space)

    def at(self, side: int) -> "Setup":
        """The same for networks whose images have another side.

        Shifts and cut-outs stay the same share of the side.
        """
        own = self.space.input_shape[0]
        if side == own:
            return self
        if side not in self._at:
            data = self.experiment.data
            data = replace(
                data,
                shift_pixels=round(data.shift_pixels * side / own),
                cutout_pixels=round(data.cutout_pixels * side / own),
            )
            self._at[side] = replace(
                self,
                experiment=replace(self.experiment, data=data),
                splits=splits.at_side(self.splits, side),
                augment=augment.of(data),
                _at={},
            )
        return self._at[side]

    def of(self, network: Architecture) -> "Setup":
        """The same at the side of a network's images."""
        return self.at(network.stem.input_size)

    @property
    def search_data(self) -> SearchData:
        """What a search reads, and its devices."""
        return SearchData(
            self.splits["train_weights"],
            self.splits["train_alphas"].in_bytes(),
            self.splits["valid"],
            self.augment,
            self.devices,
            augment.normalise_of(self.experiment.data),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Weight steps of the search in an epoch."""
        images = len(self.splits["train_weights"].labels)
        return optim.steps_per_epoch(images, self.experiment.search.batch)

    def shared_data(self, side: int) -> SideData:
        """What a shared supernet reads at one side: no alphas need a split."""
        at = self.at(side)
        return SideData(at.recipe.data, at.splits["valid"], at.augment)

    @property
    def recipe(self) -> Recipe:
        """Training on both training splits, which only a search needs apart."""
        both = self.splits["train_weights"].joined(self.splits["train_alphas"])
        train = self.experiment.train
        augmented = augment.of(self.experiment.data, train.augmentation)
        teacher = None
        if train.teacher is not None:
            teacher = pretrained.teacher(Path(train.teacher), self.space)
        return Recipe(train, both, augmented, self.devices, teacher)


def require_experiment(given: Any) -> None:
    """Raises `ValueError` for what is no experiment, as its name."""
    if not isinstance(given, Experiment):
        raise ValueError(
            f"experiment: expected an Experiment, got {given!r:.60}; "
            "nas_jax.load_experiment gives one by its name or file"
        )


def load(experiment: Experiment, on: Devices | None = None) -> Setup:
    """Builds the space and loads the data, checking that they fit each other.

    The devices are `on`, by default those that the experiment asks for.

    Raises `ValueError` if the data cannot be read, or if something does not fit.
    """
    require_experiment(experiment)
    space = builders.build(experiment.space)
    shape, classes = space.input_shape, space.classifier.classes
    loaded = splits.load(experiment.data, shape, classes, experiment.seed)
    return _checked(experiment, space, loaded, on)


def of_run(
    experiment: Experiment,
    folder: Path,
    on: Devices | None = None,
    needed: Collection[str] = partition.SPLITS,
) -> Setup:
    """As `load`, with the splits that the run in a folder began with.

    A run that has no record of its data, as of an older version, has them drawn anew,
    with a note. Raises `ValueError` as `load`, and if a `needed` split is not what it
    was.
    """
    began, data = record.read(folder), experiment.data
    if began is None:
        setup = load(experiment, on)
        line = f"{folder} keeps no list of its data: its splits are drawn anew"
        return replace(setup, notes=(*setup.notes, line))
    if data.path is not None and not Path(data.path).expanduser().exists():
        raise ValueError(
            f"{folder}: expected its data at {data.path}, found none; if they lie "
            "elsewhere now, name the place with --data.path"
        )
    space = builders.build(experiment.space)
    found = splits.recall(data, space.input_shape, experiment.seed, began, needed)
    return _checked(experiment, space, found, on)


def begin(experiment: Experiment, folder: Path) -> Setup:
    """As `of_run`; a run that begins has its data recorded."""
    if record.is_in(folder):
        return of_run(experiment, folder)
    setup = load(experiment)
    if setup.devices.writes:
        path = experiment.data.path
        record.write(folder, record.of(setup.splits, setup.label_names, path))
    return setup


def _checked(
    experiment: Experiment, space: SearchSpace, loaded: Loaded, on: Devices | None
) -> Setup:
    on = devices.of(experiment) if on is None else on
    for name, split in loaded.splits.items():
        _check_split(name, split, space)
    sizes = {name: len(split.labels) for name, split in loaded.splits.items()}
    if {*partition.SPLITS} <= {*sizes}:  # a run may be asked for its test alone
        experiment.require_batches(sizes["train_weights"], sizes["train_alphas"])
    if (
        "valid" in sizes and jax.process_count() > 1
    ):  # otherwise every device may take the whole of it
        devices.require_even({"data.valid": min(sizes["valid"], WATCHED)}, on.count)
    return Setup(
        experiment,
        space,
        loaded.splits,
        augment.of(experiment.data),
        loaded.label_names,
        loaded.notes,
        on,
    )


def _check_split(name: str, split: Split, space: SearchSpace) -> None:
    """Raises `ValueError` if images or labels do not fit the space."""
    if split.image_shape != space.input_shape:
        raise ValueError(
            f"{name}: expected images of shape {space.input_shape} (height, width, "
            f"channels) for space {space.name!r}, got {split.image_shape}; set "
            "space.input_size and space.input_channels"
        )
    classes = space.classifier.classes
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name}: expected labels 0 to {classes - 1} for {classes} classes, got "
            f"labels from {low} to {high}; set space.classes to {high + 1}"
        )


def check(experiment: Experiment) -> None:
    """Raises `ValueError` for what a run would refuse, before anything is written.

    A stored table is checked, and target and limits against it; the run itself checks
    a table that is still to be measured.
    """
    setup, stored = load(experiment), experiment.latency.table
    if (start := experiment.weights) is not None:
        pretrained.check(start, baselines.hand_designed(setup.space))
    for op in setup.space.candidates:
        parts.require_onnx(op)
    if isinstance(setup.whole, ElasticSpace):
        _check_elastic(setup)
        return
    estimators.of(experiment.search)
    prune.require_below_chance(setup.space, experiment.search.prune_below)
    baselines.hand_designed(setup.space)
    schedule.require_arch_steps(experiment.search, setup.steps_per_epoch)
    if stored is None:
        targets.check(experiment.search, setup.space, z=experiment.latency.z)
    else:
        resolve_targets(setup, tables.load(stored))


def _check_elastic(setup: Setup) -> None:
    """As `check`, of a search among several shapes."""
    baselines.hand_designed(setup.space)
    # without warm-up the networks that are drawn have weights of their own
    has_supernet = setup.experiment.search.warmup_epochs > 0
    for op in setup.space.candidates:
        if has_supernet and not shared.can_share(op):
            raise ValueError(
                f"space.candidates: expected mb2_k3 and the like or zero, which share "
                f"weights in an elastic space, got {op.name}; set search.warmup_epochs "
                "to 0, so that networks are compared by trainings alone"
            )
    if setup.devices.count > 1:
        raise ValueError(
            "devices.data: expected 1 with an elastic space, whose supernet trains on "
            f"one device, got {setup.devices.count}; set --devices.data 1"
        )
    stored, search = setup.experiment.latency.table, setup.experiment.search
    targets.require_target(search)
    if stored is None:
        assert isinstance(setup.whole, ElasticSpace)
        targets.elastic_bounds(search, setup.whole, None)
    else:
        elastic_goal(setup, tables.load(stored))


def warnings(setup: Setup) -> tuple[str, ...]:
    """What a search would be told of its target; nothing before a table is there."""
    stored = setup.experiment.latency.table
    if stored is None:
        return ()
    table = tables.load(stored)
    if isinstance(setup.whole, ElasticSpace):
        return elastic_goal(setup, table).warnings
    return tuple(resolve_targets(setup, table).warnings)


def elastic_goal(setup: Setup, table: tables.LatencyTable) -> ElasticGoal:
    """The target of an elastic space by this table; `ValueError` if out of reach."""
    assert isinstance(setup.whole, ElasticSpace)
    config = setup.experiment.latency
    tables.require_bits(table, config, config.table or "the measured table")
    return targets.of_elastic(
        setup.experiment.search,
        setup.whole,
        table,
        origin=config.table or "the measured table",
        z=config.z,
    )


def resolve_targets(setup: Setup, table: tables.LatencyTable | None = None) -> Targets:
    """The targets of an experiment by this table; `ValueError` if out of reach.

    Targets in multiply-adds or parameters need none. Its warnings say as well if the
    search is too short to come to them.
    """
    config, search, space = (
        setup.experiment.latency,
        setup.experiment.search,
        setup.space,
    )
    origin = config.table or "the measured table"
    if isinstance(setup.whole, ElasticSpace):
        raise ValueError(
            f"experiment {setup.experiment.name!r}: expected a space of one shape, got "
            "one whose widths and sides are choices; nas_jax.run searches it"
        )
    if table is not None:
        tables.require_bits(table, config, origin)
    goal = targets.resolve(search, space, table, origin=origin, z=config.z)
    mask, spent = goal.within(space).mask, goal.are_spent(space)
    short = movement.before(search, setup.steps_per_epoch, mask, goal.limits, spent)
    return replace(goal, warnings=(*goal.warnings, *short))


def check_network(experiment: Experiment, network: Architecture) -> None:
    """Raises `ValueError` if a network does not take the experiment's images."""
    shapes = elastic.whole(experiment.space).shapes
    expected = {(*shape.input_shape, shape.classifier.classes) for shape in shapes}
    got = (*network.input_shape, network.classifier.classes)
    if got not in expected:
        inputs = " or ".join(map(str, sorted(expected)))
        raise ValueError(
            f"architecture {network.name!r}: expected height, width, channels, classes "
            f"{inputs} of experiment {experiment.name!r}, got {got}"
        )
