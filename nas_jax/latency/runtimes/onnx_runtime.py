"""Latency on the CPU of this machine, in ONNX Runtime.

Every part becomes a real graph with batch normalisation folded in. ONNX Runtime
computes in a blocked layout: reading the input and writing the output copy.
"""

import functools
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from nas_jax.base import PyTree
from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement import timing
from nas_jax.latency.measurement.timing import CALL, Device
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part

# Official wheels send usage events over the network unless this is set before import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_UINT8 = "tensor(uint8)"

IMAGES = 250
"""In a call that wants the logits of many."""
Draw = Callable[[Part], tuple[PyTree, PyTree]]
"""Parameters and batch statistics of a part."""


def session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session of a model in memory; waiting threads sleep instead of spinning."""
    return _opened(model, _options(threads))


def rewritten(model: onnx.ModelProto, *, is_final: bool = True) -> onnx.ModelProto:
    """The graph as the runtime rewrites it before it runs it.

    Without its last step, the layouts of this CPU, if not `is_final`.
    """
    options, levels = _options(threads=1), onnxruntime.GraphOptimizationLevel
    if not is_final:
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory(prefix="nas_jax_onnx_") as folder:
        target = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(target)
        _opened(model, options)
        return onnx.load(target)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised; no second report
    return options


def _opened(
    model: onnx.ModelProto, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Logits `[N classes]` of a network on normalised images `[N H W C]`."""
    return logits(session(model, threads=1), images)


def logits(runtime: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    """Logits `[N classes]` of images `[N H W C]`, in an open session."""
    planes = np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), dtype=np.float32)
    pieces = [
        runtime.run(["logits"], {"images": planes[start : start + IMAGES]})[0]
        for start in range(0, len(planes), IMAGES)
    ]
    return np.concatenate(pieces)


def device(config: LatencyConfig) -> Device:
    """ONNX Runtime on this CPU."""
    rng = np.random.default_rng(0)
    # networks share what they draw, as they share the parts of a space
    draw = functools.cache(lambda part: graphs.random_weights(part, rng))

    def call(model: onnx.ModelProto, shape: tuple[int, ...]) -> timing.Call:
        return bound_call(session(model, config.threads), (config.batch, *shape), rng)

    def of_part(part: Part) -> timing.Call:
        return call(graphs.part(part, *draw(part)), graphs.input_shape(part))

    def of_network(architecture: Architecture) -> timing.Call:
        model = drawn(architecture, draw)
        return call(model, graphs.input_shape(architecture.stem))

    return Device(
        name=provenance.device(),
        runtime="onnxruntime",
        version=onnxruntime.__version__,
        config=config,
        part=of_part,
        network=of_network,
        copy=lambda shape: call(graphs.identity(shape), shape),
    )


def drawn(architecture: Architecture, draw: Draw | None = None) -> onnx.ModelProto:
    """A network with weights that are drawn, here or by `draw`, part by part."""
    if draw is None:
        draw = functools.partial(graphs.random_weights, rng=np.random.default_rng(0))
    weights = [draw(part) for part in architecture.parts]
    return graphs.network(architecture, *network.assemble_parts(architecture, weights))


def measure_networks(
    models: Mapping[str, onnx.ModelProto],
    input_shapes: Mapping[str, tuple[int, int, int]],
    config: LatencyConfig,
    progress: timing.Progress | None = None,
    spread_s: float = timing.SPREAD_S,
    copies: bool = True,
) -> dict[str, dict[str, float]]:
    """Times of whole networks, ms, as {"median", "q25", "q75", "mean", "overhead"}.

    `input_shapes` are H, W, C of each. The first four are times of a call, as deployed;
    the mean is over the fastest quarter of the rounds, as in tables. "overhead" is the
    same mean of an Identity graph on its images, or on a single number where the
    device of the table does not copy them (`copies` False). Table entries are such
    means, net of overhead: the prediction of a table compares with `mean - overhead`.
    """
    images = {name: (c, h, w) for name, (h, w, c) in input_shapes.items()}
    entered = {name: one if copies else CALL for name, one in images.items()}
    rng = np.random.default_rng(0)
    timed = {f"network {name}": (model, images[name]) for name, model in models.items()}
    copied = {f"copy {one}": (graphs.identity(one), one) for one in entered.values()}
    calls = {
        name: bound_call(session(model, config.threads), (config.batch, *image), rng)
        for name, (model, image) in {**timed, **copied}.items()
    }
    protocol = timing.Protocol(config.repeats, config.loop_ms, spread_s)
    times = timing.time_calls(calls, protocol, progress)
    measured = {}
    for name in models:
        rounds = times[f"network {name}"]
        q25, median, q75 = timing.quartiles(rounds)
        measured[name] = {
            "median": median,
            "q25": q25,
            "q75": q75,
            "mean": timing.steady(rounds),
            "overhead": timing.steady(times[f"copy {entered[name]}"]),
        }
    return measured


def bound_call(
    runtime: onnxruntime.InferenceSession,
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> Callable[[], None]:
    """One inference of drawn inputs `shape` (with the batch), on bound memory.

    Inputs and outputs are float32, or 8-bit integers where the model has these.

    An empty call costs about half of `session.run` so (2.4 against 4.6 microseconds on
    an AMD EPYC), which goes through dicts and NumPy arrays every time.
    """
    source, result = runtime.get_inputs()[0], runtime.get_outputs()[0]
    binding = runtime.io_binding()
    drawn = (
        rng.integers(256, size=shape, dtype=np.uint8)
        if source.type == _UINT8
        else rng.random(shape, dtype=np.float32)
    )
    images = onnxruntime.OrtValue.ortvalue_from_numpy(drawn)
    output = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
        [shape[0], *result.shape[1:]],
        np.uint8 if result.type == _UINT8 else np.float32,
    )
    binding.bind_ortvalue_input(source.name, images)
    binding.bind_ortvalue_output(result.name, output)
    return lambda: runtime.run_with_iobinding(binding)
