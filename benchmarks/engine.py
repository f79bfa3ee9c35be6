"""`benchmarks engine`: time, memory and compilation of the two steps of a search.

Held against training steps of plain networks along the same paths, against the same
steps in PyTorch, and against goals.
"""

import dataclasses
from typing import Any

from benchmarks import (
    compile_cost,
    goals,
    growth,
    machine,
    programs,
    step_memory,
    step_times,
)
from benchmarks.settings import EngineConfig
from nas_jax.training import host
from nas_jax.training.progress import Progress

HOW_TO_READ = (
    "over: a ratio, below 1 is less than what it is held against. plain: training "
    "steps of the plain networks of the same sampled paths; for memory, of the largest "
    "network of the space. torch: PyTorch's best memory format, step by step. Times "
    "are minima over rounds taken in turns, the medians stand beside them and show "
    "other work on the machine. memory: what a step needs besides its inputs and "
    "outputs, by the compiler; on a GPU the peak in use. all_paths: every candidate "
    "run and weighted. compile: both steps, traced and compiled by a fresh process "
    "with an empty cache; warm start: from the start of a second process until state "
    "and steps are ready from that cache. growth: "
    "the weight step of 12 candidates over that of 2, same paths, time or memory, "
    "whichever grew more."
)


def run(config: EngineConfig | None = None, watch: Progress | None = None) -> dict:
    """All parts that `config` names, ready for JSON: figures, what they are made of.

    Takes the allocator's setting for the whole process, as the command line does.
    """
    config, watch = config or EngineConfig(), watch or Progress()
    is_tuned = host.tune_allocator()
    found: dict[str, Any] = {
        "name": "engine",
        "config": dataclasses.asdict(config),
        "not_run": {
            figure.part: "left out"
            for figure in goals.FIGURES
            if figure.part not in config.parts
        },
        "by_medians": {},
        **{figure.name: None for figure in goals.FIGURES},
        "machine": machine.record(is_tuned),
    }

    def add(measured: dict[str, Any]) -> None:
        for shared in ("not_run", "by_medians"):
            found[shared].update(measured.pop(shared, {}))
        found.update(measured)

    with programs.no_compile_cache():
        if "time" in config.parts or "torch" in config.parts:
            add(step_times.measure(config, watch))
        if "memory" in config.parts:
            add(step_memory.measure(config, watch))
        if "growth" in config.parts:
            add(growth.measure(config, watch))
        if "compile" in config.parts:
            add(compile_cost.measure(config.space, config.batch, is_tuned, watch))
    return found


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Figures, goals and whether they are met, as text."""
    return goals.rows(result)
