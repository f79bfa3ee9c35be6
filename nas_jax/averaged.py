"""An estimate of the alphas' gradient: means over parts of a batch, over devices."""

import dataclasses

import jax
from jax import lax
from jax.sharding import PartitionSpec

from nas_jax import estimators, latency
from nas_jax.base import DATA_AXIS, Alphas, Mask, Metrics, PRNGKey, PyTree, Scalar
from nas_jax.batches import Batch
from nas_jax.config import SearchConfig
from nas_jax.devices import Devices
from nas_jax.estimators import Estimate, Sampled
from nas_jax.joined import Target
from nas_jax.search_state import SearchState
from nas_jax.space import SearchSpace


def over_parts(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    sampled: Sampled,
    batch: Batch,
    execution: Devices,
) -> Estimate:
    """`estimators.estimate` at one sample, the mean over the parts of the batch."""

    def of_part(baseline: Scalar, part: Batch) -> tuple[Scalar, PyTree]:
        own = dataclasses.replace(state, baseline=baseline)
        found = estimators.estimate(space, config, model, target, own, sampled, part)
        return found.baseline, (found.alpha_gradients, found.metrics)

    baseline, (gradients, metrics) = execution.accumulated(
        of_part, state.baseline, batch
    )
    return Estimate(gradients, baseline, metrics)


def over_devices(
    space: SearchSpace,
    config: SearchConfig,
    model: latency.CostModel,
    target: Target,
    state: SearchState,
    key: PRNGKey,
    mask: Mask,
    batch: Batch,
    execution: Devices,
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
        key: PRNGKey,
        state: SearchState,
        model: latency.CostModel,
        target: Target,
        batch: Batch,
    ) -> tuple[Alphas, Scalar, Metrics]:
        own = jax.random.fold_in(key, lax.axis_index(DATA_AXIS))
        sampled = estimators.sample(config, own, state.alphas, mask)
        found = over_parts(
            space, config, model, target, state, sampled, batch, execution
        )
        return lax.pmean(tuple(found), DATA_AXIS)

    whole = PartitionSpec()
    return Estimate(
        *jax.shard_map(
            on_device,
            mesh=execution.mesh,
            in_specs=(*(whole,) * 4, PartitionSpec(DATA_AXIS)),
            out_specs=whole,
            check_vma=False,  # branches of a switch do not say on what they depend
        )(key, state, model, target, batch)
    )
