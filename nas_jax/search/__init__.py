"""The search: gates, estimators, objective, the two steps, derivation."""

from nas_jax.search.targets import derive, run

__all__ = ["derive", "run"]
