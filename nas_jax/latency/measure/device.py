"""What can be timed: a runtime that has been set up, whichever it is.

Every runtime offers the same three calls to `operations` and `networks`, which know
nothing else about it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nas_jax.latency.measure import timing
from nas_jax.latency.measure.journal import Journal
from nas_jax.latency.measure.timing import Call
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part


@dataclass(frozen=True)
class Device:
    """A runtime on a device.

    `part` and `network` build what runs one inference of a whole batch; weights are
    drawn, as only shapes matter. `copy` runs a graph that only copies an array of shape
    `[C H W]` per image: what entering and leaving the runtime costs. Where arrays are
    not copied (`copies` False) every shape costs the same, the call. A call makes
    `per_call` inferences in a row.
    """

    name: str
    runtime: str
    version: str
    part: Callable[[Part], Call]
    network: Callable[[Architecture], Call]
    copy: Callable[[tuple[int, ...]], Call]
    copies: bool = True
    per_call: int = 1
    clock: str = "time.perf_counter"


CALL = (1,)
"""Shape of a copy that costs no more than the call."""


def copy_name(device: Device, shape: tuple[int, ...]) -> str:
    """What the time of a copy is called."""
    return f"identity {shape if device.copies else CALL}"


def time_groups(
    groups: Mapping[str, Callable[[], Mapping[str, Call]]],
    journal: Journal,
    *,
    repeats: int,
    loop_ms: float,
    spread_s: float = timing.SPREAD_S,
    passes: int = timing.PASSES,
    progress: timing.Progress | None = None,
) -> dict[str, np.ndarray]:
    """Milliseconds per call, Float `[repeats]`, of all calls of all groups.

    A group is built when its turn comes, timed interleaved and let go, so that only one
    has to fit into memory. Rounds go to the journal; those it has are not made again.

    Raises:
      ValueError: if the device fails or the journal's time is over; nothing is lost.
    """

    def all_rounds() -> Iterator[None]:
        for name, build in groups.items():
            left = repeats - len(journal.rounds(name))
            if left <= 0:
                continue
            try:
                for found in timing.rounds(
                    build(),
                    repeats=left,
                    loop_ms=loop_ms,
                    spread_s=spread_s * left / repeats,
                    passes=passes,
                ):
                    journal.keep(name, found)
                    yield
            except ValueError:
                raise
            except Exception as error:
                raise journal.stopped(error) from error

    done = sum(min(repeats, len(journal.rounds(name))) for name in groups)
    left = len(groups) * repeats - done
    loop = all_rounds()
    if progress is not None:
        loop = progress(loop, total=left, desc="measuring latency")  # type: ignore
    for _ in loop:
        pass
    times: dict[str, np.ndarray] = {}
    for name in groups:
        rows = journal.rounds(name)
        for call in rows[0]:
            times[call] = np.array([row[call] for row in rows])
    return times
