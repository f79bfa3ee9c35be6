"""The problem of a search, and the state that it carries from step to step."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from nas_jax import supernet
from nas_jax.base import Alphas, Mask, PRNGKey, PyTree, Scalar, stream
from nas_jax.config.search import SearchConfig
from nas_jax.search import cost
from nas_jax.search.cost import CostModel
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import kept_programs


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SearchProblem:
    """What a search solves: the least loss in a space, at a cost.

    Space and settings are static in a jitted step. Costs and targets are arrays: one
    program serves every table, also the one that the next run measures.

    Attributes:
      space: L layers of K candidates.
      config: schedule, estimator, objective.
      costs: of all candidates, `[L K]`, or `[D L K]` of D costs.
      targets: of the expected costs in the same units, a scalar, or `[D]`.
      is_spent: which of them the search is to come to, not only to keep. `loop.run`
        asks `spendable`; before, None stands for the first.
    """

    space: SearchSpace = dataclasses.field(metadata={"static": True})
    config: SearchConfig = dataclasses.field(metadata={"static": True})
    costs: CostModel
    targets: Float[Array, "*D"] | float
    is_spent: Bool[Array, "*D"] | None = None

    @property
    def equalities(self) -> Bool[Array, "*D"]:
        """`is_spent`, or its default."""
        if self.is_spent is not None:
            return self.is_spent
        shape = jnp.shape(self.targets)
        return jnp.arange(math.prod(shape)).reshape(shape) == 0

    @property
    def mask(self) -> Mask:
        """The candidates that each layer offers."""
        return jnp.asarray(self.space.mask)

    def expected_cost(self, alphas: Alphas) -> Float[Array, "*D"]:
        """E of these alphas, over all candidates of every layer."""
        return cost.expected_full(self.costs, alphas, self.mask)


@kept_programs.register
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SearchState:
    """Everything a search carries from step to step.

    `step` counts weight steps; `multipliers` (one, or `[D]` with further limits) and
    `penalty_weight` are those of `constraint`; `baseline` is the moving baseline of
    `reinforce`, -inf before its first update. All that is no count is Float32, also
    where a user has JAX compute in 64 bits.
    """

    step: Array
    key: PRNGKey
    params: PyTree
    batch_stats: PyTree
    alphas: Alphas
    weight_opt: PyTree
    arch_opt: PyTree
    multipliers: Float[Array, "*D"]
    penalty_weight: Scalar
    baseline: Scalar


def init(
    key: PRNGKey,
    space: SearchSpace,
    config: SearchConfig,
    weights_tx: optax.GradientTransformation,
    alphas_tx: optax.GradientTransformation,
) -> SearchState:
    """Fresh weights, alphas and optimiser states."""
    params, batch_stats = supernet.init(stream(key, "weights"), space)
    alphas = initial_alphas(key, space, config)
    return SearchState(
        step=jnp.zeros((), jnp.int32),
        key=stream(key, "steps"),  # a copy: the steps donate their state
        params=params,
        batch_stats=batch_stats,
        alphas=alphas,
        weight_opt=weights_tx.init(params),
        arch_opt=alphas_tx.init(alphas),
        multipliers=jnp.zeros(
            (1 + len(config.sums),) if config.sums else (), jnp.float32
        ),
        penalty_weight=jnp.full((), config.penalty_weight, jnp.float32),
        baseline=jnp.full((), -jnp.inf, jnp.float32),
    )


def initial_alphas(key: PRNGKey, space: SearchSpace, config: SearchConfig) -> Alphas:
    """Drawn from N(0, alpha_init_std), as the reference does."""
    shape = space.mask.shape
    noise = jax.random.normal(stream(key, "alphas"), shape, jnp.float32)
    return config.alpha_init_std * noise
