"""A network as ONNX: batch normalisation folded, any batch size, checked.

Float32, or 8-bit integers between a float32 input and output (`onnx_quantise`).
Input `images` [batch C H W], output `logits` [batch classes]: `networks.onnx.graphs`.
"""

import numpy as np
import onnx
import onnxruntime
from jaxtyping import Float

from nas_jax.config.checks import is_exhausted, reason
from nas_jax.export.runner import Runner
from nas_jax.latency.measurement.timing import Call
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.runs import eight_bits

_THREADS = 1


def encode(model: Model) -> bytes:
    """The file's content; `ValueError` for an operation without a form in ONNX."""
    graph = graphs.network(model.architecture, model.params, model.batch_stats)
    return graph.SerializeToString()


def encode_int8(model: Model, calibration: Float[np.ndarray, "N H W C"]) -> bytes:
    """The file's content in 8-bit integers.

    `calibration` are images that give the ranges of the activations. Raises
    `ValueError` as `encode`.
    """
    graph = graphs.network(model.architecture, model.params, model.batch_stats)
    return eight_bits.of_graph(graph, calibration).SerializeToString()


def decode(content: bytes, origin: str) -> Runner:
    """The model in ONNX Runtime, one thread.

    Raises `ValueError` naming `origin` if it is no network of images to logits, when it
    is read or first run.
    """
    try:
        graph = onnx.load_from_string(content)
        onnx.checker.check_model(graph)
    except Exception as error:  # ValidationError, and what its text cannot be read as
        raise ValueError(
            f"{origin}: expected an ONNX model, got another file ({reason(error)})"
        ) from error
    names = [[value.name for value in graph.graph.input]]
    names += [[value.name for value in graph.graph.output]]
    if names != [["images"], ["logits"]]:
        raise ValueError(
            f"{origin}: expected a network of 'images' to 'logits', got {names[0]} to "
            f"{names[1]}; make it with 'nas_jax export'"
        )
    try:
        session = onnx_runtime.session(graph, _THREADS)
    except Exception as error:  # ONNX Runtime raises kinds of its own
        raise ValueError(
            f"{origin}: expected a model that ONNX Runtime runs, got {reason(error)}"
        ) from error

    def run(images: np.ndarray) -> np.ndarray:
        try:
            return onnx_runtime.logits(session, images)
        except Exception as error:  # a kernel looks at its weights when it first runs
            if is_exhausted(error):
                raise
            raise ValueError(
                f"{origin}: expected a model that ONNX Runtime runs on images of "
                f"{images.shape[1:]}, got {reason(error)}"
            ) from error

    def call(batch: int) -> Call:
        shape = (batch, *session.get_inputs()[0].shape[1:])
        return onnx_runtime.bound_call(session, shape, np.random.default_rng(0))

    return Runner(
        runtime=f"onnxruntime {onnxruntime.__version__}",
        threads=_THREADS,
        run=run,
        call=call,
    )
