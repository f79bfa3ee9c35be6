"""The two steps of the search, on one state.

`update_weights` trains the weights of one path and leaves the alphas untouched;
`update_alphas` moves the alphas of one pair per layer and leaves weights and batch
statistics untouched. `make_weight_step` and `make_arch_step` sample the path or pair
from the state's key and jit the whole: `(state, batch) -> (state, metrics)`, compiled
once for all paths. ProxylessNAS, sections 3.1 and 3.2.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from nas_jax import gates, latency, objective, rng, supernet
from nas_jax.base import Alphas, Metrics, Path, PyTree, Scalar
from nas_jax.batches import Augment, Batch
from nas_jax.config import SearchConfig
from nas_jax.search_state import SearchState
from nas_jax.space import SearchSpace

Step = Callable[[SearchState, Batch], tuple[SearchState, Metrics]]


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
    sampled_opt = _in_params_trees(
        lambda tree: supernet.gather(tree, rows), state.weight_opt
    )
    updates, new_opt = tx.update(grads, sampled_opt, sampled)
    new_params = optax.apply_updates(sampled, updates)
    return dataclasses.replace(
        state,
        step=state.step + 1,
        params=supernet.scatter(state.params, new_params, rows),
        batch_stats=supernet.scatter(state.batch_stats, new_stats, rows),
        weight_opt=_in_params_trees(
            lambda tree, new: supernet.scatter(tree, new, rows),
            state.weight_opt,
            new_opt,
        ),
    )


def _in_params_trees(fn: Callable[..., PyTree], opt: PyTree, *rest: PyTree) -> PyTree:
    """Applies `fn` where an optimiser state holds a copy of the parameter tree.

    Momentum does; counters do not, and the newest ones are kept.
    """

    def is_params(tree: Any) -> bool:
        return isinstance(tree, dict) and "layers" in tree

    def visit(tree: PyTree, *others: PyTree) -> PyTree:
        return fn(tree, *others) if is_params(tree) else (tree, *others)[-1]

    return jax.tree.map(visit, opt, *rest, is_leaf=is_params)


def two_path_gradients(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target_ms: Scalar | float,
    state: SearchState,
    pair: gates.PathPair,
    batch: Batch,
) -> tuple[Float[Array, "L 2"], Alphas, Metrics]:
    """Gradients of the joined loss: of the gates `[L 2]`, and of the alphas `[L K]`.

    The alphas' gradient is the straight-through one of the pair (eq. 4 with q for p)
    plus that of the expected latency.
    """
    mask = jnp.asarray(space.mask)

    def loss_fn(gate_values: Array, alphas: Alphas) -> tuple[Scalar, Any]:
        logits = supernet.apply_two_path(
            space, state.params, state.batch_stats, pair, gate_values, batch.images
        )
        ce = objective.cross_entropy(logits, batch.labels)
        if config.expectation == "pair":
            cost = latency.expected_pair(model, alphas, pair)
        else:
            cost = latency.expected_full(model, alphas, mask)
        loss = joined_loss(config, ce, cost, target_ms, state.penalty)
        return loss, (ce, logits)

    active_only = jnp.tile(jnp.array([1.0, 0.0]), (len(space.layers), 1))
    grads_fn = jax.value_and_grad(loss_fn, argnums=(0, 1), has_aux=True)
    (loss, (ce, logits)), (gate_grads, latency_grads) = grads_fn(
        active_only, state.alphas
    )
    q = gates.pair_probabilities(state.alphas, pair)
    straight_through = gates.scatter_pair(
        gates.alpha_gradient(q, gate_grads), pair, len(space.candidates)
    )
    metrics = {
        "search/arch_loss": loss,
        "search/arch_ce": ce,
        "search/arch_accuracy": objective.accuracy(logits, batch.labels),
    }
    return gate_grads, straight_through + latency_grads, metrics


def joined_loss(
    config: SearchConfig,
    ce: Scalar,
    cost: Scalar,
    target_ms: Scalar | float,
    penalty: Scalar,
) -> Scalar:
    """Cross-entropy joined with the expected cost as `config.objective` says."""
    if config.objective == "add_linear":
        return objective.add_linear(ce, cost, target_ms, penalty)
    if config.objective == "mul_log":
        return objective.mul_log(
            ce, cost, target_ms, config.mul_log_alpha, config.mul_log_beta
        )
    return ce


def update_alphas(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    model: latency.CostModel,
    target_ms: Scalar | float,
    state: SearchState,
    pair: gates.PathPair,
    batch: Batch,
) -> tuple[SearchState, Metrics]:
    """One step on the alphas; lambda follows the expected latency."""
    _, grads, metrics = two_path_gradients(
        space, config, model, target_ms, state, pair, batch
    )
    state = apply_alpha_gradients(config, tx, state, pair, grads)
    mask = jnp.asarray(space.mask)
    expected = latency.expected_full(model, state.alphas, mask)
    penalty = objective.next_weight(
        state.penalty, expected, target_ms, config.penalty_rate
    )
    return dataclasses.replace(state, penalty=penalty), metrics


def apply_alpha_gradients(
    config: SearchConfig,
    tx: optax.GradientTransformation,
    state: SearchState,
    pair: gates.PathPair,
    grads: Alphas,
) -> SearchState:
    """The state after the optimiser moved the alphas, and the rescale.

    The rescale belongs to the pair expectation: unsampled candidates keep their
    probability. With `expectation = "full"` the latency moves every alpha, so there is
    nothing to keep.
    """
    updates, arch_opt = tx.update(grads, state.arch_opt, state.alphas)
    alphas = optax.apply_updates(state.alphas, updates)
    if config.expectation == "pair":
        alphas = gates.rescale_pair(state.alphas, alphas, pair)
    return dataclasses.replace(state, alphas=alphas, arch_opt=arch_opt)


def make_weight_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    augment: Augment,
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

    return jax.jit(weight_step, donate_argnums=0)


def make_arch_step(
    space: SearchSpace,
    config: SearchConfig,
    tx: optax.GradientTransformation,
    model: latency.CostModel,
    target_ms: optax.Schedule,
) -> Step:
    """The jitted architecture step: samples a pair per layer and moves its alphas.

    The target is a function of the weight step.
    """
    mask = jnp.asarray(space.mask)

    def arch_step(state: SearchState, batch: Batch) -> tuple[SearchState, Metrics]:
        pair_key = rng.stream(state.key, "pair", state.step)
        pair = gates.sample_pair(pair_key, state.alphas, mask)
        target = jnp.asarray(target_ms(state.step))
        return update_alphas(space, config, tx, model, target, state, pair, batch)

    return jax.jit(arch_step, donate_argnums=0)


def make_validate(space: SearchSpace) -> Callable[[SearchState, Path, Batch], Scalar]:
    """The jitted accuracy of one path with batch statistics; changes nothing."""

    @jax.jit
    def validate(state: SearchState, path: Path, batch: Batch) -> Scalar:
        rows = supernet.rows_of(space, path)
        sampled = supernet.gather(state.params, rows)
        stats = supernet.gather(state.batch_stats, rows)
        logits, _ = supernet.apply(space, sampled, stats, rows, batch.images)
        return objective.accuracy(logits, batch.labels)

    return validate
