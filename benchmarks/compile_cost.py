"""What it costs to have both steps of the search ready, in a process of its own.

Cold: traced and compiled with no cache. Warm: from the start of the interpreter until
both are loaded from a persistent cache that a process before has filled.
"""

import tempfile
import time
from typing import Any

from benchmarks import fresh_process, programs
from benchmarks.settings import EngineConfig
from nas_jax.spaces import builders
from nas_jax.training import compiler, host
from nas_jax.training.progress import Progress

NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def _cache_in(folder: str) -> dict[str, str]:
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def ready(config: EngineConfig, is_tuned: bool, spawned: float) -> dict[str, float]:
    """Makes both steps ready; to be called in a fresh process.

    `spawned` is the time, in seconds since the epoch, when that process was asked for.
    """
    hits = compiler.cache_hits()
    if is_tuned:
        host.tune_allocator()
    searched = builders.mobile(config.space)
    both = [make(searched, config.batch) for make in (programs.weight, programs.arch)]
    return {
        "trace_s": sum(program.trace_s for program in both),
        "compile_s": sum(program.compile_s for program in both),
        "ready_s": time.time() - spawned,
        "peak_resident_bytes": fresh_process.peak_resident_bytes(),
        "cache_hits": len(hits),
    }


def measure(config: EngineConfig, is_tuned: bool, watch: Progress) -> dict[str, Any]:
    """Figures of the cold and of the warm start, and what they are made of."""

    def start(environment: dict[str, str]) -> dict[str, float]:
        arguments = (config, is_tuned, time.time())
        return fresh_process.call(ready, *arguments, environment=environment)

    watch.phase("compiling both steps in a fresh process, without a cache")
    cold = start(NO_CACHE)
    with tempfile.TemporaryDirectory() as folder:
        watch.phase("compiling both steps in a fresh process, into an empty cache")
        start(_cache_in(folder))
        watch.phase("loading both steps in a fresh process, from that cache")
        warm = start(_cache_in(folder))
    return {
        "compile_seconds": cold["trace_s"] + cold["compile_s"],
        "compile_gib": cold["peak_resident_bytes"] / 2**30,
        "warm_start_seconds": warm["ready_s"],
        "compile": {"cold": cold, "warm": warm},
    }
