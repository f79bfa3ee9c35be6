"""How the weight step grows with the candidates, on the same sampled paths."""

import dataclasses
from typing import Any

from benchmarks import programs, turns, workload
from benchmarks.settings import CANDIDATES, FEW, MANY, EngineConfig
from benchmarks.workload import Call
from nas_jax.spaces import builders
from nas_jax.training.progress import Progress


def measure(config: EngineConfig, watch: Progress) -> dict[str, Any]:
    """The larger of two ratios, many candidates over few: of time and of memory.

    The paths run through the few, which both spaces hold in the same places.
    """
    calls: dict[str, Call] = {}
    temp_bytes = {}
    for count in (FEW, MANY):
        watch.phase(f"compiling the weight step of {count} candidates")
        own = dataclasses.replace(config.space, candidates=CANDIDATES[:count])
        work = workload.make(
            builders.mobile(own), config.batch, config.paths, config.seed, among=FEW
        )
        state = workload.start(work, config.seed)
        calls[str(count)] = workload.weight_step(work, state)
        temp_bytes[str(count)] = programs.weight(work.searched, work.images).temp_bytes
    times = turns.in_turns(calls, rounds=config.rounds, steps=config.paths, watch=watch)
    few, many = str(FEW), str(MANY)
    memory = temp_bytes[many] / temp_bytes[few]
    figures = {
        statistic: max(times[many][statistic] / times[few][statistic], memory)
        for statistic in ("min", "median")
    }
    return {
        "growth_2_to_12": figures["min"],
        "by_medians": {"growth_2_to_12": figures["median"]},
        "growth": {"times_ms": times, "temp_bytes": temp_bytes},
    }
