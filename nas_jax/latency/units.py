"""Wrong units, told by arithmetic: an entry stands for multiply-adds per second.

A table in seconds that is read as milliseconds claims a thousandfold speed, one in
microseconds a thousandth. The median rate over all entries is held against what
hardware can do. Bounds, in 10^9 multiply-adds per second, per thread on a CPU or phone:

* at most 500: a core with two 512-bit units at 4 GHz reaches 128 in float32, and
  matrix units a few times that;
* at least 0.01: a microcontroller reaches that;
* a GPU or TPU: at most 10^6, more than any of 2026.
"""

import statistics
from collections.abc import Mapping
from typing import Any

from nas_jax.latency.schema import Entry
from nas_jax.networks import counts
from nas_jax.spaces import keys

SLOWEST = 0.01
FASTEST_PER_THREAD = 500.0
FASTEST_ACCELERATOR = 1e6
ACCELERATORS = ("xla",)
"""Runtimes whose `threads` say nothing about the speed."""


def median_rate(
    entries: Mapping[str, Entry], provenance: Mapping[str, Any]
) -> float | None:
    """10^9 multiply-adds per second, the median over the entries; None without any.

    Entries whose key says no arithmetic (another table's names) are passed over.
    """
    rates = []
    for key, entry in entries.items():
        try:
            macs = counts.macs(keys.parse(key))
        except ValueError:
            continue
        if macs:
            rates.append(1e-6 * provenance["batch"] * macs / entry.mean_ms)
    return statistics.median(rates) if rates else None


def check(
    entries: Mapping[str, Entry], provenance: Mapping[str, Any], origin: str
) -> None:
    """Raises `ValueError` if no hardware could be so fast, or so slow."""
    rate = median_rate(entries, provenance)
    fastest = FASTEST_ACCELERATOR
    if provenance["runtime"] not in ACCELERATORS:
        fastest = FASTEST_PER_THREAD * (provenance["threads"] or 1)
    if rate is None or SLOWEST <= rate <= fastest:
        return
    likely = "seconds" if rate > fastest else "microseconds"
    raise ValueError(
        f"{origin}: expected times in ms that mean {SLOWEST:g} to {fastest:g} x 10^9 "
        f"multiply-adds per second, got {rate:.3g}; are they in {likely}? Import the "
        "source again with `nas_jax table import ... --unit`"
    )
