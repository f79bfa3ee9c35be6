"""The search: weights and architecture parameters of a supernet trained in turn.

In the order of the paper (ProxylessNAS, section 3):

    search_state    the problem (space, settings, costs, targets) and the state
    weight_step     section 3.1: sample a path, train its weights
    arch_step       3.2: sample, estimate the alphas' gradient, descend, ascend
    estimators      3.2, 3.3: two_path, full, reinforce, and those of a user
    objective       3.3: the loss or the reward that joins cross-entropy and cost
    schedule        the order of the steps, and their optimisers
    loop            the whole search, epoch by epoch
    spendable       which targets can be spent within the limits, before it begins
    movement        whether its alphas can move so far
    peaks           candidates beyond a limit on memory, left out before it begins
    derivation      from alphas to a network: `knapsack` within limits
    targets         what a search has to keep; `run` and `derive` by it

The equations that they use are functions of arrays: `gates`, `cost`, `constraint` and
`reinforce`. `prune` makes the space smaller during a search, `divergence` finds the
first number that is not finite, and `baselines` are networks to compare with.
"""

from nas_jax.search.targets import derive, run

__all__ = ["derive", "run"]
