"""ProxylessNAS in JAX: search a fast network directly on your data and hardware.

The names below are loaded at their first use, so that `import nas_jax` takes no time
and starts no JAX.
"""

import pkgutil
from typing import Any

_NAMES = {
    "command": "nas_jax.cli.main:typed",
    "config": "nas_jax.config",
    "counts": "nas_jax.networks.counts",
    "draw": "nas_jax.report.picture:draw",
    "example_pictures": "nas_jax.data.fashion_mnist:write_pictures",
    "export": "nas_jax.export",
    "latency": "nas_jax.latency",
    "load": "nas_jax.runs.setup:load",
    "load_experiment": "nas_jax.config.overrides:load",
    "load_model": "nas_jax.networks.checkpoint:load_model",
    "load_run": "nas_jax.runs.result:load",
    "predict": "nas_jax.export.predict:of_pictures",
    "published": "nas_jax.spaces.published:get",
    "report": "nas_jax.report",
    "run": "nas_jax.runs.result:run",
    "search": "nas_jax.search",
    "targets": "nas_jax.runs.setup:resolve_targets",
    "training": "nas_jax.training",
}
"""Module, or module:name, of everything that the package itself offers."""
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return pkgutil.resolve_name(_NAMES[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
