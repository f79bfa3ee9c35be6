"""A latency table of micro-benchmarks: every part of a space timed alone.

At microseconds a call has costs that a whole network pays only once: entering the
runtime, and where it copies, reading the input and writing the output. They are
measured with graphs that only copy and taken off each part:

    overhead(part) = copy(input shape) + copy(output shape) - copy(1 number)

so that the call itself is counted once. A network pays copy(images) beside its parts,
the table's `fixed_ms`. A part runs in a loop, with its weights in cache: the sum over
parts fits networks that stay in cache and falls short for others.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nas_jax.config import provenance
from nas_jax.latency import tables
from nas_jax.latency.measurement import reference, timing
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import CALL, Device
from nas_jax.networks.onnx import graphs
from nas_jax.spaces import architecture_json
from nas_jax.spaces.parts import Part
from nas_jax.spaces.space import SearchSpace


def measure_table(
    device: Device,
    space: SearchSpace,
    *,
    parts: Sequence[Part] | None = None,
    journal: Journal | None = None,
    progress: timing.Progress | None = None,
    spread_s: float = timing.SPREAD_S,
) -> tables.LatencyTable:
    """The table of a space on a device; of other `parts` than it needs, if given.

    An entry is net of the overhead; its mean, spread and count are over the fastest
    quarter of the rounds, its quartiles over all. The reference network of the space
    is timed among the parts. Rounds are kept in the journal. Raises `ValueError` for a
    part whose time is not above its overhead, and as `timing.time_groups`.
    """
    one = reference.of(space)
    config, image = device.config, graphs.input_shape(space.stem)
    parts = tables.required_parts(space) if parts is None else parts
    shapes = {CALL, image, *(shape for part in parts for shape in _ends(part))}

    def build() -> dict[str, timing.Call]:
        calls = {part.key: device.part(part) for part in parts}
        for shape in shapes if device.copies else {CALL}:
            calls[device.copy_name(shape)] = device.copy(shape)
        for place in range(device.buildings):
            calls[reference.name(place)] = device.network(one)
        return calls

    protocol = timing.Protocol(config.repeats, config.loop_ms, spread_s)
    journal = Journal(None, {}) if journal is None else journal
    times = timing.time_groups({"parts": build}, journal, protocol, progress)
    entries = {part.key: entry(device, part, times) for part in parts}
    fixed_ms = timing.steady(times[device.copy_name(image)]) / device.per_call
    origin = origin_of(device, space.stem.input_size)
    origin |= {"spread_s": spread_s, "subtracts": "identity"}
    built = [times[reference.name(place)] for place in range(device.buildings)]
    then = tables.Reference(
        json.loads(architecture_json.to_json(one)),
        sum(map(timing.steady, built)) / len(built) / device.per_call,
    )
    return tables.LatencyTable(entries, origin, fixed_ms, reference=then)


def entry(device: Device, part: Part, times: Mapping[str, np.ndarray]) -> tables.Entry:
    """The entry of a part from the times of all calls."""
    # One number per shape, not round by round: a disturbed round of a copy would
    # otherwise reach every part of that shape.
    source, result, call = (
        timing.steady(times[device.copy_name(shape)]) for shape in (*_ends(part), CALL)
    )
    overhead = (source + result - call) / device.per_call
    rounds = times[part.key] / device.per_call - overhead
    fast, (q25, median, q75) = timing.fastest(rounds), timing.quartiles(rounds)
    if min(fast.mean(), q25) <= 0:
        raise ValueError(
            f"latency of {part.key!r}: expected more than the {overhead:.6f} ms of its "
            f"Identity graphs, got {timing.steady(rounds) + overhead:.6f} ms; raise "
            "latency.batch or latency.repeats"
        )
    return tables.Entry(
        mean_ms=float(fast.mean()),
        std_ms=float(fast.std(ddof=1)),
        median_ms=median,
        q25_ms=q25,
        q75_ms=q75,
        count=len(fast),
    )


def origin_of(device: Device, input_size: int) -> dict[str, Any]:
    """The provenance of a table measured now."""
    config = device.config
    return {
        "device": device.name,
        "runtime": device.runtime,
        "runtime_version": device.version,
        "threads": config.threads,
        "batch": config.batch,
        "dtype": device.dtype,
        "input_size": input_size,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
        "method": "operations",
        "repeats": config.repeats,
        "warm_up_calls": timing.WARM_UP_CALLS,
        "clock": device.clock,
        "loop_ms": config.loop_ms,
        "mean": "fastest quarter of the rounds",
    }


def _ends(part: Part) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return graphs.input_shape(part), graphs.output_shape(part)
