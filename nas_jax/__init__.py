"""ProxylessNAS in JAX: search a fast network directly on your data and hardware.

The names below are loaded at their first use, so that `import nas_jax` takes no time
and starts no JAX.
"""

import importlib
from typing import Any

_NAMES = {
    "draw": ("nas_jax.report.picture", "draw"),
    "load": ("nas_jax.runs.setup", "load"),
    "load_experiment": ("nas_jax.config.shipped", "load_experiment"),
    "load_model": ("nas_jax.networks.checkpoint", "load_model"),
    "run": ("nas_jax.runs.result", "run"),
}
"""Module and name of everything that the package itself offers."""
_ROOMS = ("latency",)
"""Subpackages that offer functions themselves."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _NAMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_ROOMS})
