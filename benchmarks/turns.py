"""Calls of some tenths of a second, timed in turns.

`measure.timing` times calls of microseconds and loops them. Steps of a search last
longer than most disturbances of a machine, so a round takes every call once, in
shuffled order, and what other work cost shows as the distance of the median from the
minimum: nothing makes a call faster than it is.
"""

import random
from collections.abc import Callable, Mapping

import numpy as np

from nas_jax.latency.measurement import timing
from nas_jax.training.progress import Progress


def in_turns(
    calls: Mapping[str, Callable[[], None]], *, rounds: int, steps: int, watch: Progress
) -> dict[str, dict[str, float]]:
    """Milliseconds per step of every call: the minimum and the median over rounds.

    A call takes one step; a round takes `steps` of each, after as many to warm up
    before the first. The garbage collector is off meanwhile.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0).shuffle
    for call in calls.values():
        timing.elapsed_ms(call, steps)
    with timing.no_garbage_collection():
        for _ in watch.steps(range(rounds), total=rounds, desc="timing"):
            shuffle(order)
            for name in order:
                times[name].append(timing.elapsed_ms(calls[name], steps) / steps)
            watch.note(steps=f"{steps} of each of {len(calls)}")
    return {
        name: {"min": float(np.min(values)), "median": float(np.median(values))}
        for name, values in times.items()
    }
