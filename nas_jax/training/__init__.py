"""Training of plain networks, and what trainings and searches share.

`fit` and `accuracy` are those of `loop`, imported at their first use: the command line
reads other modules of this package without JAX.
"""

from typing import Any

__all__ = ["accuracy", "fit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nas_jax.training import loop

    return getattr(loop, name)
