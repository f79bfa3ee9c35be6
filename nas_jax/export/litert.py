"""A network as LiteRT (`.tflite`), what phones run: one image at a time.

Float32, or 8-bit integers between a float32 input and output. Written through the
converter's own environment and run with the extra `nas_jax[litert]`; see
`latency.runtimes.litert_environment`. The input is `[1 H W C]`.
"""

import importlib.metadata

import numpy as np
from jaxtyping import Float

from nas_jax.export.runner import Runner
from nas_jax.latency.measurement.timing import Call
from nas_jax.latency.runtimes import litert, litert_graph
from nas_jax.latency.runtimes.litert_environment import Converter
from nas_jax.networks.checkpoint import Model

_THREADS, _BATCH = 1, 1


def encode(model: Model, converter: Converter) -> bytes:
    """The file's content; `ValueError` for an operation that is not converted."""
    shape = (_BATCH, *model.architecture.input_shape)
    compute = litert_graph.of_network(
        model.architecture, model.params, model.batch_stats
    )
    return converter.convert(compute, shape)


def encode_int8(
    model: Model, converter: Converter, calibration: Float[np.ndarray, "N H W C"]
) -> bytes:
    """The file's content in 8-bit integers, see `Converter.quantise`.

    `calibration` are images that give the ranges of the activations. Raises
    `ValueError` as `encode`, or if the quantiser is not there or fails.
    """
    calls = calibration[:, None]
    return converter.quantise(encode(model, converter), calls)


def decode(content: bytes, origin: str) -> Runner:
    """The model in LiteRT, one thread.

    Raises `ValueError` if the runtime is not installed, and naming `origin` if it is
    no LiteRT model.
    """
    litert.require()
    try:
        interpreter = litert.interpreter(content, _THREADS)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{origin}: expected a LiteRT model, got another file "
            f"({str(error).splitlines()[0]})"
        ) from error
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def one(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        return interpreter.get_tensor(result)[0]

    def call(batch: int) -> Call:
        return interpreter.invoke

    return Runner(
        runtime=f"litert {importlib.metadata.version('ai-edge-litert')}",
        threads=_THREADS,
        run=lambda images: np.stack([one(image) for image in images]),
        call=call,
        batch=_BATCH,
    )
