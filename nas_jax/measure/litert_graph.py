"""ONNX graphs as LiteRT models: the same nodes, channels last, through StableHLO.

The graphs of `onnx_graph` are evaluated by JAX, node by node, with weights as constants
and batch normalisation folded already; what JAX lowers to is what LiteRT converts. One
writer of graphs serves both runtimes, so both run the same arithmetic.
"""

import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import lax
from onnx import helper, numpy_helper

from nas_jax.measure import litert_convert

PACKAGE = "litert-converter==0.5.0"
ENVIRONMENT = f"python -m venv litert_env && litert_env/bin/pip install {PACKAGE}"
"""What makes the environment whose Python converts."""


def evaluate(model: onnx.ModelProto, x: jax.Array) -> jax.Array:
    """Output of a graph for `x` `[B H W C]` (or `[B C]` after pooling).

    Every value has its channels last, also where they are split over two axes: what is
    `[B C.. H W]` in the graph is `[B H W C..]` here.

    Raises `ValueError` for an operator that no network of the package has.
    """
    graph = model.graph
    weights = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    values: dict[str, jax.Array] = {graph.input[0].name: x}
    for node in graph.node:
        if node.op_type not in _OPERATORS:
            raise ValueError(
                f"litert: expected {', '.join(_OPERATORS)}, got {node.op_type} "
                f"({node.name}); take another format or runtime for this network"
            )
        attributes = {
            one.name: helper.get_attribute_value(one) for one in node.attribute
        }
        inputs = [values[name] for name in node.input if name in values]
        constants = [weights[name] for name in node.input if name in weights]
        compute = _OPERATORS[node.op_type]
        values[node.output[0]] = compute(inputs, constants, attributes)
    return values[graph.output[0].name]


def _along(x: jax.Array, values: np.ndarray) -> jax.Array:
    """Numbers per channel with the axes of `x` before them."""
    return jnp.expand_dims(jnp.asarray(values), range(x.ndim - 1))


def _conv(inputs: list, constants: list, attributes: dict[str, Any]) -> jax.Array:
    kernel, *bias = constants  # [out in/groups k k]
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    y = lax.conv_general_dilated(
        inputs[0],
        jnp.asarray(np.transpose(kernel, (2, 3, 1, 0))),
        window_strides=attributes.get("strides", (1, 1)),
        padding=((top, bottom), (left, right)),
        rhs_dilation=attributes.get("dilations", (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=attributes.get("group", 1),
    )
    return y + _along(y, bias[0]) if bias else y


def _gemm(inputs: list, constants: list, attributes: dict[str, Any]) -> jax.Array:
    weight, bias = constants
    if attributes.get("transB", 0):
        weight = weight.T
    y = inputs[0] @ jnp.asarray(weight)
    return y + _along(y, bias)


def _normalise(inputs: list, constants: list, attributes: dict[str, Any]) -> jax.Array:
    scale, bias, mean, var = (one.astype(np.float64) for one in constants)
    gain = scale / np.sqrt(var + attributes["epsilon"])
    shift = bias - gain * mean
    x = inputs[0]
    gain, shift = (_along(x, one.astype(np.float32)) for one in (gain, shift))
    return x * gain + shift


def _window(attributes: dict[str, Any]) -> dict[str, Any]:
    """A pooling window over H and W."""
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return {
        "window_dimensions": (1, *attributes["kernel_shape"], 1),
        "window_strides": (1, *attributes.get("strides", (1, 1)), 1),
        "padding": ((0, 0), (top, bottom), (left, right), (0, 0)),
    }


def _average(inputs: list, _: list, attributes: dict[str, Any]) -> jax.Array:
    x, window = inputs[0], _window(attributes)
    total = lax.reduce_window(x, 0.0, lax.add, **window)
    # padding does not count
    one = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return total / lax.reduce_window(one, 0.0, lax.add, **window)


def _maximum(inputs: list, _: list, attributes: dict[str, Any]) -> jax.Array:
    return lax.reduce_window(inputs[0], -jnp.inf, lax.max, **_window(attributes))


def _pad(inputs: list, constants: list, _: dict[str, Any]) -> jax.Array:
    before, after = np.reshape(constants[0], (2, 4))[:, [0, 2, 3, 1]].tolist()
    return jnp.pad(inputs[0], tuple(zip(before, after, strict=True)))


def _slice(inputs: list, constants: list, _: dict[str, Any]) -> jax.Array:
    start, end = (int(one[0]) for one in constants[:2])  # of the channels, axis 1
    return inputs[0][..., start:end]


def _reshape(inputs: list, constants: list, _: dict[str, Any]) -> jax.Array:
    _, *channels, height, width = constants[0].tolist()  # the batch stays
    return inputs[0].reshape(-1, height, width, *channels)


def _transpose(inputs: list, _: list, attributes: dict[str, Any]) -> jax.Array:
    # of the channels' axes 1.. in the graph, 3.. here; the others stay
    axes = [axis + 2 for axis in attributes["perm"][1:-2]]
    return inputs[0].transpose(0, 1, 2, *axes)


_OPERATORS: dict[str, Any] = {
    "Conv": _conv,
    "Clip": lambda inputs, bounds, _: jnp.clip(inputs[0], *map(float, bounds)),
    "Add": lambda inputs, *_: inputs[0] + inputs[1],
    "GlobalAveragePool": lambda inputs, *_: inputs[0].mean(axis=(1, 2), keepdims=True),
    "Flatten": lambda inputs, *_: inputs[0].reshape(inputs[0].shape[0], -1),
    "Gemm": _gemm,
    "Identity": lambda inputs, *_: inputs[0],
    "BatchNormalization": _normalise,
    "Relu": lambda inputs, *_: jnp.maximum(inputs[0], 0),
    "AveragePool": _average,
    "MaxPool": _maximum,
    "Pad": _pad,
    "Slice": _slice,
    "Reshape": _reshape,
    "Transpose": _transpose,
}


class Converter:
    """The Python of another environment, kept running; see `litert_convert`.

    Raises `ValueError` if it cannot be started, or does not convert.
    """

    def __init__(self, python: str | None) -> None:
        if python is None:
            raise ValueError(
                "--converter: expected the Python of an environment with "
                f"{PACKAGE}, got none; make one with `{ENVIRONMENT}` and give "
                "--converter litert_env/bin/python"
            )
        self.python = python
        self._folder = Path(tempfile.mkdtemp(prefix="nas_jax_litert_"))
        self._said = self._folder / "said"
        try:
            with self._said.open("w") as said:
                self._process = subprocess.Popen(
                    [python, litert_convert.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                )
        except OSError as error:
            shutil.rmtree(self._folder)
            raise ValueError(f"--converter {python}: cannot be run ({error})") from None
        self._end = weakref.finalize(self, _end, self._process, self._folder)

    def convert(self, model: onnx.ModelProto, shape: tuple[int, ...]) -> bytes:
        """The LiteRT model of a graph for inputs `[B H W C]`."""
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        # lowered for a GPU the weights stay as they are; the text names no device
        exported = jax.export.export(
            jax.jit(lambda x: evaluate(model, x)), platforms=("cuda",)
        )(images)
        source = self._folder / "model.mlir"
        target = source.with_suffix(".tflite")
        source.write_text(exported.mlir_module(), encoding="utf-8")
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(f"{source}\t{target}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer.strip() != "done":
            if not answer:
                process.wait()  # it has ended, and said why by then
            said = [answer.strip(), *self._said.read_text().strip().splitlines()]
            raise ValueError(
                f"--converter {self.python}: expected {PACKAGE} in its environment, "
                f"got: {said[-1]}; make one with `{ENVIRONMENT}`"
            )
        return target.read_bytes()

    def close(self) -> None:
        """Ends the process."""
        self._end()


def _end(process: subprocess.Popen, folder: Path) -> None:
    # waits for the process and closes its pipes
    process.communicate()
    shutil.rmtree(folder)
