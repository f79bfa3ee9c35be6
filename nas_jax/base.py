"""Shared array types, the letters used for their axes, and streams of random keys.

B batch · H W C image height, width, channels · L searchable layers · K candidate
operations · D costs. Imports nothing of the package.
"""

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

# Data may still lie in host memory.
Images = Float[Array | np.ndarray, "B H W C"]
Labels = Int[Array | np.ndarray, "B"]
Logits = Float[Array, "B classes"]

Alphas = Float[Array, "L K"]
Probs = Float[Array, "L K"]
Mask = Bool[Array, "L K"]
Costs = Float[Array, "*D L K"]
Path = Int[Array, "L"]


class PathPair(NamedTuple):
    """Two candidates per layer; only the active one carries the signal forward."""

    active: Path
    inactive: Path

    @property
    def indices(self) -> Int[Array, "L 2"]:
        return jnp.stack(self, axis=1)


Scalar = Float[Array, ""]
PRNGKey = Key[Array, ""]

# Nested dicts and lists of arrays; the structure belongs to the module that made it.
PyTree = Any
Metrics = dict[str, Any]

DATA_AXIS = "data"
"""Axis of a mesh of devices along which a batch is cut."""


def stream(key: PRNGKey, name: str, step: int | jax.Array = 0) -> PRNGKey:
    """Key number `step` of the stream `name`; `key` may be used for other streams.

    A pure function of (seed, stream, step): what a step draws does not depend on what
    ran before it, so a resumed run draws what an uninterrupted one would.
    """
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), step)
