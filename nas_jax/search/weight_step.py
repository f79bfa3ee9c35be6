"""The weight step: sample a path, train its weights.

ProxylessNAS, section 3.1: path ~ p = softmax(alpha), then a step of SGD on the
cross-entropy, with label smoothing, of that path alone. The alphas are left alone.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nas_jax import supernet
from nas_jax.base import Metrics, Path, PyTree, Scalar, stream
from nas_jax.config.search import SearchConfig
from nas_jax.data.batches import Augment, Batch
from nas_jax.search import divergence, gates
from nas_jax.search.search_state import SearchState
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import losses
from nas_jax.training.devices import PLAIN, Devices

WeightStep = Callable[[SearchState, Batch], tuple[SearchState, Metrics]]


def make_weight_step(
    space: SearchSpace,
    config: SearchConfig,
    *,
    tx: optax.GradientTransformation,
    augment: Augment,
    devices: Devices = PLAIN,
) -> WeightStep:
    """The jitted step, compiled once for all paths; the path is among the metrics.

    Args:
      space: the search space.
      config: gives the label smoothing.
      tx: moves the weights, as `schedule.search_weights`.
      augment: applied to the images of every batch.
      devices: the devices.
    """
    mask = jnp.asarray(space.mask)

    def weight_step(state: SearchState, batch: Batch) -> tuple[SearchState, Metrics]:
        path_key = stream(state.key, "path", state.step)
        path = gates.sample_path(path_key, state.alphas, mask)
        images = augment(stream(state.key, "augment", state.step), batch.images)
        batch = Batch(devices.cast(images), batch.labels)
        grads, new_stats, metrics = path_gradients(
            space, config, state, path, batch, devices
        )
        state = apply_path_gradients(space, tx, state, path, grads, new_stats)
        return state, metrics | {divergence.PATH: path}

    return devices.jit(weight_step, donate_argnums=0)


def path_gradients(
    space: SearchSpace,
    config: SearchConfig,
    state: SearchState,
    path: Path,
    batch: Batch,
    devices: Devices = PLAIN,
) -> tuple[PyTree, PyTree, Metrics]:
    """Gradients and new batch statistics of the candidates on `path` `[L]` alone.

    Both trees are as `supernet.gather` returns them; with `devices.accumulate`,
    gradients and metrics are means over the parts of the batch.
    """
    rows = supernet.rows_of(space, path)
    stats = supernet.gather(state.batch_stats, rows)
    weights = supernet.gather(state.params, rows)

    def of_part(stats: PyTree, part: Batch) -> tuple[PyTree, PyTree]:
        def loss_fn(weights: PyTree) -> tuple[Scalar, Any]:
            logits, new_stats = supernet.apply(space, weights, stats, rows, part.images)
            loss = losses.cross_entropy(logits, part.labels, config.label_smoothing)
            return loss, (logits, new_stats)

        grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (logits, new_stats)), grads = grads_fn(weights)
        metrics = {
            "search/loss": loss,
            "search/accuracy": losses.accuracy(logits, part.labels),
        }
        return new_stats, (grads, metrics)

    new_stats, (grads, metrics) = devices.accumulated(of_part, stats, batch)
    return grads, new_stats, metrics


def apply_path_gradients(
    space: SearchSpace,
    tx: optax.GradientTransformation,
    state: SearchState,
    path: Path,
    grads: PyTree,
    new_stats: PyTree,
) -> SearchState:
    """The state after the optimiser moved the candidates on `path`.

    Weights, momentum and batch statistics of the others stay bit-unchanged.
    """
    rows = supernet.rows_of(space, path)
    gather = functools.partial(supernet.gather, rows=rows)
    scatter = functools.partial(supernet.scatter, rows=rows)
    sampled, sampled_opt = (
        gather(state.params),
        in_params_trees(gather, state.weight_opt),
    )
    updates, new_opt = tx.update(grads, sampled_opt, sampled)
    return dataclasses.replace(
        state,
        step=state.step + 1,
        params=scatter(state.params, optax.apply_updates(sampled, updates)),
        batch_stats=scatter(state.batch_stats, new_stats),
        weight_opt=in_params_trees(scatter, state.weight_opt, new_opt),
    )


def in_params_trees(fn: Callable[..., PyTree], opt: PyTree, *rest: PyTree) -> PyTree:
    """`fn` of the trees like the parameters in an optimiser state, as momentum.

    Of everything else, as counters, the last of the states counts.
    """

    def is_params(tree: Any) -> bool:
        return isinstance(tree, dict) and "layers" in tree

    def visit(tree: PyTree, *others: PyTree) -> PyTree:
        return fn(tree, *others) if is_params(tree) else (tree, *others)[-1]

    return jax.tree.map(visit, opt, *rest, is_leaf=is_params)
