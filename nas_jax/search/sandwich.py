"""Steps that train a supernet whose candidates share weights.

One step trains several networks on one batch, the sandwich rule (Yu & Huang, ICCV
2019): the widest, which learns from the labels, and others that learn from its answers
(in-place distillation). Their gradients are averaged, for weights that several of them
have, too:

    g = 1/N ( grad CE(widest, labels) + sum over the others CE(other, softmax(widest)) )
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from nas_jax.base import Logits, PRNGKey, PyTree, Scalar, stream
from nas_jax.data.batches import Augment, Batch
from nas_jax.networks import network
from nas_jax.spaces.architecture import Architecture
from nas_jax.supernet import shared
from nas_jax.supernet.shared import Choice
from nas_jax.training import losses
from nas_jax.training.loop import TrainState

Step = Callable[[TrainState, Batch, Choice], tuple[TrainState, dict[str, Scalar]]]


def init(
    key: PRNGKey,
    widest: Architecture,
    tx: optax.GradientTransformation,
    weights: tuple[PyTree, PyTree] | None = None,
) -> TrainState:
    """The state before the first step; its parameters are those of the widest network.

    They are drawn, unless `weights` are given. Running batch statistics are not kept:
    they differ from network to network.
    """
    params, batch_stats = weights or network.init(stream(key, "weights"), widest)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=stream(key, "steps"),
        params=params,
        batch_stats=batch_stats,
        opt=tx.init(params),
    )


def make_step(
    within: Architecture,
    tx: optax.GradientTransformation,
    augment: Augment,
    smoothing: float,
) -> Step:
    """The jitted step for images of one side.

    It takes a state whose parameters are those of the widest network of all, a batch,
    and the choices `[N]`, of which the first gives the answers.

    Args:
      within: the widest network of this side.
      tx: the optimiser of all parameters.
      augment: of the images.
      smoothing: of the labels.
    """
    stats = network.zero_stats(within)

    def step(
        state: TrainState, batch: Batch, choices: Choice
    ) -> tuple[TrainState, dict[str, Scalar]]:
        images = augment(stream(state.key, "augment", state.step), batch.images)
        classes = within.classifier.classes
        smoothed = optax.smooth_labels(jax.nn.one_hot(batch.labels, classes), smoothing)

        def add(
            carried: tuple[PyTree, Array], network: tuple[Choice, Array]
        ) -> tuple[tuple[PyTree, Array], tuple[Scalar, Scalar]]:
            (total, taught), (choice, place) = carried, network

            def loss_fn(params: PyTree) -> tuple[Scalar, Logits]:
                own = shared.extract(params, within)
                logits, _ = shared.apply(within, own, stats, choice, images, train=True)
                return -(taught * jax.nn.log_softmax(logits)).sum(1).mean(), logits

            grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
            (loss, logits), grads = grads_fn(state.params)
            taught = jnp.where(place == 0, jax.nn.softmax(logits), taught)
            accuracy = losses.accuracy(logits, batch.labels)
            return (jax.tree.map(jnp.add, total, grads), taught), (loss, accuracy)

        # one piece of code for all networks: the first has the labels to learn, and
        # leaves its answers to the others
        count = choices.stem.shape[0]
        zeros = jax.tree.map(jnp.zeros_like, state.params)
        (grads, _), (each, accuracies) = jax.lax.scan(
            add, (zeros, smoothed), (choices, jnp.arange(count))
        )
        grads = jax.tree.map(lambda leaf: leaf / count, grads)
        updates, opt = tx.update(grads, state.opt, state.params)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt=opt,
        )
        metrics = {
            "search/loss": each[0],
            "search/accuracy": accuracies[0],
            "search/taught_loss": each[1:].mean(),
        }
        return state, metrics

    return jax.jit(step, donate_argnums=0)
