"""`benchmarks memory`: predictions against what ONNX Runtime holds, in earnest."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from benchmarks import command as bench_command
from benchmarks import fresh_process, memory, memory_in_use
from benchmarks.settings import MemoryConfig
from nas_jax.config import shipped
from nas_jax.networks import layers
from nas_jax.networks.onnx.writer import IR_VERSION, OPSET
from nas_jax.spaces import architecture, builders, operations
from nas_jax.spaces.operations import OPERATIONS

SE = Path(__file__).parents[2] / "tests/networks/se_mbconv.py"


@pytest.fixture(autouse=True)
def registry():
    """Operations registered in a test are forgotten after it."""
    before = dict(OPERATIONS)
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


def reductions():
    """Four values between images and answer, each of the shape of the images.

    Reductions over one channel keep the shape, and write into no operand.
    """
    nodes = [
        helper.make_node("ReduceMax", [one], [other], axes=[1], keepdims=1)
        for one, other in zip(["images", *"abcd"], [*"abcd", "logits"], strict=True)
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, 64, 64])]
        for name in ("images", "logits")
    ]
    return helper.make_model(
        helper.make_graph(nodes, "chain", *ends),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def test_memory_of_a_chain_by_hand():
    """Two of its four values are alive at once; in use is the answer as well."""
    graph, shape = memory.optimised(reductions()), (100, 1, 64, 64)
    one = 4 * 100 * 64 * 64
    assert memory.laid_out_bytes(graph, shape) == 2 * one
    used = fresh_process.call(
        memory_in_use.of_run, graph, shape, environment=memory_in_use.ENVIRONMENT
    )
    assert used == pytest.approx(2 * one, rel=0.1)


def test_predictions_are_within_a_tenth_of_what_is_in_use(tmp_path, capsys):
    file = tmp_path / "memory.json"
    words = "memory --published proxyless_cpu --input-size 32 --networks 1"
    words += " --call-bytes 8000000 --json"
    assert bench_command.main([*words.split(), str(file)]) == 0
    result = json.loads(file.read_text())
    assert len(result["networks"]) == 1 + 4 == result["within_goal"]
    for row in result["networks"]:
        assert row["predicted_bytes"] == pytest.approx(row["in_use_bytes"], rel=0.1)
        # no layout takes less than what is alive at once
        assert row["laid_out_bytes"] >= row["predicted_bytes"]
    assert "5 of 5 met" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["se3_k3", "swish"])
def test_predictions_hold_for_operations_of_a_user(name):
    experiment = shipped.load_experiment(str(SE))
    if name == "swish":

        @operations.register(name, macs=lambda block: 0).module
        class Swish(layers.Sequential):
            def layers(self):
                out = self.block.out_channels
                return [
                    layers.ConvBNAct(4 * out, activation="silu", name="expand"),
                    layers.ConvBNAct(out, activation="none", name="project"),
                ]

    config = dataclasses.replace(
        experiment.space, candidates=("mb6_k3", name), input_size=32
    )
    space = builders.mobile(config)
    network = architecture.from_path(space, [1] * len(space.layers), name)
    row = memory.compared(network, 8_000_000)
    assert row["predicted_bytes"] == pytest.approx(row["in_use_bytes"], rel=0.1)


@pytest.mark.parametrize(
    ("predicted", "verdict"), [(89, "missed"), (90, "met"), (110, "met"), (111, "miss")]
)
def test_rows_say_whether_the_goal_is_met(predicted, verdict):
    sizes = {"in_use_bytes": 100, "laid_out_bytes": 1, "in_blocks_bytes": 1}
    row = {"name": "one", "predicted_bytes": predicted} | sizes
    rows = memory.table({"networks": [row], "within_goal": 0})
    assert rows[1][-1].startswith(verdict)


@pytest.mark.parametrize("field", ["networks", "input_size", "call_bytes", "seed"])
def test_settings_that_make_no_sense_are_refused(field):
    with pytest.raises(ValueError, match=f"{field}: expected .* or more, got -1"):
        MemoryConfig(**{field: -1})


def test_networks_are_drawn_from_every_space():
    found = memory.drawn(MemoryConfig(networks=3, input_size=32))
    assert len(found) == 6 + 3 * 4
    assert len({one.name for one in found}) == len(found)
    assert all(np.prod(one.input_shape) > 0 for one in found)
