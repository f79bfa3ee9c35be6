"""A latency table from micro-benchmarks: every part of a space timed alone.

At microseconds a call has costs that a whole network pays only once: entering the
runtime, and where it copies, reading the input and writing the output. They are
measured with graphs that only copy and taken off each part:

    overhead(part) = copy(input shape) + copy(output shape) - copy(1 number)

so that the call itself is counted once. A network pays copy(images) beside its parts,
the table's `fixed_ms`. A part runs in a loop, with its weights in cache: the sum over
parts fits networks that stay in cache and falls short for others.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measure import timing
from nas_jax.latency.measure.device import CALL, Device, copy_name, time_groups
from nas_jax.latency.measure.journal import Journal
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.parts import Part


def measure_table(
    device: Device,
    parts: Sequence[Part],
    input_shape: tuple[int, int, int],
    config: LatencyConfig,
    journal: Journal,
    progress: timing.Progress | None = None,
    spread_s: float = timing.SPREAD_S,
) -> tables.LatencyTable:
    """Measures parts; `input_shape` is that of the network's images, H, W, C.

    An entry is net of the overhead; its mean, spread and count are over the fastest
    quarter of the rounds, its quartiles over all. Raises `ValueError` for a part whose
    time cannot be told from its overhead, and as `time_groups`.
    """
    height, width, channels = input_shape
    image = (channels, height, width)
    shapes = {CALL, image, *(shape for part in parts for shape in _ends(part))}

    def build() -> dict[str, timing.Call]:
        calls = {part.key: device.part(part) for part in parts}
        for shape in shapes if device.copies else {CALL}:
            calls[copy_name(device, shape)] = device.copy(shape)
        return calls

    times = time_groups(
        {"parts": build},
        journal,
        repeats=config.repeats,
        loop_ms=config.loop_ms,
        spread_s=spread_s,
        progress=progress,
    )
    entries = {part.key: entry(device, part, times) for part in parts}
    fixed_ms = timing.steady(times[copy_name(device, image)]) / device.per_call
    origin = origin_of(device, config, "operations", height)
    origin |= {"spread_s": spread_s, "subtracts": "identity"}
    return tables.LatencyTable(entries, origin, fixed_ms)


def entry(device: Device, part: Part, times: Mapping[str, np.ndarray]) -> tables.Entry:
    """The entry of a part from the times of all calls."""
    # One number per shape, not round by round: a disturbed round of a copy would
    # otherwise reach every part of that shape.
    source, result, call = (
        timing.steady(times[copy_name(device, shape)]) for shape in (*_ends(part), CALL)
    )
    overhead = (source + result - call) / device.per_call
    rounds = times[part.key] / device.per_call - overhead
    kept, (q25, median, q75) = timing.fastest(rounds), timing.quartiles(rounds)
    if min(kept.mean(), q25) <= 0:
        raise ValueError(
            f"latency of {part.key!r}: expected more than the {overhead:.6f} ms of its "
            f"Identity graphs, got {timing.steady(rounds) + overhead:.6f} ms; raise "
            "latency.batch or latency.repeats"
        )
    return tables.Entry(
        mean_ms=float(kept.mean()),
        std_ms=float(kept.std(ddof=1)),
        median_ms=median,
        q25_ms=q25,
        q75_ms=q75,
        count=len(kept),
    )


def origin_of(
    device: Device, config: LatencyConfig, method: str, input_size: int
) -> dict[str, Any]:
    """The provenance of a table made now."""
    return {
        "device": device.name,
        "runtime": device.runtime,
        "runtime_version": device.version,
        "threads": config.threads,
        "batch": config.batch,
        "dtype": "float32",
        "input_size": input_size,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "method": method,
        "repeats": config.repeats,
        "warm_up_calls": timing.WARM_UP_CALLS,
        "clock": device.clock,
        "loop_ms": config.loop_ms,
        "mean": "fastest quarter of the rounds",
    }


def _ends(part: Part) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return graphs.input_shape(part), graphs.output_shape(part)
