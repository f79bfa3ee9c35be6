"""Runtimes besides ONNX Runtime: the same graphs, timed by the same code."""

import dataclasses
import importlib.util
import math
import re
import sys
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import LatencyConfig, SpaceConfig, TreeConfig, provenance
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations
from nas_jax.latency.runtimes import (
    litert,
    litert_environment,
    litert_graph,
    onnx_runtime,
    open_device,
    xla,
)
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from tests import compiled

CONFIG = LatencyConfig(batch=2, repeats=3, loop_ms=0.1, threads=provenance.cores())
SMALL = SpaceConfig(
    name="toy",
    input_size=8,
    classes=10,
    stem_channels=8,
    stem_stride=1,
    stage_widths=(16,),
    cells=(2,),
    strides=(2,),
    candidates=("mb3_k5", "zero"),
    head_channels=32,
)
SPACE = builders.mobile(SMALL)


def test_network_for_litert_computes_what_onnx_runtime_does():
    rng = np.random.default_rng(0)
    one = from_path(SPACE, [0, 0], "one")
    drawn = [graphs.random_weights(part, rng) for part in one.parts]
    trees = network.assemble_parts(one, drawn)
    model = graphs.network(one, *trees)
    images = rng.random((3, 8, 8, 3), dtype=np.float32)
    found = litert_graph.of_network(one, *trees)(jnp.asarray(images))
    expected = onnx_runtime.run(model, images)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("side", [8, 11, 16])
def test_padding_of_tensorflow_is_the_same_in_all_forms(side):
    """ONNX Runtime has its own, by the word SAME_UPPER."""
    rng = np.random.default_rng(0)
    config = dataclasses.replace(SMALL, input_size=side, stem_stride=2)
    one = from_path(builders.mobile(config), [0, 0], "one")
    trees = network.assemble_parts(
        one, [graphs.random_weights(part, rng) for part in one.parts]
    )
    images = rng.random((3, side, side, 3), dtype=np.float32)
    centre = network.predict(one, *trees, jnp.asarray(images))
    same = dataclasses.replace(one, padding="same")
    expected = onnx_runtime.run(graphs.network(same, *trees), images)
    found = network.predict(same, *trees, jnp.asarray(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for_litert = litert_graph.of_network(same, *trees)(jnp.asarray(images))
    np.testing.assert_allclose(for_litert, expected, atol=1e-5)
    assert np.abs(found - centre).max() > 0.01
    # training, where the depthwise convolution has another form
    moved, _ = compiled.apply(same, *trees, jnp.asarray(images), train=True)
    assert np.isfinite(moved).all()


def test_tree_cells_for_litert_compute_what_onnx_runtime_does():
    """Every operator of tree cells, pooling at the border included."""
    rng = np.random.default_rng(1)
    searched = builders.tree(
        TreeConfig(input_size=8, stem_channels=4, cells_per_stage=1, last_channels=24)
    )
    path = np.arange(len(searched.layers)) % len(searched.candidates)
    one = from_path(searched, path, "one")
    drawn = [graphs.random_weights(part, rng) for part in one.parts]
    trees = network.assemble_parts(one, drawn)
    model = graphs.network(one, *trees)
    operators = {node.op_type for node in model.graph.node}
    assert operators >= {"BatchNormalization", "Transpose", "MaxPool", "AveragePool"}
    assert operators >= {"Slice", "Pad", "Reshape"}
    images = rng.standard_normal((3, 8, 8, 3), dtype=np.float32)
    found = litert_graph.of_network(one, *trees)(jnp.asarray(images))
    expected = onnx_runtime.run(model, images)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def operations_in(compute, shape):
    """What JAX lowers to, by StableHLO's names, and how often."""
    text = jax.jit(compute).lower(jnp.zeros(shape)).as_text()
    return Counter(re.findall(r"stablehlo\.(\w+)", text))


def test_batch_normalisation_is_folded_into_convolutions():
    """One convolution and one bias per layer, of weights that are constants."""
    rng = np.random.default_rng(0)
    one = from_path(SPACE, [0, 0], "one")
    trees = network.assemble_parts(
        one, [graphs.random_weights(part, rng) for part in one.parts]
    )
    found = operations_in(litert_graph.of_network(one, *trees), (1, 8, 8, 3))
    layers = sum(len(params) for params in trees[0]["blocks"]) + 2
    assert found["convolution"] == layers
    assert found["dot_general"] == 1
    shortcuts = sum(block.shortcut for block in one.blocks)
    # the classifier takes a mean and adds a bias
    assert found["add"] == layers + 2 + shortcuts
    assert not found.keys() & {"multiply", "subtract", "rsqrt", "sqrt"}


@pytest.mark.parametrize("part", tables.required_parts(SPACE), ids=lambda one: one.key)
def test_part_for_litert_computes_what_onnx_runtime_does(part):
    drawn = graphs.random_weights(part, np.random.default_rng(0))
    shape = (2, part.input_size, part.input_size, part.in_channels)
    images = np.random.default_rng(1).random(shape, dtype=np.float32)
    session = onnx_runtime.session(graphs.part(part, *drawn), threads=1)
    (expected,) = session.run(["y"], {"x": images.transpose(0, 3, 1, 2)})
    if expected.ndim == 4:
        expected = expected.transpose(0, 2, 3, 1)
    found = litert_graph.of_part(part, *drawn)(jnp.asarray(images))
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-5)


def test_xla_table_has_every_part_net_of_the_call():
    device = xla.device(CONFIG)
    table = operations.measure_table(device, SPACE, spread_s=0.0)
    assert list(table.entries) == [part.key for part in tables.required_parts(SPACE)]
    assert all(0 < entry.mean_ms < math.inf for entry in table.entries.values())
    assert table.provenance["runtime"] == "xla"
    assert "waited for" in table.provenance["clock"]


def test_xla_computes_the_result_as_often_as_it_says():
    seen = []

    def compute(x, weights):
        seen.append(None)
        return x * weights

    call = xla.repeated(compute, jnp.full(3, 2.0), jnp.float32(1.5))
    traced = len(seen)
    assert call().tolist() == [3.0, 3.0, 3.0]
    assert len(seen) == traced  # compiled before it is timed


def test_xla_on_a_cpu_uses_all_its_cores():
    with pytest.raises(ValueError, match=r"latency.threads: expected \d+, as XLA uses"):
        open_device("xla", LatencyConfig(threads=provenance.cores() + 1), None)


def refused(words, capsys):
    assert cli.main(words.split()) == 2
    return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("nas_jax: ")


def test_litert_without_a_converter_says_how_to_make_one(tmp_path, capsys):
    words = f"measure imagenet_mobile --runtime litert --out {tmp_path}/t.json"
    line = refused(words, capsys)
    assert line == (
        "--converter: expected the Python of an environment with litert-converter"
        "==0.5.0, got none; make one with `python -m venv litert_env && litert_env/bin/"
        "pip install litert-converter==0.5.0` and give --converter "
        "litert_env/bin/python"
    )
    line = refused(f"{words} --converter {tmp_path}/none", capsys)
    assert line.startswith(f"--converter {tmp_path}/none: cannot be run (")


@pytest.mark.skipif(
    importlib.util.find_spec("litert_converter") is not None, reason="it is installed"
)
def test_environment_without_the_converter_is_told():
    converter = litert_environment.Converter(sys.executable)
    with pytest.raises(ValueError, match=r"expected litert-converter==0.5.0 in its"):
        converter.convert(lambda x: x, (1, 1))
    converter.close()


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is not None, reason="it is installed"
)
def test_runtime_that_is_not_installed_names_the_extra():
    with pytest.raises(ValueError, match=r"install it with `pip install 'nas_jax"):
        litert.interpreter(b"", 1)


def test_converter_belongs_to_litert():
    with pytest.raises(ValueError, match="--converter: expected with --runtime litert"):
        open_device("onnxruntime", CONFIG, "python")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--networks 20", "--networks 20 --held-out 0: expected 10 or more held out"),
        ("--held-out 5", "--networks 0 --held-out 5: expected 10 or more held out"),
        ("--record r.json", "--record, --plot: expected --held-out as well"),
        ("--max-seconds 0", "--max-seconds: expected a number above 0, got 0"),
        ("--also nobody", "published network 'nobody': expected one of proxyless_gpu"),
        ("--runtime phone --held-out 60", "--runtime phone: expected no --networks"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, message, tmp_path, capsys):
    words = f"measure digits_cpu --out {tmp_path}/t.json {flags}"
    assert refused(words, capsys).startswith(message)
    assert not list(tmp_path.glob("t.json*"))
