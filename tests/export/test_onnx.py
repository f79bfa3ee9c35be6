"""The ONNX form of a network."""

import onnx

from tests.export.small_export import said


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
