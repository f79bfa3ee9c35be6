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
    key: PRNGKey, widest: Architecture, tx: optax.GradientTransformation
) -> TrainState:
    """The state before the first step; its parameters are those of the widest network.

    Running batch statistics are not kept: they differ from network to network.
    """
    params, batch_stats = network.init(stream(key, "weights"), widest)
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

        def answers(params: PyTree, choice: Choice) -> Logits:
            own = shared.extract(params, within)
            return shared.apply(within, own, stats, choice, images, train=True)[0]

        def of_labels(params: PyTree) -> tuple[Scalar, Logits]:
            logits = answers(params, jax.tree.map(lambda one: one[0], choices))
            return losses.cross_entropy(logits, batch.labels, smoothing), logits

        grads_fn = jax.value_and_grad(of_labels, has_aux=True)
        (loss, logits), grads = grads_fn(state.params)
        taught = jax.nn.softmax(logits)

        def add(total: PyTree, choice: Choice) -> tuple[PyTree, Scalar]:
            def of_answers(params: PyTree) -> Scalar:
                own = jax.nn.log_softmax(answers(params, choice))
                return -(taught * own).sum(axis=1).mean()

            loss, grads = jax.value_and_grad(of_answers)(state.params)
            return jax.tree.map(jnp.add, total, grads), loss

        others = jax.tree.map(lambda one: one[1:], choices)
        grads, other = jax.lax.scan(add, grads, others)
        count = choices.stem.shape[0]
        grads = jax.tree.map(lambda leaf: leaf / count, grads)
        updates, opt = tx.update(grads, state.opt, state.params)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt=opt,
        )
        metrics = {
            "search/loss": loss,
            "search/accuracy": losses.accuracy(logits, batch.labels),
            "search/taught_loss": other.mean(),
        }
        return state, metrics

    return jax.jit(step, donate_argnums=0)
