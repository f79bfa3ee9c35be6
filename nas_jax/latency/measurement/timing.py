"""Interleaved timing of calls on a runtime, and the statistics of it.

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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement.journal import Journal
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

Progress = Callable[..., Iterable[Any]]
"""Wraps a loop like tqdm: progress(iterable, total=..., desc=...)."""
Call = Callable[[], None]

SPREAD_S = 6.0
"""Seconds that all rounds together take, at least, by default."""
WARM_UP_CALLS = 3
CALL = (1,)
"""Shape of a copy that costs no more than the call."""


@dataclass(frozen=True)
class Device:
    """A runtime on a device, set up by `config`.

    `part` and `network` build what runs one inference of a whole batch; weights are
    drawn, as only shapes matter. `copy` runs a graph that only copies an array of shape
    `[C H W]` per image: what entering and leaving the runtime costs. Where arrays are
    not copied (`copies` False) every shape costs the same, the call. A call makes
    `per_call` inferences in a row. A reference network is built `buildings` times.
    `dtype` is of the numbers that networks are computed in.
    """

    name: str
    runtime: str
    version: str
    config: LatencyConfig
    part: Callable[[Part], Call]
    network: Callable[[Architecture], Call]
    copy: Callable[[tuple[int, ...]], Call]
    copies: bool = True
    per_call: int = 1
    buildings: int = 4
    clock: str = "time.perf_counter"
    dtype: str = "float32"

    def copy_name(self, shape: tuple[int, ...]) -> str:
        """The name of a copy among timed calls."""
        return f"identity {shape if self.copies else CALL}"


@dataclass(frozen=True)
class Protocol:
    """The way calls are timed.

    A value is the best of `passes` or more loops of at least `loop_ms`, per call: a
    round lasts `spread_s / repeats` or so many passes, whichever is longer.
    """

    repeats: int
    loop_ms: float
    spread_s: float = SPREAD_S
    passes: int = 5


def time_groups(
    groups: Mapping[str, Callable[[], Mapping[str, Call]]],
    journal: Journal,
    protocol: Protocol,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Milliseconds per call, Float `[repeats]`, of all calls of all groups.

    A group is built when its turn comes, timed interleaved and released, so that only
    one has to fit into memory. Rounds go to the journal; those it has are not repeated.

    Raises:
      ValueError: if the device fails or the journal's time is over; nothing is lost.
    """
    repeats = protocol.repeats

    def all_rounds() -> Iterator[None]:
        for name, build in groups.items():
            left = repeats - len(journal.rounds(name))
            if left <= 0:
                continue
            spread_s = protocol.spread_s * left / repeats
            rest = replace(protocol, repeats=left, spread_s=spread_s)
            try:
                for round_ms in rounds(build(), rest):
                    journal.keep(name, round_ms)
                    yield
            except ValueError:
                raise
            except Exception as error:
                raise journal.stopped(error) from error

    done = sum(min(repeats, len(journal.rounds(name))) for name in groups)
    left = len(groups) * repeats - done
    loop: Iterable[None] = all_rounds()
    if progress is not None:
        loop = progress(loop, total=left, desc="measuring latency")
    for _ in loop:
        pass
    times: dict[str, np.ndarray] = {}
    for name in groups:
        rows = journal.rounds(name)
        for call in rows[0]:
            times[call] = np.array([row[call] for row in rows])
    return times


def time_calls(
    calls: Mapping[str, Call], protocol: Protocol, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Milliseconds per call, Float `[repeats]`: one value per round of `rounds`."""
    loop: Iterable[dict[str, float]] = rounds(calls, protocol)
    if progress is not None:
        loop = progress(loop, total=protocol.repeats, desc="measuring latency")
    rows = list(loop)
    return {name: np.array([row[name] for row in rows]) for name in calls}


def rounds(calls: Mapping[str, Call], protocol: Protocol) -> Iterator[dict[str, float]]:
    """Milliseconds per call of every round, without the garbage collector."""
    order, shuffle = list(calls), random.Random(0).shuffle
    repeats, spread_s = protocol.repeats, protocol.spread_s
    with no_garbage_collection():
        loops = {
            name: _loop_count(call, protocol.loop_ms) for name, call in calls.items()
        }
        start = time.perf_counter()
        for index in range(repeats):
            best = dict.fromkeys(calls, math.inf)
            end = start + (index + 1) * spread_s / repeats
            done = 0
            while done < protocol.passes or time.perf_counter() < end:
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
    """The quartiles over all rounds: 25 %, median, 75 %."""
    q25, median, q75 = np.percentile(times, [25, 50, 75]).tolist()
    return q25, median, q75


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A context without the garbage collector, which runs once before it."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def elapsed_ms(call: Call, count: int) -> float:
    """Milliseconds of `count` calls in a row."""
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
