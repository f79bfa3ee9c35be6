"""`benchmarks space_starts`: what the first start of a search costs, space by space.

Both steps of a search are compiled from an empty cache in a process of their own, as
`benchmarks engine --parts compile` does for the paper's space, then loaded in another.
"""

import dataclasses
from typing import Any

from benchmarks import compile_cost
from benchmarks.settings import SpaceStartsConfig
from nas_jax.config import families, provenance
from nas_jax.training.progress import Progress

GOAL_S = 90
"""Seconds in which both steps should be compiled."""
HOW_TO_READ = (
    "Seconds of compiling both steps of a search from an empty cache (goal: "
    f"{GOAL_S}), and of a second start until state and steps are ready."
)


def run(config: SpaceStartsConfig, watch: Progress) -> dict[str, Any]:
    """A row per space, ready for JSON."""
    rows = []
    for name in config.spaces:
        watch.phase(name)
        space = dataclasses.replace(families.SPACES[name], input_size=config.input_size)
        found = compile_cost.measure(space, config.batch, True, watch)
        rows.append({"space": name, **found})
    return {"settings": dataclasses.asdict(config), "rows": rows} | provenance.record()


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header, and a row per space."""
    rows: list[tuple[str, ...]] = [
        ("space", "both steps compiled, s", "", "GiB", "second start, s")
    ]
    for one in result["rows"]:
        seconds = one["compile_seconds"]
        verdict = "met" if seconds <= GOAL_S else "missed"
        sizes = (f"{one['compile_gib']:.1f}", f"{one['warm_start_seconds']:.1f}")
        rows.append((one["space"], f"{seconds:.1f}", verdict, *sizes))
    return rows
