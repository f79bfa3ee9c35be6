"""Latency on the CPU of this machine, in ONNX Runtime.

Every part of a space becomes a real graph (batch normalisation folded) and is timed
alone. At microseconds a call has costs that a whole network pays only once: entering
the runtime, reading the input and writing the output in plain layout (ONNX Runtime
computes in a blocked one). They are measured with Identity graphs, which only copy, and
taken off each part:

    overhead(part) = identity(input shape) + identity(output shape) - identity(1 number)

so that the call itself is counted once. A part runs in a loop, with its weights in
cache: the sum over parts fits networks that stay in cache and falls short for others.
"""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

# Official wheels send usage events over the network unless this is set before import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime

from nas_jax import onnx_graph, provenance, tables
from nas_jax.config import LatencyConfig
from nas_jax.measure import timing
from nas_jax.parts import Part
from nas_jax.space import SearchSpace

_CALL = (1,)
"""Shape of an Identity graph that costs no more than the call."""


def session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session of a model in memory; waiting threads sleep instead of spinning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def time_models(
    models: Mapping[str, onnx.ModelProto],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    threads: int,
    repeats: int,
    loop_ms: float,
    spread_s: float = timing.SPREAD_S,
    progress: timing.Progress | None = None,
) -> dict[str, np.ndarray]:
    """Milliseconds per inference of each model, Float `[repeats]`.

    `shapes` are input shapes with the batch, `[B C H W]`. See `timing.time_calls`.
    """
    rng = np.random.default_rng(0)
    calls = {
        name: _call(session(model, threads), shapes[name], rng)
        for name, model in models.items()
    }
    return timing.time_calls(
        calls, repeats=repeats, loop_ms=loop_ms, spread_s=spread_s, progress=progress
    )


def run(model: onnx.ModelProto, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """Logits `[N classes]` of a network on normalised images `[N H W C]`."""
    runtime = session(model, threads=1)
    planes = np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), dtype=np.float32)
    pieces = [
        runtime.run(["logits"], {"images": planes[start : start + batch]})[0]
        for start in range(0, len(planes), batch)
    ]
    return np.concatenate(pieces)


def measure_table(
    space: SearchSpace,
    config: LatencyConfig,
    progress: timing.Progress | None = None,
    spread_s: float = timing.SPREAD_S,
) -> tables.LatencyTable:
    """Measures every part that a table of `space` needs.

    An entry is net of the overhead; its mean, spread and count are over the fastest
    quarter of the rounds, its quartiles over all. Raises `ValueError` for a part whose
    time cannot be told from its overhead.
    """
    rng = np.random.default_rng(0)
    models: dict[str, onnx.ModelProto] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    parts = tables.required_parts(space)
    for part in parts:
        models[part.key] = onnx_graph.part(part, *onnx_graph.random_weights(part, rng))
        shapes[part.key] = (config.batch, *onnx_graph.input_shape(part))
    for shape in {_CALL, *(shape for part in parts for shape in _ends(part))}:
        models[_identity(shape)] = onnx_graph.identity(shape)
        shapes[_identity(shape)] = (config.batch, *shape)
    times = time_models(
        models,
        shapes,
        threads=config.threads,
        repeats=config.repeats,
        loop_ms=config.loop_ms,
        spread_s=spread_s,
        progress=progress,
    )
    entries = {part.key: _entry(part, times) for part in parts}
    return tables.LatencyTable(entries, _provenance(config, spread_s))


def measure_networks(
    models: Mapping[str, onnx.ModelProto],
    input_shape: tuple[int, int, int],
    config: LatencyConfig,
    repeats: int | None = None,
    progress: timing.Progress | None = None,
    spread_s: float = timing.SPREAD_S,
) -> dict[str, dict[str, float]]:
    """Times whole networks; ms as {"median", "q25", "q75", "mean", "overhead"}.

    `input_shape` is H, W, C. The first four are times of a call, as deployed; the mean
    is over the fastest quarter of the rounds, as in tables. "overhead" is the same mean
    of an Identity graph on the images. Table entries are such means, net of overhead:
    the prediction of a table compares with `mean - overhead`.
    """
    height, width, channels = input_shape
    image = (channels, height, width)
    timed = {f"network {name}": model for name, model in models.items()}
    timed[_identity(image)] = onnx_graph.identity(image)
    times = time_models(
        timed,
        dict.fromkeys(timed, (config.batch, *image)),
        threads=config.threads,
        repeats=config.repeats if repeats is None else repeats,
        loop_ms=config.loop_ms,
        spread_s=spread_s,
        progress=progress,
    )
    overhead = timing.steady(times[_identity(image)])
    measured = {}
    for name in models:
        rounds = times[f"network {name}"]
        q25, median, q75 = timing.quartiles(rounds)
        measured[name] = {
            "median": median,
            "q25": q25,
            "q75": q75,
            "mean": timing.steady(rounds),
            "overhead": overhead,
        }
    return measured


def _call(
    runtime: onnxruntime.InferenceSession,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Callable[[], None]:
    """One inference on bound memory.

    An empty call costs about half of `session.run` so (2.4 against 4.6 microseconds on
    an AMD EPYC), which goes through dicts and NumPy arrays every time.
    """
    source, result = runtime.get_inputs()[0], runtime.get_outputs()[0]
    binding = runtime.io_binding()
    images = onnxruntime.OrtValue.ortvalue_from_numpy(
        rng.random(shape, dtype=np.float32)
    )
    output = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
        [shape[0], *result.shape[1:]], np.float32
    )
    binding.bind_ortvalue_input(source.name, images)
    binding.bind_ortvalue_output(result.name, output)
    return lambda: runtime.run_with_iobinding(binding)


def _ends(part: Part) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return onnx_graph.input_shape(part), onnx_graph.output_shape(part)


def _identity(shape: tuple[int, ...]) -> str:
    return f"identity {shape}"


def _entry(part: Part, times: Mapping[str, np.ndarray]) -> tables.Entry:
    # One number per shape, not round by round: a disturbed round of an Identity graph
    # would otherwise reach every part of that shape.
    source, result, call = (
        timing.steady(times[_identity(shape)]) for shape in (*_ends(part), _CALL)
    )
    overhead = source + result - call
    rounds = times[part.key] - overhead
    kept, (q25, median, q75) = timing.fastest(rounds), timing.quartiles(rounds)
    if min(kept.mean(), q25) <= 0:
        raise ValueError(
            f"latency of {part.key!r}: expected more than the {overhead:.6f} ms of its "
            f"Identity graphs, got {timing.steady(times[part.key]):.6f} ms; raise "
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


def _provenance(config: LatencyConfig, spread_s: float) -> dict[str, Any]:
    return {
        "device": provenance.device(),
        "runtime": config.runtime,
        "runtime_version": onnxruntime.__version__,
        "threads": config.threads,
        "batch": config.batch,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": config.repeats,
        "loop_ms": config.loop_ms,
        "spread_s": spread_s,
        "mean": "fastest quarter of the rounds",
        "subtracts": "identity",
    }
