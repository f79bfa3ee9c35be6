"""A network as LiteRT (`.tflite`), what phones run: float32, one image at a time.

Written through the converter's own environment and run with the extra
`nas_jax[litert]`; see `measure.litert_graph`. The input is `[1 H W C]`.
"""

import importlib.metadata

import numpy as np

from nas_jax import onnx_graph
from nas_jax.checkpoint import Model
from nas_jax.export.runner import Runner
from nas_jax.measure import litert
from nas_jax.measure.litert_graph import Converter
from nas_jax.measure.timing import Call

_THREADS, _BATCH = 1, 1


def encode(model: Model, converter: Converter) -> bytes:
    """The file's content; `ValueError` for an operation LiteRT is not told of."""
    found = model.architecture
    graph = onnx_graph.network(found, model.params, model.batch_stats)
    return converter.convert(graph, (_BATCH, *found.input_shape))


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
