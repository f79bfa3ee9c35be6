"""What it costs to have the steps of a search ready, in a process of its own.

Cold: with an empty cache, as on a user's first run. Warm: from the start of the
interpreter until state and steps are loaded from the cache that the cold one filled.
"""

import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import fresh_process
from nas_jax.config.data import DataConfig
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import augment
from nas_jax.data.batches import Batch
from nas_jax.search import loop
from nas_jax.search.cost import CostModel
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import builders
from nas_jax.training import compiler, host
from nas_jax.training.compiler import Compiler
from nas_jax.training.progress import Progress

STEPS = ("weight step", "architecture step")


def _cache_in(folder: str) -> dict[str, str]:
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def ready(
    space: SpaceConfig, batch: int, is_tuned: bool, spawned: float
) -> dict[str, float]:
    """Makes a search's state and both its steps ready; to be called in a fresh process.

    `spawned` is the time, in seconds since the epoch, when that process was asked for.
    """
    hits = compiler.cache_hits()
    if is_tuned:
        host.tune_allocator()
    searched = builders.mobile(space)
    search = SearchConfig(batch=batch, arch_batch=batch, arch_every=1)
    costs = CostModel(jnp.ones(searched.mask.shape), 0.0)
    problem = SearchProblem(searched, search, costs, 1.0)
    split = Batch(
        np.zeros((batch, *searched.input_shape), np.float32), np.zeros(batch, np.int32)
    )
    data = loop.SearchData(split, split, split, augment.of(DataConfig()))
    compile, key = Compiler(Progress()), jax.random.key(0)
    state = jax.block_until_ready(loop.begin(key, problem, data))
    ready_s = time.time() - spawned
    calls = loop.programs(key, problem, data, state)
    compile({name: calls[name] for name in STEPS})
    return {
        "initial_state_s": ready_s,
        "steps_s": compile.seconds,
        "ready_s": time.time() - spawned,
        "peak_resident_bytes": fresh_process.peak_resident_bytes(),
        "cache_hits": len(hits),
    }


def measure(
    space: SpaceConfig, batch: int, is_tuned: bool, watch: Progress
) -> dict[str, Any]:
    """Figures of the cold and of the warm start, and what they are made of."""
    with tempfile.TemporaryDirectory() as folder:

        def start() -> dict[str, float]:
            arguments = (space, batch, is_tuned, time.time())
            environment = _cache_in(folder)
            return fresh_process.call(ready, *arguments, environment=environment)

        watch.phase("compiling a search in a fresh process, into an empty cache")
        cold = start()
        watch.phase("loading it in a fresh process, from that cache")
        warm = start()
    return {
        "compile_seconds": cold["steps_s"],
        "compile_gib": cold["peak_resident_bytes"] / 2**30,
        "warm_start_seconds": warm["ready_s"],
        "compile": {"cold": cold, "warm": warm},
    }
