"""ONNX graphs of chains as LiteRT models: the same nodes in NHWC, through StableHLO.

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
    """Output of a chain's graph for `x` `[B H W C]` (or `[B C]` after pooling).

    Raises `ValueError` for an operator that no chain has.
    """
    graph = model.graph
    weights = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    values: dict[str, jax.Array] = {graph.input[0].name: x}
    for node in graph.node:
        if node.op_type not in _OPERATORS:
            raise ValueError(
                f"litert: expected a chain of {', '.join(_OPERATORS)}, got "
                f"{node.op_type} ({node.name}); measure this space in onnxruntime"
            )
        attributes = {
            one.name: helper.get_attribute_value(one) for one in node.attribute
        }
        inputs = [values[name] for name in node.input if name in values]
        constants = [weights[name] for name in node.input if name in weights]
        compute = _OPERATORS[node.op_type]
        values[node.output[0]] = compute(inputs, constants, attributes)
    return values[graph.output[0].name]


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
    return y + jnp.asarray(bias[0]) if bias else y


def _gemm(inputs: list, constants: list, attributes: dict[str, Any]) -> jax.Array:
    weight, bias = constants
    if attributes.get("transB", 0):
        weight = weight.T
    return inputs[0] @ jnp.asarray(weight) + jnp.asarray(bias)


_OPERATORS: dict[str, Any] = {
    "Conv": _conv,
    "Clip": lambda inputs, bounds, _: jnp.clip(inputs[0], *map(float, bounds)),
    "Add": lambda inputs, *_: inputs[0] + inputs[1],
    "GlobalAveragePool": lambda inputs, *_: inputs[0].mean(axis=(1, 2), keepdims=True),
    "Flatten": lambda inputs, *_: inputs[0].reshape(inputs[0].shape[0], -1),
    "Gemm": _gemm,
    "Identity": lambda inputs, *_: inputs[0],
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
        self._python = python
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
            last = [*self._said.read_text().split("\n"), ""][-2:][0]
            raise ValueError(
                f"--converter {self._python}: expected {PACKAGE} in its environment, "
                f"got: {last or answer.strip()}; make one with `{ENVIRONMENT}`"
            )
        return target.read_bytes()

    def close(self) -> None:
        """Ends the process."""
        self._end()


def _end(process: subprocess.Popen, folder: Path) -> None:
    # waits for the process and closes its pipes
    process.communicate()
    shutil.rmtree(folder)
