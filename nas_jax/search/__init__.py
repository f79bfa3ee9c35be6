"""The search: gates, estimators, objective, the two steps, derivation."""
