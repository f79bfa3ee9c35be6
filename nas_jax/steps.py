"""The two steps of the search, on one state.

`update_weights` trains the weights of one path and leaves the alphas untouched;
`update_alphas` moves the alphas as the estimator says and leaves weights and batch
statistics untouched. `make_weight_step` and `make_arch_step` sample from the state's
key and jit the whole: `(state, batch) -> (state, metrics)`, compiled once for all
paths; the latter takes costs and target as well. ProxylessNAS, sections 3.1 and 3.2.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nas_jax import (
    averaged,
    descent,
    divergence,
    estimators,
    gates,
    joined,
    lagrangian,
    latency,
    objective,
    rng,
    supernet,
)
from nas_jax.base import Metrics, Path, PyTree, Scalar
from nas_jax.batches import Augment, Batch
from nas_jax.config import SearchConfig
from nas_jax.devices import PLAIN, Devices
from nas_jax.search_state import SearchState
from nas_jax.space import SearchSpace

Step = Callable[[SearchState, Batch], tuple[SearchState, Metrics]]
ArchStep = Callable[..., tuple[SearchState, Metrics]]
"""(state, batch, cost model, target) -> (state, metrics)."""


def path_gradients(
    space: SearchSpace,
    config: SearchConfig,
    state: SearchState,
    path: Path,
    batch: Batch,
    execution: Devices = PLAIN,
) -> tuple[PyTree, PyTree, Metrics]:
    """Gradients and new batch statistics of the candidates on `path` alone.

    The loss is cross-entropy with label smoothing. Both trees are as
    `supernet.gather` takes them from the tables. With `execution.accumulate` gradients
    and metrics are means over the parts of the batch.
    """
    rows = supernet.rows_of(space, path)
    stats = supernet.gather(state.batch_stats, rows)
    weights = supernet.gather(state.params, rows)

    def of_part(stats: PyTree, part: Batch) -> tuple[PyTree, PyTree]:
        grads, stats, metrics = _part_gradients(
            space, config, weights, stats, rows, part
        )
        return stats, (grads, metrics)

    new_stats, (grads, metrics) = execution.accumulated(of_part, stats, batch)
    return grads, new_stats, metrics


def _part_gradients(
    space: SearchSpace,
    config: SearchConfig,
    weights: PyTree,
    stats: PyTree,
    rows: Path,
    batch: Batch,
) -> tuple[PyTree, PyTree, Metrics]:

    def loss_fn(sampled: PyTree) -> tuple[Scalar, Any]:
        logits, new_stats = supernet.apply(space, sampled, stats, rows, batch.images)
        loss = objective.cross_entropy(logits, batch.labels, config.label_smoothing)
        return loss, (logits, new_stats)

    grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (logits, new_stats)), grads = grads_fn(weights)
    metrics = {
        "search/loss": loss,
        "search/accuracy": objective.accuracy(logits, batch.labels),
    }
    return grads, new_stats, metrics


def update_weights(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    state: SearchState,
    path: Path,
    batch: Batch,
    execution: Devices = PLAIN,
) -> tuple[SearchState, Metrics]:
    """One SGD step on the weights along `path`.

    Only the sampled candidates are read, differentiated, updated and written back:
    weights, momentum and batch statistics of the others stay bit-unchanged.
    """
    grads, new_stats, metrics = path_gradients(
        space, config, state, path, batch, execution
    )
    return apply_path_gradients(space, tx, state, path, grads, new_stats), metrics


def apply_path_gradients(
    space: SearchSpace,
    tx: optax.GradientTransformation,
    state: SearchState,
    path: Path,
    grads: PyTree,
    new_stats: PyTree,
) -> SearchState:
    """The state after the optimiser moved the candidates on `path`."""
    rows = supernet.rows_of(space, path)
    sampled = supernet.gather(state.params, rows)
    sampled_opt = in_params_trees(
        lambda tree: supernet.gather(tree, rows), state.weight_opt
    )
    updates, new_opt = tx.update(grads, sampled_opt, sampled)
    new_params = optax.apply_updates(sampled, updates)
    return dataclasses.replace(
        state,
        step=state.step + 1,
        params=supernet.scatter(state.params, new_params, rows),
        batch_stats=supernet.scatter(state.batch_stats, new_stats, rows),
        weight_opt=in_params_trees(
            lambda tree, new: supernet.scatter(tree, new, rows),
            state.weight_opt,
            new_opt,
        ),
    )


def in_params_trees(fn: Callable[..., PyTree], opt: PyTree, *rest: PyTree) -> PyTree:
    """Applies `fn` where an optimiser state holds a copy of the parameter tree.

    Momentum does; counters do not, and the newest ones are kept.
    """

    def is_params(tree: Any) -> bool:
        return isinstance(tree, dict) and "layers" in tree

    def visit(tree: PyTree, *others: PyTree) -> PyTree:
        return fn(tree, *others) if is_params(tree) else (tree, *others)[-1]

    return jax.tree.map(visit, opt, *rest, is_leaf=is_params)


def update_alphas(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    model: latency.CostModel,
    target: joined.Target,
    state: SearchState,
    sampled: estimators.Sampled,
    batch: Batch,
    ascent: lagrangian.Ascent | None = None,
    execution: Devices = PLAIN,
) -> tuple[SearchState, Metrics]:
    """One step on the alphas, and one of the multipliers by the cost expected then.

    `sampled` is what `estimators.sample` draws for the estimator of `config`; `ascent`
    is needed by the objective `constrained` alone.
    """
    estimate = averaged.over_parts(
        space, config, model, target, state, sampled, batch, execution
    )
    own = (space, config, tx, model, target, state)
    return descent.follow(*own, sampled, estimate, ascent)


def make_weight_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    augment: Augment,
    execution: Devices = PLAIN,
) -> Step:
    """The jitted weight step: samples a path from the alphas and trains it.

    The path is among the metrics.
    """
    mask = jnp.asarray(space.mask)

    def weight_step(state: SearchState, batch: Batch) -> tuple[SearchState, Metrics]:
        path_key = rng.stream(state.key, "path", state.step)
        path = gates.sample_path(path_key, state.alphas, mask)
        images = augment(rng.stream(state.key, "augment", state.step), batch.images)
        ready = Batch(execution.cast(images), batch.labels)
        state, metrics = update_weights(
            space, config, tx, state, path, ready, execution
        )
        return state, metrics | {divergence.PATH: path}

    return execution.jit(weight_step, donate_argnums=0)


def make_arch_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    ascent: lagrangian.Ascent | None = None,
    execution: Devices = PLAIN,
) -> ArchStep:
    """The jitted architecture step: samples for the estimator and moves the alphas.

    Costs and target are arguments, not constants: one program serves every table, also
    the one that the next run measures. With `execution.paths_per_step` every device
    samples for itself (`averaged.over_devices`).
    """
    mask = jnp.asarray(space.mask)

    def arch_step(
        state: SearchState,
        batch: Batch,
        model: latency.CostModel,
        target: joined.Target,
    ) -> tuple[SearchState, Metrics]:
        key = rng.stream(state.key, "pair", state.step)
        batch = Batch(execution.cast(batch.images), batch.labels)
        problem = (space, config, model, target, state)
        if execution.paths_per_step > 1:
            estimate = averaged.over_devices(*problem, key, mask, batch, execution)
            own = (space, config, tx, model, target, state)
            return descent.follow(*own, None, estimate, ascent)
        sampled = estimators.sample(config, key, state.alphas, mask)
        return update_alphas(
            *(space, config, tx, model, target, state, sampled, batch),
            *(ascent, execution),
        )

    return execution.jit(arch_step, donate_argnums=0)


def make_validate(
    space: SearchSpace, execution: Devices = PLAIN
) -> Callable[[SearchState, Path, Batch], Scalar]:
    """The jitted accuracy of one path with batch statistics; changes nothing."""

    def validate(state: SearchState, path: Path, batch: Batch) -> Scalar:
        rows = supernet.rows_of(space, path)
        sampled = supernet.gather(state.params, rows)
        stats = supernet.gather(state.batch_stats, rows)
        images = execution.cast(batch.images)
        logits, _ = supernet.apply(space, sampled, stats, rows, images)
        return objective.accuracy(logits, batch.labels)

    return execution.jit(validate)
