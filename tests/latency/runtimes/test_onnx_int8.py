"""The runtime in 8-bit integers: parts as they are in a network, and their table."""

import functools
import re

import numpy as np
import onnx
import pytest

from nas_jax.config import LatencyConfig, SpaceConfig, TreeConfig, shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations
from nas_jax.latency.runtimes import onnx_int8, onnx_runtime, open_device
from nas_jax.networks.onnx import graphs
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from nas_jax.spaces.parts import Classifier, Stem
from tests.networks.test_own_operation import SE

CONFIG = LatencyConfig(batch=2, repeats=3, loop_ms=0.1)
SPACE = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        stage_widths=(16,),
        cells=(2,),
        strides=(2,),
        candidates=("mb3_k5", "mb6_k3", "zero"),
        head_channels=32,
    )
)
PARTS = tables.required_parts(SPACE)


def drawing(seed=0):
    rng = np.random.default_rng(seed)
    return functools.cache(lambda part: graphs.random_weights(part, rng))


def weights_of(graph):
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


def scale_of(graph, value):
    """Scale and zero point of what a float value is quantised to."""
    (node,) = [
        node
        for node in graph.node
        if node.op_type == "QuantizeLinear"
        and node.input[0] in (value, f"{value}_QuantizeLinear_Input")
    ]
    stored = weights_of(graph)
    return stored[node.input[1]], int(stored[node.input[2]])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.key)
def test_part_is_given_what_it_has_inside_a_network(part):
    """8-bit integers, channels last; nothing is converted or turned at its ends."""
    model = onnx_int8.of_part(part, drawing())
    session = onnx_runtime.session(model, threads=1)
    (source,), (result,) = session.get_inputs(), session.get_outputs()
    channels, *sides = graphs.input_shape(part)
    if isinstance(part, Stem):
        assert source.type == "tensor(float)"
        assert source.shape[1:] == [channels, *sides]
    else:
        assert source.type == "tensor(uint8)"
        assert source.shape[1:] == [*sides, channels]
    if isinstance(part, Classifier):
        assert (result.type, result.shape[1:]) == ("tensor(float)", [10])
    else:
        assert result.type == "tensor(uint8)"
        channels, *sides = graphs.output_shape(part)
        assert result.shape[1:] == [*sides, channels]
    kinds = [node.op_type for node in onnx_runtime.rewritten(model).graph.node]
    if isinstance(part, Stem):
        assert kinds == ["QuantizeLinear", "Transpose", "QLinearConv"]
    elif isinstance(part, Classifier):
        # a pixel for each image is left to be turned
        pooled = ["QLinearGlobalAveragePool", "Transpose", "Flatten"]
        assert kinds == [*pooled, "QGemm"]
    else:
        assert {*kinds} <= {"QLinearConv", "QLinearAdd"}
    one = from_path(SPACE, [0, 0], "one")
    whole = onnx_runtime.rewritten(onnx_int8.drawn(one))
    assert {*kinds} <= {node.op_type for node in whole.graph.node}


INNER = [part for part in PARTS if not isinstance(part, Stem | Classifier)]


@pytest.mark.parametrize("part", INNER, ids=lambda part: part.key)
def test_ends_of_integers_change_no_number(part):
    draw = drawing()
    whole = onnx_int8._quantised(
        graphs.part(part, *draw(part)), graphs.input_shape(part)
    )
    alone = onnx_int8.of_part(part, draw)
    scale, zero = scale_of(whole.graph, "x")
    shape = graphs.input_shape(part)
    q = np.random.default_rng(1).integers(256, size=(2, *shape), dtype=np.uint8)
    x = scale * (q.astype(np.float32) - zero)
    (expected,) = onnx_runtime.session(whole, 1).run(None, {"x": x})
    given = {"x": np.ascontiguousarray(q.transpose(0, 2, 3, 1))}
    (found,) = onnx_runtime.session(alone, 1).run(None, given)
    step, nothing = scale_of(whole.graph, "y")
    found = step * (found.transpose(0, 3, 1, 2).astype(np.float32) - nothing)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1.01 * step)
    assert (np.abs(found - expected) < 0.01 * step).mean() > 0.99


@pytest.fixture(scope="module")
def table():
    return operations.measure_table(onnx_int8.device(CONFIG), SPACE, spread_s=0.0)


def test_table_says_that_it_is_of_8_bits(table, tmp_path):
    assert list(table.entries) == [part.key for part in PARTS]
    said = {key: table.provenance[key] for key in ("runtime", "dtype", "batch")}
    assert said == {"runtime": "onnxruntime-int8", "dtype": "int8", "batch": 2}
    assert table.reference is not None and table.reference.measured_ms > 0
    tables.save(table, tmp_path / "t.json")
    assert tables.load(tmp_path / "t.json") == table
    assert tables.is_int8(table)


def test_table_and_search_are_of_the_same_numbers(table):
    in_8_bits = LatencyConfig(runtime="onnxruntime-int8")
    tables.require_bits(table, in_8_bits)
    with pytest.raises(
        ValueError,
        match=r"^t.json: expected times in float32, as latency.runtime is onnxruntime, "
        r"got a table in int8; set --latency.runtime onnxruntime-int8, or measure one "
        r"with `nas_jax measure EXPERIMENT --runtime onnxruntime --out TABLE.json`$",
    ):
        tables.require_bits(table, LatencyConfig(), "t.json")
    floats = tables.load(
        shipped.table_file("latency_tables/digits_cpu_onnxruntime.json")
    )
    tables.require_bits(floats, LatencyConfig())
    with pytest.raises(
        ValueError, match=r"expected times in int8, .* in float32; set "
    ):
        tables.require_bits(floats, in_8_bits)


def test_unknown_runtime_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"^runtime: .*; did you mean onnxruntime-int8"
    ):
        open_device("onnxruntime-int9", CONFIG, None)
    with pytest.raises(
        ValueError, match=r"latency.runtime: expected 'onnxruntime' or "
    ):
        LatencyConfig(runtime="onnxruntime_int8")


def test_nothing_is_told_of_parts_that_are_all_integers():
    assert list(onnx_int8.notes(PARTS)) == []


def test_operation_with_floats_inside_is_told_by_name(own_operations, float_gates):
    searched = builders.build(shipped.load_experiment(str(SE)).space)
    assert list(onnx_int8.notes(tables.required_parts(searched))) == []
    float_gates()
    (line,) = onnx_int8.notes(tables.required_parts(searched))
    assert re.match(r"8 bits: se3_k3 computes .*Tanh.* in float32, betw", line)


def test_part_that_is_float_at_an_end_is_given_integers_all_the_same():
    """Tree cells begin with batch normalisation, which has no integer kernel."""
    tree = builders.tree(
        TreeConfig(input_size=8, stem_channels=4, cells_per_stage=1, last_channels=24)
    )
    parts = tables.required_parts(tree)
    told = list(onnx_int8.notes(parts))
    assert any("BatchNormalization" in line for line in told)
    draw = drawing()
    for part in parts:
        if isinstance(part, Stem | Classifier):
            continue
        session = onnx_runtime.session(onnx_int8.of_part(part, draw), 1)
        (source,), (result,) = session.get_inputs(), session.get_outputs()
        assert source.type == result.type == "tensor(uint8)", part.key
