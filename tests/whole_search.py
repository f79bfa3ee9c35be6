"""A search of seconds by every estimator; run as a program, in a mode of JAX's own.

    JAX_ENABLE_X64=1 python tests/whole_search.py

Prints the types of the numbers that a search carries, and whether all are finite.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.config import SearchConfig
from nas_jax.data.batches import Batch
from nas_jax.search.cost import CostModel
from nas_jax.search.loop import SearchData, run
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import architecture, builders
from nas_jax.training import loop
from tests import small_run

SPACE = builders.mobile(
    dataclasses.replace(small_run.EXPERIMENT.space, cells=(1,), head_channels=4)
)
WAYS = (
    {"estimator": "two_path", "expectation": "pair", "objective": "add_linear"},
    {"estimator": "full", "expectation": "full"},
    {
        "estimator": "reinforce",
        "expectation": "full",
        "reinforce_baseline": "reference",
        "reinforce_samples": 2,
    },
)


def data(seed, images=8, classes=10):
    numbers = np.random.default_rng(seed)
    pixels = numbers.normal(size=(images, *SPACE.input_shape)).astype(np.float32)
    return Batch(pixels, numbers.integers(classes, size=images).astype(np.int32))


def keep(key, images):
    return jnp.asarray(images)


def searched(space=SPACE, after=None, **fields):
    """The last epoch of a search of two, the second with architecture steps."""
    settings = {"warmup_epochs": 1, "joint_epochs": 1, "arch_start_epoch": 0}
    settings |= {"arch_every": 1, "batch": 4, "arch_batch": 4, "target_ms": 2.0}
    config = SearchConfig(**settings | fields)
    costs = jnp.where(jnp.asarray(space.mask), jnp.float32(1.5), jnp.float32(0))
    problem = SearchProblem(space, config, CostModel(costs, 1.0), 2.0)
    classes = space.classifier.classes
    parts = [data(seed, 8, classes) for seed in range(3)]
    *_, last = run(jax.random.key(0), problem, SearchData(*parts, keep), after=after)
    return last


def trained(config):
    """The last epoch of a training of a network of the space."""
    network = architecture.from_path(SPACE, np.array([0]), "any")
    *_, last = loop.run(jax.random.key(1), network, loop.Recipe(config, data(3), keep))
    return last


def main():
    states = []
    for way in WAYS:
        last = searched(**way)
        states += [last.state, last.probs]
    config = dataclasses.replace(small_run.EXPERIMENT.train, epochs=1, batch=4)
    states.append(trained(config).state)
    leaves = [
        leaf
        for leaf in jax.tree.leaves(states)
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    ]
    print(sorted({leaf.dtype.name for leaf in leaves}))


if __name__ == "__main__":
    main()
