"""Latency on this CPU in LiteRT with XNNPACK, which phones run too.

Needs the extra `nas_jax[litert]` (the interpreter) and, for the conversion, the Python
of another environment (`litert_environment.ENVIRONMENT`).

In 8 bits a part alone takes integers and returns them, as inside a network, so that no
conversion is counted twice. The stem takes float images, the classifier returns float
logits, as in a whole network.
"""

import functools
import importlib.metadata
from typing import Any

import numpy as np

from nas_jax.config import provenance
from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement.timing import CALL, Call, Device
from nas_jax.latency.runtimes import litert_graph
from nas_jax.latency.runtimes.litert_environment import Converter
from nas_jax.latency.runtimes.litert_graph import Compute
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.parts import Classifier, Part, Stem

_DRAWN = 2
"""Calls that give drawn weights their ranges in 8 bits, which no time depends on."""


class Models:
    """LiteRT models of parts and networks, weights drawn.

    Args:
      batch: images a call.
      converter: what writes them.
      is_int8: whether they compute in 8-bit integers.
    """

    def __init__(self, batch: int, converter: Converter, is_int8: bool = False) -> None:
        self.batch, self.converter, self.is_int8 = batch, converter, is_int8
        rng = np.random.default_rng(0)
        self._draw = functools.cache(lambda part: graphs.random_weights(part, rng))

    def part(self, part: Part) -> bytes:
        """The model of a part alone."""
        compute = litert_graph.of_part(part, *self._draw(part))
        floats = {"input": Stem, "output": Classifier}
        ends = [end for end, kind in floats.items() if isinstance(part, kind)]
        return self._converted(compute, part, *ends)

    def network(self, architecture: Architecture) -> bytes:
        """The model of a whole network."""
        pairs = [self._draw(part) for part in architecture.parts]
        trees = network.assemble_parts(architecture, pairs)
        compute = litert_graph.of_network(architecture, *trees)
        return self._converted(compute, architecture.stem, "input", "output")

    def call(self) -> bytes:
        """The model of one addition, whose time is that of a call."""
        return self.converter.convert(lambda x: x + x, CALL)

    def _converted(self, compute: Compute, part: Part, *floats: str) -> bytes:
        shape = (self.batch, part.input_size, part.input_size, part.in_channels)
        model = self.converter.convert(compute, shape)
        if not self.is_int8:
            return model
        rng = np.random.default_rng(0)
        images = rng.standard_normal((_DRAWN, *shape), dtype=np.float32)
        return self.converter.quantise(model, images, floats)


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
    kind = source["dtype"]
    if np.issubdtype(kind, np.integer):
        bounds = np.iinfo(kind)
        images = rng.integers(bounds.min, bounds.max, source["shape"], kind)
    else:
        images = rng.random(source["shape"], dtype=np.float32)
    runner.set_tensor(source["index"], images)
    return runner


def device(
    config: LatencyConfig, converter: str | None, is_int8: bool = False
) -> Device:
    """LiteRT on this CPU, in float32 or in 8-bit integers.

    `converter` is the Python of `litert_environment.ENVIRONMENT`.

    Raises:
      ValueError: if the interpreter or the converter is not installed.
    """
    # fails before anything is measured if one of the two is missing
    models = Models(config.batch, Converter(converter), is_int8)
    call = models.call()
    interpreter(call, config.threads)

    def run(model: bytes) -> Call:
        return interpreter(model, config.threads).invoke

    return Device(
        name=provenance.device(),
        runtime="litert-int8" if is_int8 else "litert",
        version=importlib.metadata.version("ai-edge-litert"),
        config=config,
        part=lambda part: run(models.part(part)),
        network=lambda architecture: run(models.network(architecture)),
        copy=lambda shape: run(call),
        copies=False,
        dtype="int8" if is_int8 else "float32",
    )
