"""What a bench states about the process it ran in, beside versions and commit."""

import os
from typing import Any

import jax

from nas_jax.config import provenance


def record(is_tuned: bool) -> dict[str, Any]:
    """Provenance of a result, ready for JSON."""
    return {
        **provenance.record(),
        "backend": jax.default_backend(),
        "accelerator": jax.devices()[0].device_kind,
        "threads": {"jax": provenance.cores()},
        "allocator": {"tuned": is_tuned, "environment": _environment("MALLOC_")},
        "xla": _environment("XLA_"),
    }


def _environment(prefix: str) -> dict[str, str]:
    return {name: os.environ[name] for name in os.environ if name.startswith(prefix)}
