"""Named streams of random keys.

A key is a pure function of (seed, stream, step): what a step draws does not depend on
what ran before it, so a resumed run draws what an uninterrupted one would.
"""

import zlib

import jax

from nas_jax.base import PRNGKey


def stream(key: PRNGKey, name: str, step: int | jax.Array = 0) -> PRNGKey:
    """Key number `step` of the stream `name`; `key` may be used for other streams."""
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), step)
