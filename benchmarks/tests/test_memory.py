"""`benchmarks memory`: predictions against the plans of ONNX Runtime, in earnest."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from benchmarks import command as bench_command
from benchmarks import memory
from benchmarks.settings import MemoryConfig
from nas_jax.networks.onnx.writer import IR_VERSION, OPSET


def test_the_plan_of_two_reductions_by_hand():
    """Of a chain of four values between images and answer two are alive at once.

    Reductions over the batch of one image keep the shape, and write into no operand.
    """
    nodes = [
        helper.make_node("ReduceMax", [one], [other], axes=[0], keepdims=1)
        for one, other in zip(["images", *"abcd"], [*"abcd", "logits"], strict=True)
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 16, 16])]
        for name in ("images", "logits")
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", *ends),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    assert memory.planned_bytes(model, (16, 16, 4)) == 2 * 4 * 4 * 16 * 16


def test_predictions_are_within_a_tenth_of_the_plans(tmp_path, capsys):
    file = tmp_path / "memory.json"
    words = "memory --published proxyless_cpu --input-size 32 --networks 2 --json"
    assert bench_command.main([*words.split(), str(file)]) == 0
    result = json.loads(file.read_text())
    assert len(result["networks"]) == 1 + 3 * 2 == result["within_goal"]
    for row in result["networks"]:
        assert row["predicted_bytes"] == pytest.approx(row["planned_bytes"], rel=0.1)
    assert "7 of 7 met" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("predicted", "verdict"), [(89, "missed"), (90, "met"), (110, "met"), (111, "miss")]
)
def test_rows_say_whether_the_goal_is_met(predicted, verdict):
    row = {"name": "one", "predicted_bytes": predicted, "planned_bytes": 100}
    rows = memory.table({"networks": [row | {"in_blocks_bytes": 1}], "within_goal": 0})
    assert rows[1][-1].startswith(verdict)


@pytest.mark.parametrize("field", ["networks", "input_size", "seed"])
def test_settings_that_make_no_sense_are_refused(field):
    with pytest.raises(ValueError, match=f"{field}: expected .* or more, got -1"):
        MemoryConfig(**{field: -1})


def test_networks_are_drawn_from_every_space():
    found = memory.drawn(MemoryConfig(networks=3, input_size=32))
    assert len(found) == 6 + 3 * 3
    assert len({one.name for one in found}) == len(found)
    assert all(np.prod(one.input_shape) > 0 for one in found)
