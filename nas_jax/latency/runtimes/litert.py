"""Latency on this CPU in LiteRT with XNNPACK, which phones run too.

Needs the extra `nas_jax[litert]` (the interpreter) and, for the conversion, the Python
of another environment (`litert_graph.ENVIRONMENT`).
"""

import functools
import importlib.metadata
from typing import Any

import numpy as np

from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement.timing import CALL, Call, Device
from nas_jax.latency.runtimes import litert_graph
from nas_jax.latency.runtimes.litert_graph import Compute, Converter
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Part


class Models:
    """LiteRT models of parts and networks, weights drawn."""

    def __init__(self, batch: int, converter: Converter) -> None:
        self.batch, self.converter = batch, converter
        rng = np.random.default_rng(0)
        self._draw = functools.cache(lambda part: graphs.random_weights(part, rng))

    def part(self, part: Part) -> bytes:
        """The model of a part alone."""
        return self._converted(litert_graph.of_part(part, *self._draw(part)), part)

    def network(self, architecture: Architecture) -> bytes:
        """The model of a whole network."""
        pairs = [self._draw(part) for part in architecture.parts]
        trees = network.assemble_parts(architecture, pairs)
        compute = litert_graph.of_network(architecture, *trees)
        return self._converted(compute, architecture.stem)

    def call(self) -> bytes:
        """The model of one addition, whose time is that of a call."""
        return self.converter.convert(lambda x: x + x, CALL)

    def _converted(self, compute: Compute, part: Part) -> bytes:
        shape = (self.batch, part.input_size, part.input_size, part.in_channels)
        return self.converter.convert(compute, shape)


def require() -> None:
    """Raises `ValueError` if the package is not installed."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"runtime litert: expected the package ai-edge-litert, got none ({error}); "
            "install it with `pip install 'nas_jax[litert]'`"
        ) from None


def interpreter(model: bytes, threads: int) -> Any:
    """A LiteRT interpreter with its input drawn.

    Raises `ValueError` if the package is not installed.
    """
    require()
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=model, num_threads=threads)
    runner.allocate_tensors()
    source = runner.get_input_details()[0]
    rng = np.random.default_rng(0)
    images = rng.random(source["shape"], dtype=np.float32)
    runner.set_tensor(source["index"], images)
    return runner


def device(config: LatencyConfig, converter: str | None) -> Device:
    """LiteRT on this CPU; `converter` is the Python of `litert_graph.ENVIRONMENT`.

    Raises:
      ValueError: if the interpreter or the converter is not installed.
    """
    # fails before anything is measured if one of the two is missing
    models = Models(config.batch, Converter(converter))
    call = models.call()
    interpreter(call, config.threads)

    def run(model: bytes) -> Call:
        return interpreter(model, config.threads).invoke

    return Device(
        name=provenance.device(),
        runtime="litert",
        version=importlib.metadata.version("ai-edge-litert"),
        config=config,
        part=lambda part: run(models.part(part)),
        network=lambda architecture: run(models.network(architecture)),
        copy=lambda shape: run(call),
        copies=False,
    )
