"""Commands called by tests share a cache of compiled programs, and change no flags.

Half of the tests' time would go to compiling the same small searches. The cache is the
tests' own, below this folder, and not the user's. The vector width is XLA's default; a
flag that is named is not set (`process.set_xla_flags`).

JAX promotes nothing by itself, neither numbers to others (float32 and bfloat16, int32
and float32) nor shapes (`[C]` beside `[B C]`), in no test and in no process of one.
"""

import os
from pathlib import Path

import pytest

os.environ.setdefault("NAS_JAX_CACHE", str(Path(__file__).parent / ".cache" / "tests"))
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256")
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"


@pytest.fixture
def own_operations():
    """Operations registered in a test are forgotten after it, others before it."""
    from nas_jax.spaces.operations import BUILT_IN, OPERATIONS

    before = dict(OPERATIONS)
    for kind in before.keys() - BUILT_IN:
        del OPERATIONS[kind]
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


@pytest.fixture
def float_gates(monkeypatch):
    """A call that gives hard sigmoids a form in ONNX without integer kernels."""
    from nas_jax.networks import layers

    tanh = layers.ACTIVATIONS["hard_sigmoid"]._replace(
        to_onnx=lambda graph, name, value: graph.node("Tanh", name, [value])
    )
    return lambda: monkeypatch.setitem(layers.ACTIVATIONS, "hard_sigmoid", tanh)
