"""Memory of the steps over that of the largest plain network, and of all candidates."""

import dataclasses
from typing import Any

import jax

from benchmarks import all_candidates, fresh_process, programs, workload
from benchmarks.settings import EngineConfig
from nas_jax.networks import network
from nas_jax.spaces import builders
from nas_jax.training.progress import Progress

STEPS = ("plain", "weight", "arch")


def measure(config: EngineConfig, watch: Progress) -> dict[str, Any]:
    """Temporary bytes by the compiler; on devices that count them, the peak in use."""
    large = dataclasses.replace(
        config,
        space=dataclasses.replace(config.space, input_size=config.large_input_size),
        batch=config.large_batch,
    )
    usual, larger = memory_of(config, watch), memory_of(large, watch)
    if jax.devices()[0].memory_stats() is not None:
        watch.phase("taking every step in a fresh process for the peak of its memory")
        usual["peak_bytes_in_use"] = {
            step: fresh_process.call(peak_bytes_in_use, config, step) for step in STEPS
        }
    watch.phase("compiling a step of all candidates for its memory")
    searched = builders.mobile(config.space)
    everything = all_candidates.program(searched, config.batch).temp_bytes
    return {
        **_over_plain(usual, ""),
        **_over_plain(larger, "_224"),
        "all_paths_memory_over_ours": everything / usual["temp_bytes"]["weight"],
        "memory": {"usual": usual, "large": larger, "all_candidates": everything},
    }


def memory_of(config: EngineConfig, watch: Progress) -> dict[str, Any]:
    """Bytes of every step at one size of the images and the batch."""
    side = config.space.input_size
    watch.phase(f"compiling for their memory: {config.batch} images of {side}x{side}")
    return {
        "input_size": side,
        "batch": config.batch,
        "temp_bytes": temp_bytes(config),
    }


def _over_plain(memory: dict[str, Any], suffix: str) -> dict[str, float]:
    counted = memory.get("peak_bytes_in_use", memory["temp_bytes"])
    return {
        f"{step}_memory_over_plain{suffix}": counted[step] / counted["plain"]
        for step in ("weight", "arch")
    }


def temp_bytes(config: EngineConfig) -> dict[str, int]:
    """What each step needs besides its inputs and outputs, by the compiler."""
    searched = builders.mobile(config.space)
    made = {
        "plain": programs.plain(workload.largest(searched), config.batch),
        "weight": programs.weight(searched, config.batch),
        "arch": programs.arch(searched, config.batch),
    }
    return {step: made[step].temp_bytes for step in STEPS}


def peak_bytes_in_use(config: EngineConfig, step: str) -> int | None:
    """The most that a device held while it took a step; None if it does not count.

    To be called in a fresh process: the count is never reset.
    """
    searched = builders.mobile(config.space)
    work = workload.make(searched, config.batch, 1, config.seed)
    key = jax.random.key(config.seed)
    if step == "plain":
        one = workload.largest(searched)
        state = programs.plain_state(key, *network.init(key, one))
        call = workload.repeated(
            programs.plain(one, config.batch).run, state, work.batch
        )
    else:
        start = workload.start(work, config.seed)
        make = workload.weight_step if step == "weight" else workload.arch_step
        call = make(work, start)
    call()
    stats = jax.devices()[0].memory_stats()
    return None if stats is None else stats["peak_bytes_in_use"]
