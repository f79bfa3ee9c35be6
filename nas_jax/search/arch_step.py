"""The architecture step: sample, estimate the alphas' gradient, descend it.

ProxylessNAS, section 3.2, read from top to bottom:

    s ~ what the estimator draws from p = softmax(alpha)       `estimators`
    G = its estimate of dL/dalpha on a batch of `train_alphas`, with L of `objective`
    alpha <- Adam(alpha, G), and the rescale of the pair       (appendix)
    lambda, rho <- one step of ascent on the excess E/T - 1    `constraint`

Weights and batch statistics are left alone. Shapes: L layers, K candidates.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import PartitionSpec

from nas_jax.base import DATA_AXIS, Alphas, Metrics, PRNGKey, PyTree, Scalar, stream
from nas_jax.data.batches import Batch
from nas_jax.search import constraint, cost, divergence, estimators
from nas_jax.search.estimators import Estimate, Sampled
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.training.devices import PLAIN, Devices

ArchStep = Callable[[SearchState, Batch, SearchProblem], tuple[SearchState, Metrics]]


def make_arch_step(
    tx: optax.GradientTransformation,
    *,
    ascent: constraint.Ascent | None = None,
    devices: Devices = PLAIN,
) -> ArchStep:
    """The jitted step: `(state, batch, problem) -> (state, metrics)`.

    It is compiled once for all paths, costs and targets. With
    `devices.paths_per_step` every device samples for itself.

    Args:
      tx: moves the alphas, as `schedule.search_alphas`.
      ascent: moves the multipliers; the objective `constrained` alone needs it.
      devices: the devices.
    """

    def arch_step(
        state: SearchState, batch: Batch, problem: SearchProblem
    ) -> tuple[SearchState, Metrics]:
        key = stream(state.key, "pair", state.step)
        batch = Batch(devices.cast(batch.images), batch.labels)
        if devices.paths_per_step > 1:
            sampled = None
            found = mean_over_devices(problem, state, key, batch, devices)
        else:
            sampled = sample(problem, state, key)
            found = mean_over_parts(problem, state, sampled, batch, devices)
        return update_alphas(problem, state, sampled, found, tx=tx, ascent=ascent)

    return devices.jit(arch_step, donate_argnums=0)


def sample(problem: SearchProblem, state: SearchState, key: PRNGKey) -> Sampled:
    """What one step of the estimator draws."""
    estimator = estimators.of(problem.config)
    return estimator.sample(key, state.alphas, problem.mask, problem.config)


def estimate(
    problem: SearchProblem, state: SearchState, sampled: Sampled, batch: Batch
) -> Estimate:
    """The gradient at one sample.

    Raises `ValueError`, when traced, if it is not as the alphas.
    """
    estimator = estimators.of(problem.config)
    found = estimator.estimate(problem, state, sampled, batch)
    shape = jnp.shape(found.alpha_gradients)
    if shape != state.alphas.shape:
        raise ValueError(
            f"estimator {estimator.name!r}: expected a gradient of shape "
            f"{state.alphas.shape} (layers, candidates), got {shape}"
        )
    return found


def mean_over_parts(
    problem: SearchProblem,
    state: SearchState,
    sampled: Sampled,
    batch: Batch,
    devices: Devices = PLAIN,
) -> Estimate:
    """`estimate` at one sample, the mean over the parts of the batch."""

    def of_part(baseline: Scalar, part: Batch) -> tuple[Scalar, PyTree]:
        own = dataclasses.replace(state, baseline=baseline)
        found = estimate(problem, own, sampled, part)
        return found.baseline, (found.alpha_gradients, found.metrics)

    baseline, (gradients, metrics) = devices.accumulated(of_part, state.baseline, batch)
    return Estimate(gradients, baseline, metrics)


def mean_over_devices(
    problem: SearchProblem,
    state: SearchState,
    key: PRNGKey,
    batch: Batch,
    devices: Devices,
) -> Estimate:
    """The mean over devices of estimates, each at a sample of its own.

    With n devices and samples s_1, ..., s_n drawn independently (key number i of `key`
    on device i) the gradient is 1/n sum_i g(s_i; part i of the batch): its expectation
    is that of one sample, and the variance that comes from sampling is 1/n of it. With
    `two_path` a sample is a pair of paths, with `full` a path, with `reinforce` the M
    paths, whose baselines are averaged as well. A device runs another network than the
    next, so batch normalisation takes the statistics of the device's own part; weights
    and running statistics are left alone, as in every architecture step.

    Needs `expectation = "full"`: the rescale of the pair expectation keeps the
    probabilities of all but one pair, and between them the devices may move every
    alpha.
    """

    def on_device(
        key: PRNGKey, state: SearchState, problem: SearchProblem, batch: Batch
    ) -> tuple[Alphas, Scalar, Metrics]:
        own = jax.random.fold_in(key, lax.axis_index(DATA_AXIS))
        sampled = sample(problem, state, own)
        found = mean_over_parts(problem, state, sampled, batch, devices)
        return lax.pmean(tuple(found), DATA_AXIS)

    whole = PartitionSpec()
    return Estimate(
        *jax.shard_map(
            on_device,
            mesh=devices.mesh,
            in_specs=(whole, whole, whole, PartitionSpec(DATA_AXIS)),
            out_specs=whole,
            check_vma=False,  # branches of a switch do not say on what they depend
        )(key, state, problem, batch)
    )


def update_alphas(
    problem: SearchProblem,
    state: SearchState,
    sampled: Sampled,
    found: Estimate,
    *,
    tx: optax.GradientTransformation,
    ascent: constraint.Ascent | None = None,
) -> tuple[SearchState, Metrics]:
    """One step on the alphas, and one of the multipliers by the cost expected then.

    The metrics count the numbers of the gradient that are not finite, at finite alphas.
    """
    gradients = found.alpha_gradients
    wrong = jnp.sum(~jnp.isfinite(gradients), dtype=jnp.float32)
    wrong = jnp.where(jnp.isfinite(state.alphas).all(), wrong, 0.0)
    state = apply_gradients(problem, state, sampled, gradients, tx=tx)
    state = dataclasses.replace(state, baseline=found.baseline)
    if problem.config.objective == "constrained":
        state = ascend(problem, state, ascent)
    return state, found.metrics | {divergence.WRONG_GRADIENTS: wrong}


def apply_gradients(
    problem: SearchProblem,
    state: SearchState,
    sampled: Sampled,
    gradients: Alphas,
    *,
    tx: optax.GradientTransformation,
) -> SearchState:
    """The state after the optimiser moved the alphas, and the estimator's rescale.

    Without `sampled`, as after a mean over devices, there is none.
    """
    updates, arch_opt = tx.update(gradients, state.arch_opt, state.alphas)
    alphas = optax.apply_updates(state.alphas, updates)
    rescale = estimators.of(problem.config).rescale
    if rescale is not None and sampled is not None:
        alphas = rescale(problem.config, state.alphas, alphas, sampled)
    return dataclasses.replace(state, alphas=alphas, arch_opt=arch_opt)


def ascend(
    problem: SearchProblem, state: SearchState, ascent: constraint.Ascent | None
) -> SearchState:
    """The state after the multipliers followed the expected cost."""
    if ascent is None:
        raise ValueError(
            "objective constrained: expected the pace of its multipliers, got None; "
            "give schedule.multipliers(config, steps_per_epoch)"
        )
    expected = cost.expected_full(problem.costs, state.alphas, problem.mask)
    multipliers, weight = constraint.ascend(
        ascent,
        constraint.excess(expected, problem.targets),
        state.multipliers,
        state.penalty_weight,
        constraint.is_spent(problem.costs, problem.mask, problem.targets),
    )
    return dataclasses.replace(state, multipliers=multipliers, penalty_weight=weight)
