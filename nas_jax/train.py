"""Training of a plain network from scratch, and its evaluation.

The same shape as the search: a jitted step `(state, batch) -> (state, metrics)`, and
`run`, a generator over epochs.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from nas_jax import calls, finite, losses, network, optim, rng
from nas_jax.architecture import Architecture
from nas_jax.base import Metrics, PRNGKey, PyTree, Scalar
from nas_jax.batch_norm import BN_MOMENTUM
from nas_jax.batches import Augment, Batch, Split, batch_at, permutations, pieces
from nas_jax.calls import Call, Compile
from nas_jax.config import TrainConfig
from nas_jax.execution import PLAIN, Execution

EVALUATED = 250
"""Images of one batch when a network is evaluated."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything a training carries from step to step."""

    step: Array
    key: PRNGKey
    params: PyTree
    batch_stats: PyTree
    opt: PyTree


class Reached(NamedTuple):
    """Where a training stands between two steps, for `run` to go on from.

    `collected` are the metrics of the steps since the epoch began.
    """

    state: TrainState
    collected: Sequence[Metrics] = ()


class Epoch(NamedTuple):
    """What `run` yields after every epoch."""

    epoch: int
    state: TrainState
    metrics: Metrics


def make_train_step(
    architecture: Architecture,
    config: TrainConfig,
    tx: optax.GradientTransformation,
    augment: Augment,
    execution: Execution = PLAIN,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds the jitted step of one network."""

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        images = augment(rng.stream(state.key, "augment", state.step), batch.images)

        def of_part(stats: PyTree, part: Batch) -> tuple[PyTree, PyTree]:
            def loss_fn(params: PyTree) -> tuple[Scalar, tuple[Array, PyTree]]:
                logits, new_stats = network.apply(
                    architecture, params, stats, part.images, train=True
                )
                smoothing = config.label_smoothing
                loss = losses.cross_entropy(logits, part.labels, smoothing)
                return loss, (logits, new_stats)

            grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
            (loss, (logits, new_stats)), grads = grads_fn(state.params)
            metrics = {
                "train/loss": loss,
                "train/accuracy": losses.accuracy(logits, part.labels),
            }
            return new_stats, (grads, metrics)

        ready = Batch(execution.cast(images), batch.labels)
        new_stats, (grads, metrics) = execution.accumulated(
            of_part, state.batch_stats, ready
        )
        updates, opt = tx.update(grads, state.opt, state.params)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=new_stats,
            opt=opt,
        )
        return state, metrics

    return execution.jit(train_step, donate_argnums=0)


def init(
    key: PRNGKey,
    architecture: Architecture,
    tx: optax.GradientTransformation,
    start: tuple[PyTree, PyTree] | None = None,
) -> TrainState:
    """The state before the first step; `start` as in `run`."""
    if start is None:
        start = network.init(rng.stream(key, "weights"), architecture)
    # copied, because the steps donate their state and the caller may keep his
    params, batch_stats = jax.tree.map(jnp.array, start)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=rng.stream(key, "steps"),  # a copy, as above
        params=params,
        batch_stats=batch_stats,
        opt=tx.init(params),
    )


def keep_nothing(reached: Reached) -> None:
    """What `run` calls between two steps if nobody saves."""


def run(
    key: PRNGKey,
    architecture: Architecture,
    config: TrainConfig,
    data: Split,
    augment: Augment,
    start: tuple[PyTree, PyTree] | None = None,
    compile: Compile = calls.on_first_call,
    after: Reached | None = None,
    keep: Callable[[Reached], None] = keep_nothing,
    execution: Execution = PLAIN,
) -> Iterator[Epoch]:
    """Trains a network, yielding after every epoch.

    `start` gives parameters and batch statistics to begin with; without, they are drawn
    from the key. Weights of a supernet need `reestimate` first. `compile` makes the
    step ready. `after` is where this training stood, to go on from bit for bit as if it
    had not been stopped. `keep` is called between two steps within an epoch, while the
    state is alive: what is to stay is copied. The states lie where `execution` has
    them.

    Raises:
      ValueError: after an epoch in which it diverged, as `finite.require`.
    """
    per_epoch = optim.steps_per_epoch(len(data.labels), config.batch)
    tx = optim.train_weights(config, per_epoch)
    if after is None:
        after = Reached(init(key, architecture, tx, start))
    state = execution.whole(jax.tree.map(jnp.copy, after.state))
    collected = list(after.collected)
    order = permutations(key, "order", len(data.labels))

    def batch(step: int) -> Batch:
        own = batch_at(data, order, config.batch, step, execution.shard)
        return execution.shared(own)

    step_fn = make_train_step(architecture, config, tx, augment, execution)
    arguments = (state, batch(0))
    knob = "train.batch or space.input_size"
    ready = compile({"training step": Call(step_fn, arguments, knob)})
    train_step, begun = ready["training step"], int(state.step)
    for epoch in range(begun // per_epoch, config.epochs):
        end = (epoch + 1) * per_epoch
        for step in range(max(begun, epoch * per_epoch), end):
            state, metrics = train_step(state, batch(step))
            collected.append(metrics)
            if step < end - 1:
                keep(Reached(state, collected))
        numbers = jax.tree.map(float, jax.device_get(collected))
        losses = [one["train/loss"] for one in numbers]
        weights = execution.local((state.params, state.batch_stats))
        finite.require(architecture.name, losses, weights, end, per_epoch)
        mean = jax.tree.map(lambda *v: float(np.mean(v)), *numbers)
        collected = []
        yield Epoch(epoch, state, mean)


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
    def own(images: Array) -> PyTree:
        zeros = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
            network.shapes(architecture)[1],
        )
        moved = network.apply(architecture, params, zeros, images, train=True)[1]
        return jax.tree.map(lambda value: value / BN_MOMENTUM, moved)

    full = itertools.islice(pieces(data, batch), batches)
    found = [own(one.images) for one in full]
    return jax.tree.map(lambda *values: jnp.stack(values).mean(0), *found)


@functools.partial(jax.jit, static_argnums=0)
def predict(
    architecture: Architecture, params: PyTree, batch_stats: PyTree, images: Array
) -> Array:
    """Logits `[B classes]` with the running statistics."""
    return network.apply(architecture, params, batch_stats, images, train=False)[0]


def evaluate(
    architecture: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    data: Split,
    batch: int = EVALUATED,
) -> float:
    """Top-1 accuracy over all images."""
    answers = _answers(architecture, params, batch_stats, data, batch)
    correct = sum(
        int((np.argmax(logits, axis=1) == labels).sum()) for logits, labels in answers
    )
    return correct / len(data.labels)


def loss(
    architecture: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    data: Split,
    batch: int = EVALUATED,
) -> float:
    """Mean cross-entropy over all images, with the running statistics."""
    answers = _answers(architecture, params, batch_stats, data, batch)
    total = sum(
        len(labels) * float(losses.cross_entropy(jnp.asarray(logits), labels))
        for logits, labels in answers
    )
    return total / len(data.labels)


def _answers(
    architecture: Architecture,
    params: PyTree,
    batch_stats: PyTree,
    data: Split,
    batch: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits and labels, batch by batch; the last is padded, never dropped."""
    for images, labels in pieces(data, batch):
        padding = [(0, batch - len(labels)), (0, 0), (0, 0), (0, 0)]
        logits = predict(architecture, params, batch_stats, np.pad(images, padding))
        yield np.asarray(logits)[: len(labels)], np.asarray(labels)
