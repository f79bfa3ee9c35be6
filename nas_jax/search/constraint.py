"""The target as a constraint: an augmented Lagrangian on expected costs.

With the excess g_d = E_d / T_d - 1 of every constraint d, which has no unit, so that
one setting serves every device:

    L = CE + sum_d [lambda_d g_d + rho/2 g_d^2]        (Hestenes 1969, Powell 1969)
    lambda_d <- lambda_d + rate rho g_d,   rho <- growth rho     after every step

The multiplier lambda comes to rest where E = T: it is the cross-entropy that a relative
change of the cost is worth there, so there is nothing to tune. rho holds E near T
meanwhile, weakly at first, while candidates are still to be told apart, then firmly.

The target, which comes first, is to be spent: E = T, lambda of either sign, as the
absolute reward of TuNAS (Bender et al. 2020) has it; a supernet undervalues its larger
networks, which are trained least. Further limits are not to be exceeded: E <= T,
lambda >= 0 (Rockafellar 1973). So is a target that no network within them exceeds
(`spendable`).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from nas_jax.base import Scalar

# One constraint, or D of them.
Excess = Float[Array, "*D"]


class Ascent(NamedTuple):
    """How multipliers and penalty weight move in every architecture step."""

    rate: float
    growth: float


def excess(cost: Float[Array, "*D"], target: Float[Array, "*D"] | float) -> Excess:
    """E/T - 1, the share by which an expected cost exceeds its target."""
    return cost / target - 1


def penalty(
    excess: Excess, multipliers: Excess, weight: Scalar, is_spent: Bool[Array, "*D"]
) -> Scalar:
    """What the constraints add to the loss.

    lambda g + rho/2 g^2 where g must be 0. Where it must not be above 0, the same while
    lambda + rho g > 0, and beyond that the constant -lambda^2 / (2 rho), which joins it
    smoothly.

    >>> g, limit = jnp.array(0.5), jnp.array(False)
    >>> float(penalty(g, jnp.array(0.25), jnp.array(2.0), limit))
    0.375
    """
    held = is_spent | (multipliers + weight * excess > 0)
    inside = multipliers * excess + weight / 2 * excess**2
    return jnp.where(held, inside, -(multipliers**2) / (2 * weight)).sum()


def ascend(
    ascent: Ascent,
    excess: Excess,
    multipliers: Excess,
    weight: Scalar,
    is_spent: Bool[Array, "*D"],
) -> tuple[Excess, Scalar]:
    """Multipliers and penalty weight after a step that left this excess."""
    moved = multipliers + ascent.rate * weight * excess
    return jnp.where(is_spent, moved, jnp.maximum(moved, 0)), weight * ascent.growth
