"""Training of a plain network from scratch, and its evaluation.

The same shape as the search: a jitted step `(state, batch) -> (state, metrics)`, and
`run`, a generator over epochs.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from nas_jax.base import (
    Images,
    Labels,
    Logits,
    Metrics,
    PRNGKey,
    PyTree,
    Scalar,
    stream,
)
from nas_jax.config.experiment import SCRATCH, TrainConfig
from nas_jax.data import mixing
from nas_jax.data.batches import (
    Augment,
    Batch,
    Split,
    batch_at,
    permutations,
    pieces,
    require_full,
)
from nas_jax.data.mixing import Mixed
from nas_jax.networks import network, parts
from nas_jax.networks.batch_norm import BN_MOMENTUM
from nas_jax.networks.checkpoint import Model
from nas_jax.spaces.architecture import Architecture
from nas_jax.training import compiler, finite, kept_programs, losses, optim
from nas_jax.training.compiler import Call, Compile
from nas_jax.training.devices import PLAIN, Devices
from nas_jax.training.losses import ClassWeights
from nas_jax.training.optim import Lengths

EVALUATED = 250
"""Images of one batch when a network is evaluated."""


@dataclass(frozen=True)
class Recipe:
    """What a network is trained with: schedule, images, augmentation, devices."""

    config: TrainConfig
    data: Split
    augment: Augment
    devices: Devices = PLAIN
    teacher: Model | None = None
    """Whose answers join the labels, for `config.distillation` of the loss."""

    @property
    def taught_by(self) -> tuple[PyTree, ...]:
        """The teacher's weights, an argument of the step; none without a teacher."""
        if self.teacher is None:
            return ()
        return (self.devices.whole((self.teacher.params, self.teacher.batch_stats)),)

    def answers(self, weights: PyTree, images: Images) -> Logits:
        """The teacher's logits, of images brought to its side."""
        assert self.teacher is not None
        one = self.teacher.architecture
        shape = (len(images), *one.input_shape)
        images = jnp.asarray(images)
        if images.shape != shape:
            images = jax.image.resize(images, shape, "bilinear")
        params, batch_stats = weights
        return network.apply(one, params, batch_stats, images, train=False)[0]

    @property
    def steps_per_epoch(self) -> int:
        return optim.steps_per_epoch(len(self.data.labels), self.config.batch)

    @property
    def lengths(self) -> Lengths:
        """Of the whole training and its parts."""
        return optim.lengths(self.config, self.steps_per_epoch)

    def batches(self, key: PRNGKey) -> Callable[[int], Batch]:
        """The batch of every step, cut among the devices."""
        order = permutations(key, "order", len(self.data.labels))

        def batch(step: int) -> Batch:
            shard = self.devices.shard
            part = batch_at(self.data, order, self.config.batch, step, shard)
            return self.devices.shared(part)

        return batch


class HasRecipe(Protocol):
    """Whatever says how its networks are trained, as a run's `Setup`."""

    @property
    def recipe(self) -> Recipe: ...


@kept_programs.register
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """The state of a training between two steps."""

    step: Array
    key: PRNGKey
    params: PyTree
    batch_stats: PyTree
    opt: PyTree
    average: PyTree = ()
    """Of parameters and batch statistics, both; nothing without `ema_epochs`."""
    lengths: Lengths | tuple[()] = ()
    """Of the training: not of the step, which is compiled once for all."""

    @property
    def weights(self) -> tuple[PyTree, PyTree]:
        """Parameters and batch statistics to be tested and exported."""
        return self.average or (self.params, self.batch_stats)


class _Prepared(NamedTuple):
    """What a step makes of its batch; `kept` is that of `network.apply`."""

    images: Images
    labels: Labels | Mixed
    kept: Array | None
    taught: Array | None
    """The teacher's logits."""


class Reached(NamedTuple):
    """The place of a training between two steps, from which `run` continues.

    `collected` are the metrics of the steps since the epoch began.
    """

    state: TrainState
    collected: Sequence[Metrics] = ()


class Epoch(NamedTuple):
    """The yield of `run` after an epoch."""

    epoch: int
    state: TrainState
    metrics: Metrics


def make_train_step(
    architecture: Architecture, recipe: Recipe
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The jitted step of one network, for trainings of any length.

    Of `recipe` it takes all but the lengths, which are the state's.
    """
    config, devices = recipe.config, recipe.devices
    class_weights: ClassWeights | None = None
    if config.class_weights == "balanced":
        labels, classes = recipe.data.labels, architecture.classifier.classes
        class_weights = losses.balanced_weights(labels, classes)

    def prepared(state: TrainState, batch: Batch, teacher: PyTree) -> _Prepared:
        """All that is random, drawn for the whole batch."""
        images = recipe.augment(stream(state.key, "augment", state.step), batch.images)
        images, labels = mixing.of(
            config, stream(state.key, "mixing", state.step), Batch(images, batch.labels)
        )
        kept = None
        if config.dropout:
            shape = len(batch.labels), architecture.classifier.features
            key, share = stream(state.key, "dropout", state.step), 1 - config.dropout
            kept = jax.random.bernoulli(key, share, shape).astype(jnp.float32) / share
        taught = None if teacher is None else recipe.answers(teacher, images)
        return _Prepared(devices.cast(images), labels, kept, taught)

    def train_step(
        state: TrainState, batch: Batch, teacher: PyTree = None
    ) -> tuple[TrainState, Metrics]:
        def of_part(stats: PyTree, part: _Prepared) -> tuple[PyTree, PyTree]:
            def loss_fn(params: PyTree) -> tuple[Scalar, tuple[Array, PyTree]]:
                logits, new_stats = network.apply(
                    *(architecture, params, stats, part.images),
                    train=True,
                    kept=part.kept,
                )
                smoothing = config.label_smoothing
                loss = losses.cross_entropy(
                    logits, part.labels, smoothing, class_weights
                )
                if part.taught is not None:
                    share = config.distillation
                    loss = losses.distilled(loss, logits, part.taught, share)
                return loss, (logits, new_stats)

            grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
            (loss, (logits, new_stats)), grads = grads_fn(state.params)
            metrics = {
                "train/loss": loss,
                "train/accuracy": losses.accuracy(logits, part.labels),
            }
            return new_stats, (grads, metrics)

        new_stats, (grads, metrics) = devices.accumulated(
            of_part, state.batch_stats, prepared(state, batch, teacher)
        )
        assert state.lengths  # else it is the state of a supernet
        tx = optim.train_weights(config, state.lengths)
        updates, opt = tx.update(grads, state.opt, state.params)
        params, average = optax.apply_updates(state.params, updates), state.average
        if config.ema_epochs:
            now, reach_steps = (params, new_stats), state.lengths.average
            average = optim.moved_average(average, now, state.step, reach_steps)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            batch_stats=new_stats,
            opt=opt,
            average=average,
        )
        return state, metrics

    return devices.jit(train_step, donate_argnums=0)


def init(
    key: PRNGKey,
    architecture: Architecture,
    recipe: Recipe,
    weights: tuple[PyTree, PyTree] | None = None,
) -> TrainState:
    """The state before the first step.

    `weights` are parameters and batch statistics to begin with; without, they are drawn
    from the key. Weights of a supernet need `reestimate` first.
    """
    if weights is None:
        weights = network.init(stream(key, "weights"), architecture)
    # copied, because the steps donate their state and the caller may use these again
    params, batch_stats = jax.tree.map(jnp.array, weights)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=stream(key, "steps"),  # a copy, as above
        params=params,
        batch_stats=batch_stats,
        opt=optim.train_weights(recipe.config, recipe.lengths).init(params),
        # copied, because two places of a donated state cannot be the same
        average=jax.tree.map(jnp.copy, (params, batch_stats))
        if recipe.config.ema_epochs
        else (),
        lengths=recipe.lengths.as_arrays(),
    )


def programs(
    key: PRNGKey,
    architecture: Architecture,
    recipe: Recipe,
    state: TrainState | None = None,
) -> dict[str, Call]:
    """The step of a training with arguments of the shapes that it gets."""
    if state is None:
        state = recipe.devices.whole(init(key, architecture, recipe))
    step = make_train_step(architecture, recipe)
    arguments = (state, recipe.batches(key)(0), *recipe.taught_by)
    knob = "train.batch or space.input_size"
    return {
        "training step": Call(step, arguments, knob, _made_of(architecture, recipe))
    }


def _made_of(architecture: Architecture, recipe: Recipe) -> tuple[Any, ...]:
    """All that a training step has besides its arguments.

    Lengths are an argument, names play no part, and of the data only the labels do,
    where classes are weighted by them.
    """
    config, teacher = recipe.config, recipe.teacher
    networks = (
        [architecture] if teacher is None else [architecture, teacher.architecture]
    )
    is_weighted = config.class_weights == "balanced"
    same = dataclasses.replace(
        config,
        epochs=1,
        warmup_epochs=0.0,
        frozen_epochs=0.0,
        ema_epochs=0.0,
        start=SCRATCH,
        teacher=None,
    )
    return (
        [dataclasses.replace(network, name="any") for network in networks],
        [parts.implementations(b.op for b in network.blocks) for network in networks],
        same,
        [config.frozen_epochs > 0, config.ema_epochs > 0],
        recipe.augment,
        recipe.devices,
        np.asarray(recipe.data.labels) if is_weighted else None,
    )


def save_nothing(reached: Reached) -> None:
    """The default `save` of `run`."""


def run(
    key: PRNGKey,
    architecture: Architecture,
    recipe: Recipe,
    *,
    compile: Compile = compiler.on_first_call,
    after: Reached | None = None,
    save: Callable[[Reached], None] = save_nothing,
) -> Iterator[Epoch]:
    """Trains a network, yielding after every epoch.

    Args:
      key: of the training; weights, order and augmentation derive from it.
      architecture: of the network.
      recipe: schedule, images, augmentation, devices; the states lie on these.
      compile: prepares the step.
      after: the place to continue from, bit for bit as if never stopped; by default
        `init`.
      save: called between two steps within an epoch. The state is donated afterwards:
        copy what is to stay.

    Raises:
      ValueError: for a batch larger than the data; after an epoch in which it diverged,
        as `finite.require`.
    """
    config, devices, per_epoch = recipe.config, recipe.devices, recipe.steps_per_epoch
    require_full("train.batch", config.batch, "the data", len(recipe.data.labels))
    if after is None:
        after = Reached(init(key, architecture, recipe))
    state = devices.whole(jax.tree.map(jnp.copy, after.state))
    collected = list(after.collected)
    batch, teacher = recipe.batches(key), recipe.taught_by
    ready = compile(programs(key, architecture, recipe, state))
    train_step, begun = ready["training step"], int(state.step)
    for epoch in range(begun // per_epoch, config.epochs):
        end = (epoch + 1) * per_epoch
        for step in range(max(begun, epoch * per_epoch), end):
            state, metrics = train_step(state, batch(step), *teacher)
            collected.append(metrics)
            if step < end - 1:
                save(Reached(state, collected))
        numbers = jax.tree.map(float, jax.device_get(collected))
        losses = [values["train/loss"] for values in numbers]
        weights = devices.local((state.params, state.batch_stats))
        finite.require(architecture.name, losses, weights, end, per_epoch)
        mean = jax.tree.map(lambda *v: float(np.mean(v)), *numbers)
        collected = []
        yield Epoch(epoch, state, mean)


def fit(
    setup: HasRecipe,
    architecture: Architecture,
    *,
    key: PRNGKey,
    weights: tuple[PyTree, PyTree] | None = None,
) -> Model:
    """A network of this architecture, trained by the recipe of a setup.

    From scratch, or from `weights`, parameters and batch statistics.
    """
    recipe = setup.recipe
    after = Reached(init(key, architecture, recipe, weights))
    *_, last = run(key, architecture, recipe, after=after)
    return trained(architecture, last.state, recipe.devices)


def trained(architecture: Architecture, state: TrainState, devices: Devices) -> Model:
    """The network of a training's state, on this process's own device."""
    return Model(architecture, *devices.local(state.weights))


def reestimate(
    architecture: Architecture, params: PyTree, data: Split, batch: int
) -> PyTree:
    """Batch statistics of a network over `data`: means over its full batches.

    The running statistics of a supernet mix the inputs of all paths; a network taken
    out of it has others. Means of the batches' means and unbiased variances, images
    unaugmented. A batch norm moves its running value by v <- v + m (b - v), so from
    v = 0 its new value over m is the batch's own b.

    Raises:
      ValueError: if there is no full batch.
    """
    batches = len(data.labels) // batch
    if batches == 0:
        raise ValueError(
            f"re-estimation: expected at least one batch of {batch} images, got "
            f"{len(data.labels)} images"
        )

    @jax.jit
    def of_batch(images: Array) -> PyTree:
        zeros = network.zero_stats(architecture)
        moved = network.apply(architecture, params, zeros, images, train=True)[1]
        return jax.tree.map(lambda value: value / BN_MOMENTUM, moved)

    full = itertools.islice(pieces(data, batch), batches)
    statistics = [of_batch(piece.images) for piece in full]
    return jax.tree.map(lambda *values: jnp.stack(values).mean(0), *statistics)


def accuracy(model: Model, split: Split, batch: int = EVALUATED) -> float:
    """Top-1 accuracy over all images."""
    return float((guesses(model, split, batch) == split.labels).mean())


def guesses(model: Model, split: Split, batch: int = EVALUATED) -> np.ndarray:
    """The class of the largest logit of every image, Int `[N]`."""
    answers = _answers(model, split, batch)
    return np.concatenate([np.argmax(logits, axis=1) for logits, _ in answers])


def loss(model: Model, split: Split, batch: int = EVALUATED) -> float:
    """Mean cross-entropy over all images, with the running statistics."""
    total = sum(
        len(labels) * float(losses.cross_entropy(jnp.asarray(logits), labels))
        for logits, labels in _answers(model, split, batch)
    )
    return total / len(split.labels)


def image_losses(model: Model, split: Split, batch: int = EVALUATED) -> np.ndarray:
    """The cross-entropy of every image, Float `[N]`; `loss` is their mean."""
    return np.concatenate(
        [
            optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            for logits, labels in _answers(model, split, batch)
        ]
    )


def _answers(
    model: Model, split: Split, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits and labels, batch by batch; the last is padded, never dropped."""
    for images, labels in pieces(split, batch):
        padding = [(0, batch - len(labels)), (0, 0), (0, 0), (0, 0)]
        logits = model(np.pad(images, padding))
        yield np.asarray(logits)[: len(labels)], np.asarray(labels)
