"""The ONNX form of a network."""

import numpy as np
import onnx
import pytest

from nas_jax import cli
from nas_jax.latency.runtimes import onnx_quantise
from nas_jax.networks import checkpoint
from nas_jax.runs import eight_bits, setup
from tests.export.small_export import EXPERIMENT, refused, said


def test_onnx_is_folded_checked_and_of_any_batch_size(exported):
    graph = onnx.load(exported / "export" / "searched.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    (source,) = graph.graph.input
    assert source.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert (
        graph.opset_import[0].version
        == said(exported)["searched"]["formats"]["onnx"]["opset"]
    )


def test_8_bit_file_says_what_it_loses_and_predicts(run, pictures, capsys):
    assert cli.main(["export", str(run), "--format", "onnx,onnx-int8"]) == 0
    whole, small = (
        said(run)["searched"]["formats"][name] for name in ("onnx", "onnx-int8")
    )
    assert small["file"] == "searched_int8.onnx"
    assert small["max_abs_difference"] > 1e-4 >= whole["max_abs_difference"]
    assert 0.8 <= small["same_top1"] <= 1
    model = onnx.load(run / "export" / small["file"])
    assert onnx_quantise.in_float(model) == ()
    weights = [
        one
        for one in model.graph.initializer
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) in (2, 4)
    ]
    trained = checkpoint.load_model(run / "checkpoints" / "searched")
    # a kernel each for the stem, three per block but for zero, the head, the classifier
    blocks = [tree for tree in trained.params["blocks"] if tree]
    assert len(weights) == 3 + sum(map(len, blocks))
    capsys.readouterr()
    answers = []
    for name in ("searched_int8.onnx", "searched.onnx"):
        words = ["predict", str(run / "export" / name), *map(str, pictures[0])]
        assert cli.main([*words, "--top", "10"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] != answers[1]  # other numbers of the same labels
    (run / "export" / "searched.onnx").unlink()
    assert cli.main(["predict", str(run), str(pictures[0][0])]) == 0


def test_8_bit_file_is_calibrated_on_training_images(run):
    """Ranges are the widest that `train_weights` give: of the input, its extremes."""
    assert cli.main(["export", str(run), "--format", "onnx-int8"]) == 0
    graph = onnx.load(run / "export" / "searched_int8.onnx").graph
    (first,) = [node for node in graph.node if "images" in node.input]
    assert first.op_type == "QuantizeLinear"
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    images = eight_bits.calibration(setup.load(EXPERIMENT))
    assert len(images) == 40
    assert stored[first.input[1]] == pytest.approx(np.ptp(images) / 255, rel=1e-5)


def test_8_bit_file_of_a_network_alone_asks_for_pictures(alone, capsys):
    words = ["--format", "onnx-int8", "--preprocessing", "imagenet"]
    line = refused(capsys, "export", alone, *words)
    assert line.startswith("onnx-int8: expected pictures that give the ranges")
    assert line.endswith("got none; give --calibration")
    assert not (alone / "export").exists()
