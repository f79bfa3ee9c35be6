"""Interleaved timing of calls, and the statistics of it; knows no runtime.

Other work on a machine slows a call, for milliseconds or for seconds; nothing makes it
faster. Three consequences. A round passes several times over all calls, in shuffled
order, and keeps the best time of each: a slow phase hits all alike and short ones drop
out. Rounds fill some seconds, so that not all fall into one phase. The time of a call
is the mean over the fastest quarter of its rounds, `steady`; median and quartiles are
over all rounds and show the disturbance that is left.
"""

import contextlib
import gc
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

# Wraps the rounds like tqdm: progress(iterable, total=..., desc=...).
Progress = Callable[..., Iterable[Any]]
Call = Callable[[], None]

SPREAD_S = 6.0
"""Seconds that all rounds together take, at least, by default."""

PASSES = 5
WARM_UP_CALLS = 3


def time_calls(
    calls: Mapping[str, Call],
    *,
    repeats: int,
    loop_ms: float,
    spread_s: float = SPREAD_S,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Milliseconds per call, Float `[repeats]`: one value per round of `rounds`."""
    found: Iterable[dict[str, float]] = rounds(
        calls, repeats=repeats, loop_ms=loop_ms, spread_s=spread_s
    )
    if progress is not None:
        found = progress(found, total=repeats, desc="measuring latency")
    kept = list(found)
    return {name: np.array([row[name] for row in kept]) for name in calls}


def rounds(
    calls: Mapping[str, Call],
    *,
    repeats: int,
    loop_ms: float,
    spread_s: float = SPREAD_S,
    passes: int = PASSES,
) -> Iterator[dict[str, float]]:
    """Milliseconds per call of every round.

    A value is the best of `passes` or more loops of at least `loop_ms`, per call: a
    round lasts `spread_s / repeats` or so many passes, whichever is longer. The garbage
    collector is off meanwhile.
    """
    order, shuffle = list(calls), random.Random(0).shuffle
    with no_garbage_collection():
        loops = {name: _loop_count(call, loop_ms) for name, call in calls.items()}
        start = time.perf_counter()
        for index in range(repeats):
            best = dict.fromkeys(calls, math.inf)
            end = start + (index + 1) * spread_s / repeats
            done = 0
            while done < passes or time.perf_counter() < end:
                done += 1
                shuffle(order)
                for name in order:
                    # the call before this one left its own data in the caches
                    elapsed_ms(calls[name], 1)
                    elapsed = elapsed_ms(calls[name], loops[name])
                    best[name] = min(best[name], elapsed / loops[name])
            yield best


def fastest(times: np.ndarray) -> np.ndarray:
    """The fastest quarter of the rounds, at least two, sorted.

    >>> fastest(np.array([4.0, 1.0, 9.0, 2.0, 3.0])).tolist()
    [1.0, 2.0]
    """
    return np.sort(times)[: max(2, math.ceil(len(times) / 4))]


def steady(times: np.ndarray) -> float:
    """The mean over the fastest quarter of the rounds."""
    return float(fastest(times).mean())


def quartiles(times: np.ndarray) -> tuple[float, float, float]:
    """25 %, median, 75 % over all rounds."""
    q25, median, q75 = np.percentile(times, [25, 50, 75]).tolist()
    return q25, median, q75


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collects once, then not until the end."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def elapsed_ms(call: Call, count: int) -> float:
    """Milliseconds of so many calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return 1e3 * (time.perf_counter() - start)


def _loop_count(call: Call, loop_ms: float) -> int:
    """Calls that together last at least `loop_ms`; warms up on the way."""
    elapsed_ms(call, WARM_UP_CALLS)
    count = 1
    while (elapsed := elapsed_ms(call, count)) < loop_ms:
        growth = 1.1 * loop_ms / max(elapsed, 1e-6)
        count = math.ceil(count * min(growth, 10))
    return count
