"""The reference network: timed with the parts of a table, and beside networks later.

Clock, heat and other work on the machine slow all that is timed alike. What a table and
a later session have in common is one network, timed in both: its time now over its
time then is the pace, which all of the session share. A network that is built anew
takes 1 to 3 % more or less, as its arrays fall; so it is built several times.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from nas_jax.latency import tables
from nas_jax.latency.measurement.timing import Device
from nas_jax.latency.tables import LatencyTable
from nas_jax.spaces import architecture
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace

SAME = 0.01
"""A pace that differs from 1 by less is not told from it."""


class Pace(NamedTuple):
    """How much longer everything takes than when the table was measured."""

    factor: float
    sd: float
    """Relative standard error of the factor, by the buildings of the reference."""
    reference_ms: float
    table_ms: float


def of(space: SearchSpace) -> Architecture:
    """The hand-designed network; in a space without, every layer's first candidate."""
    try:
        return architecture.hand_designed(space)
    except ValueError:
        return architecture.from_path(space, space.mask.argmax(axis=1), "reference")


def name(place: int) -> str:
    """The name of one building among timed calls."""
    return f"reference {place}"


def pace(table: LatencyTable, reference_ms: np.ndarray) -> Pace:
    """The pace of a session in which the table's reference took `reference_ms` `[R]`.

    Raises `ValueError` for a table without a reference, or times that are none.
    """
    if table.reference is None:
        raise ValueError(
            "pace of the machine: expected a table with a reference network, got one "
            f"without; {tables.MEASURE}"
        )
    times = np.asarray(reference_ms, float)
    if len(times) == 0 or not (np.isfinite(times).all() and (times > 0).all()):
        raise ValueError(
            "pace of the machine: expected times of the reference network above 0, "
            f"got {times.tolist()}; measure again"
        )
    then, spread = table.reference.measured_ms, 0.0
    if len(times) > 1:
        spread = float(np.log(times).std(ddof=1)) / math.sqrt(len(times))
    return Pace(float(times.mean() / then), spread, float(times.mean()), then)


def common_sd(table: LatencyTable, reference_ms: np.ndarray) -> float:
    """How far all that is timed moves together: sqrt(mean of log^2(now / then)).

    The mean is over the buildings of the reference, so it has the pace, its drift and
    what one building differs from another. Raises `ValueError` as `pace`.
    """
    then = pace(table, reference_ms).table_ms
    return float(np.sqrt((np.log(np.asarray(reference_ms) / then) ** 2).mean()))


def why_none(
    table: LatencyTable, device: Device, timed: Architecture | None = None
) -> str | None:
    """The reason why no pace is to be found on a device; None if one is.

    `timed` is the network that is compared, by default the table's reference.
    """
    here: dict[str, Any] = {
        "device": device.name,
        "runtime": device.runtime,
        "threads": device.config.threads,
        "batch": device.config.batch,
    }
    for what, own in here.items():
        if (its := table.provenance.get(what)) != own:
            return f"the table is of {what} {its}, networks are timed with {own}"
    if table.reference is None:
        return "the table has no reference network, as those of older versions"
    try:
        stored = table.reference.network
    except ValueError as error:
        return f"the table's reference network cannot be built ({error})"
    if timed is not None and timed.parts != stored.parts:
        return "the table's reference network is another than the hand-designed one"
    return None


def not_known(why: str) -> str:
    """A line for people where there is no pace."""
    return f"how fast this machine is against the table's is not known: {why}"


def is_told(pace: Pace) -> bool:
    """Whether a pace is another than the table's, so that it is worth a line."""
    return abs(pace.factor - 1) >= SAME


def line(pace: Pace) -> str:
    """The pace of the machine for people.

    >>> line(Pace(1.16, 0.01, 1.16, 1.0))
    'this machine is 16 % slower than when the table was measured (reference network: \
1 ms then, 1.16 ms now)'
    """
    off = pace.factor - 1
    how = f"{abs(off):.0%} {'slower' if off > 0 else 'faster'} than"
    if abs(off) < SAME:
        how = "as fast as"
    return (
        f"this machine is {how.replace('%', ' %')} when the table was measured "
        f"(reference network: {pace.table_ms:.4g} ms then, {pace.reference_ms:.4g} ms "
        "now)"
    )
