"""The architecture step: sample, estimate the alphas' gradient, descend it.

ProxylessNAS, section 3.2, read from top to bottom:

    s ~ p = softmax(alpha)                     `sample`; by `estimators`
    G = an estimate of dL/dalpha at s          `estimate`; L in `objective`
    alpha <- Adam(alpha, G), rescaled          `update_alphas`; appendix of the paper
    lambda, rho <- ascent on E/T - 1           `update_alphas`; `constraint`

on a batch of `train_alphas`. Weights and batch statistics are left alone. Shapes: L
layers, K candidates.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import PartitionSpec

from nas_jax.base import (
    DATA_AXIS,
    Alphas,
    Images,
    Metrics,
    PRNGKey,
    PyTree,
    Scalar,
    stream,
)
from nas_jax.data.augment import as_they_are
from nas_jax.data.batches import Batch
from nas_jax.search import constraint, divergence, estimators
from nas_jax.search.estimators import Estimate, Sampled
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.training.devices import PLAIN, Devices

ArchStep = Callable[[SearchState, Batch, SearchProblem], tuple[SearchState, Metrics]]


def make_arch_step(
    tx: optax.GradientTransformation,
    *,
    ascent: constraint.Ascent | None = None,
    devices: Devices = PLAIN,
    normalise: Callable[[Images], Images] = as_they_are,
) -> ArchStep:
    """The jitted step: `(state, batch, problem) -> (state, metrics)`.

    It is compiled once for all paths, costs and targets. With
    `devices.paths_per_step` every device samples for itself.

    Args:
      tx: moves the alphas, as `schedule.search_alphas`.
      ascent: moves the multipliers; the objective `constrained` alone needs it.
      devices: the devices.
      normalise: makes of a batch's images, which may be bytes, what networks take.
    """

    def arch_step(
        state: SearchState, batch: Batch, problem: SearchProblem
    ) -> tuple[SearchState, Metrics]:
        key = stream(state.key, "pair", state.step)
        batch = Batch(devices.cast(normalise(batch.images)), batch.labels)
        if devices.paths_per_step > 1:
            sampled = None
            mean = mean_over_devices(problem, state, key, batch, devices)
        else:
            sampled = sample(problem, state, key)
            mean = mean_over_parts(problem, state, sampled, batch, devices)
        return update_alphas(problem, state, sampled, mean, tx=tx, ascent=ascent)

    return devices.jit(arch_step, donate_argnums=0)


def sample(problem: SearchProblem, state: SearchState, key: PRNGKey) -> Sampled:
    """What one step of the estimator draws."""
    estimator = estimators.of(problem.config)
    return estimator.sample(key, state.alphas, problem.mask, problem.config)


def estimate(
    problem: SearchProblem, state: SearchState, sampled: Sampled, batch: Batch
) -> Estimate:
    """The gradient at one sample.

    Raises `ValueError`, when traced, if its shape is not that of the alphas.
    """
    estimator = estimators.of(problem.config)
    estimated = estimator.estimate(problem, state, sampled, batch)
    shape = jnp.shape(estimated.alpha_gradients)
    if shape != state.alphas.shape:
        raise ValueError(
            f"estimator {estimator.name!r}: expected a gradient of shape "
            f"{state.alphas.shape} (layers, candidates), got {shape}"
        )
    return estimated


def mean_over_parts(
    problem: SearchProblem,
    state: SearchState,
    sampled: Sampled,
    batch: Batch,
    devices: Devices = PLAIN,
) -> Estimate:
    """`estimate` at one sample, the mean over the parts of the batch.

    Every part begins with the baseline of the step. Rewards are linear in accuracy, and
    a moving baseline in rewards: its mean is that of the whole batch.
    """

    def of_part(_: None, part: Batch) -> tuple[None, PyTree]:
        return None, tuple(estimate(problem, state, sampled, part))

    return Estimate(*devices.accumulated(of_part, None, batch)[1])


def mean_over_devices(
    problem: SearchProblem,
    state: SearchState,
    key: PRNGKey,
    batch: Batch,
    devices: Devices,
) -> Estimate:
    """The mean over n devices of estimates, each at a sample s_i of its own.

    1/n sum_i g(s_i; part i of the batch): its expectation is that of one sample, and
    the variance that comes from sampling is 1/n of it. Baselines are averaged as well.
    The devices run different networks, so batch normalisation takes the statistics of
    a device's own part.

    Needs `expectation = "full"`: the rescale of the pair expectation keeps the
    probabilities of all but one pair, and the devices together may move every alpha.
    """

    def on_device(
        key: PRNGKey, state: SearchState, problem: SearchProblem, batch: Batch
    ) -> tuple[Alphas, Scalar, Metrics]:
        key = jax.random.fold_in(key, lax.axis_index(DATA_AXIS))
        sampled = sample(problem, state, key)
        mean = mean_over_parts(problem, state, sampled, batch, devices)
        return lax.pmean(tuple(mean), DATA_AXIS)

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
    estimate: Estimate,
    *,
    tx: optax.GradientTransformation,
    ascent: constraint.Ascent | None = None,
) -> tuple[SearchState, Metrics]:
    """One step of the alphas, and one of the multipliers by the cost expected then.

    Without `sampled`, as after a mean over devices, there is no rescale. The metrics
    count the numbers of the gradient that are not finite, at finite alphas.

    Raises `ValueError` if the objective is `constrained` and `ascent` is missing.
    """
    config, old, gradients = problem.config, state.alphas, estimate.alpha_gradients
    wrong = jnp.sum(~jnp.isfinite(gradients), dtype=jnp.float32)
    wrong = jnp.where(jnp.isfinite(old).all(), wrong, 0.0)
    updates, arch_opt = tx.update(gradients, state.arch_opt, old)
    alphas = optax.apply_updates(old, updates)
    rescale = estimators.of(config).rescale
    if rescale is not None and sampled is not None:
        alphas = rescale(config, old, alphas, sampled)
    multipliers, penalty_weight = state.multipliers, state.penalty_weight
    if config.objective == "constrained":
        if ascent is None:
            raise ValueError(
                "objective constrained: expected the pace of its multipliers, got "
                "None; give schedule.multipliers(config, steps_per_epoch)"
            )
        multipliers, penalty_weight = constraint.ascend(
            ascent,
            constraint.excess(problem.expected_cost(alphas), problem.targets),
            multipliers,
            penalty_weight,
            problem.equalities,
        )
    state = dataclasses.replace(
        state,
        alphas=alphas,
        arch_opt=arch_opt,
        baseline=estimate.baseline,
        multipliers=multipliers,
        penalty_weight=penalty_weight,
    )
    return state, estimate.metrics | {divergence.WRONG_GRADIENTS: wrong}
