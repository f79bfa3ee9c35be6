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
    estimators,
    gates,
    joined,
    lagrangian,
    latency,
    objective,
    rng,
    supernet,
)
from nas_jax.base import Alphas, Metrics, Path, PyTree, Scalar
from nas_jax.batches import Augment, Batch
from nas_jax.config import SearchConfig
from nas_jax.execution import PLAIN, Execution
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
) -> tuple[PyTree, PyTree, Metrics]:
    """Gradients and new batch statistics of the candidates on `path` alone.

    The loss is cross-entropy with label smoothing. Both trees are as
    `supernet.gather` takes them from the tables.
    """
    rows = supernet.rows_of(space, path)
    stats = supernet.gather(state.batch_stats, rows)

    def loss_fn(sampled: PyTree) -> tuple[Scalar, Any]:
        logits, new_stats = supernet.apply(space, sampled, stats, rows, batch.images)
        loss = objective.cross_entropy(logits, batch.labels, config.label_smoothing)
        return loss, (logits, new_stats)

    grads_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (logits, new_stats)), grads = grads_fn(supernet.gather(state.params, rows))
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
) -> tuple[SearchState, Metrics]:
    """One SGD step on the weights along `path`.

    Only the sampled candidates are read, differentiated, updated and written back:
    weights, momentum and batch statistics of the others stay bit-unchanged.
    """
    grads, new_stats, metrics = path_gradients(space, config, state, path, batch)
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
) -> tuple[SearchState, Metrics]:
    """One step on the alphas, and one of the multipliers by the cost expected then.

    `sampled` is what `estimators.sample` draws for the estimator of `config`; `ascent`
    is needed by the objective `constrained` alone.
    """
    estimate = estimators.estimate(space, config, model, target, state, sampled, batch)
    state = apply_alpha_gradients(config, tx, state, sampled, estimate.alpha_gradients)
    state = dataclasses.replace(state, baseline=estimate.baseline)
    if config.objective == "constrained":
        state = ascend(space, model, target, state, ascent)
    return state, estimate.metrics


def ascend(
    space: SearchSpace,
    model: latency.CostModel,
    target: joined.Target,
    state: SearchState,
    ascent: lagrangian.Ascent | None,
) -> SearchState:
    """The state after the multipliers followed the expected cost."""
    if ascent is None:
        raise ValueError(
            "objective constrained: expected the pace of its multipliers, got None; "
            "give optim.multipliers(config, steps_per_epoch)"
        )
    mask = jnp.asarray(space.mask)
    cost = latency.expected_full(model, state.alphas, mask)
    multipliers, weight = lagrangian.ascend(
        ascent,
        lagrangian.excess(cost, target),
        state.multipliers,
        state.penalty_weight,
        lagrangian.is_spent(model, mask, target),
    )
    return dataclasses.replace(state, multipliers=multipliers, penalty_weight=weight)


def apply_alpha_gradients(
    config: SearchConfig,
    tx: optax.GradientTransformation,
    state: SearchState,
    sampled: estimators.Sampled,
    gradients: Alphas,
) -> SearchState:
    """The state after the optimiser moved the alphas, and the rescale.

    The rescale belongs to the pair expectation: unsampled candidates keep their
    probability. With `expectation = "full"` the cost moves every alpha, so there is
    nothing to keep.
    """
    updates, arch_opt = tx.update(gradients, state.arch_opt, state.alphas)
    alphas = optax.apply_updates(state.alphas, updates)
    if config.expectation == "pair":
        alphas = gates.rescale_pair(state.alphas, alphas, sampled)
    return dataclasses.replace(state, alphas=alphas, arch_opt=arch_opt)


def make_weight_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    augment: Augment,
    execution: Execution = PLAIN,
) -> Step:
    """The jitted weight step: samples a path from the alphas and trains it."""
    mask = jnp.asarray(space.mask)

    def weight_step(state: SearchState, batch: Batch) -> tuple[SearchState, Metrics]:
        path_key = rng.stream(state.key, "path", state.step)
        path = gates.sample_path(path_key, state.alphas, mask)
        images = augment(rng.stream(state.key, "augment", state.step), batch.images)
        return update_weights(
            space, config, tx, state, path, Batch(images, batch.labels)
        )

    return execution.jit(weight_step, donate_argnums=0)


def make_arch_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    ascent: lagrangian.Ascent | None = None,
    execution: Execution = PLAIN,
) -> ArchStep:
    """The jitted architecture step: samples for the estimator and moves the alphas.

    Costs and target are arguments, not constants: one program serves every table, also
    the one that the next run measures.
    """
    mask = jnp.asarray(space.mask)

    def arch_step(
        state: SearchState,
        batch: Batch,
        model: latency.CostModel,
        target: joined.Target,
    ) -> tuple[SearchState, Metrics]:
        key = rng.stream(state.key, "pair", state.step)
        sampled = estimators.sample(config, key, state.alphas, mask)
        return update_alphas(
            space, config, tx, model, target, state, sampled, batch, ascent
        )

    return execution.jit(arch_step, donate_argnums=0)


def make_validate(
    space: SearchSpace, execution: Execution = PLAIN
) -> Callable[[SearchState, Path, Batch], Scalar]:
    """The jitted accuracy of one path with batch statistics; changes nothing."""

    def validate(state: SearchState, path: Path, batch: Batch) -> Scalar:
        rows = supernet.rows_of(space, path)
        sampled = supernet.gather(state.params, rows)
        stats = supernet.gather(state.batch_stats, rows)
        logits, _ = supernet.apply(space, sampled, stats, rows, batch.images)
        return objective.accuracy(logits, batch.labels)

    return execution.jit(validate)
