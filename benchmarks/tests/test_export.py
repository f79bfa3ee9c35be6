"""`benchmarks export`: one network from here and from PyTorch in one runtime."""

import json

import numpy as np
import pytest

from benchmarks import command as bench_command
from benchmarks import export
from benchmarks.settings import ExportConfig
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.spaces import published

torch = pytest.importorskip("torch")


def test_both_files_have_the_same_weights_and_operators():
    models = export.written(
        published.get("proxyless_gpu", 32), np.random.default_rng(0)
    )
    images = np.random.default_rng(1).normal(size=(3, 32, 32, 3))
    ours, *theirs = (onnx_runtime.run(model, images) for model in models.values())
    assert len(theirs) == 1 + export.has_dynamo()
    assert ours.shape == (3, 1000)
    assert ours.std() > 0.01
    for one in theirs:
        np.testing.assert_allclose(ours, one, atol=1e-4 * np.abs(ours).max())
    kinds = [
        sorted(node.op_type for node in model.graph.node if node.op_type != "Constant")
        for model in models.values()
    ]
    # the newer exporter writes the average of the classifier in its own way
    assert kinds[0] == kinds[1]


def test_command_measures_both_and_writes_the_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export.timing, "SPREAD_S", 0.0)
    file = tmp_path / "export.json"
    words = ["export", "--networks", "mobilenet_v2", "--input-size", "32"]
    words += ["--rounds", "3", "--loop-ms", "0.1", "--json", str(file)]
    assert bench_command.main(words) == 0
    (row,) = json.loads(file.read_text())["rows"]
    assert row["network"] == "mobilenet_v2"
    theirs = [ms for name, ms in row["ms"].items() if name != "ours"]
    assert row["over"] == pytest.approx(row["ms"]["ours"] / min(theirs))
    assert min(row["ms"].values()) > 0
    assert row["difference"] <= 1e-4
    out = capsys.readouterr().out
    assert "mobilenet_v2" in out
    assert "<= 1.02" in out


def test_files_that_differ_are_told(monkeypatch):
    monkeypatch.setattr(export.timing, "SPREAD_S", 0.0)
    fill = export._fill

    def other(module, params, *rest, **more):
        if "kernel" in params and params["kernel"].ndim == 2:
            params = params | {"bias": params["bias"] + 1.0}
        fill(module, params, *rest, **more)

    monkeypatch.setattr(export, "_fill", other)
    config = ExportConfig(networks=("proxyless_gpu",), input_size=32, rounds=3)
    with pytest.raises(ValueError, match="expected all files to compute the same"):
        export.run(config)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--networks", "nobody"], "published network 'nobody': expected one of"),
        (["--networks", "proxyless_cifar", "--input-size", "32"], "the PyTorch peer"),
        (["--batch", "0"], "batch: expected a positive integer, got 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(words, message, capsys):
    assert bench_command.main(["export", *words]) == 2
    assert message in capsys.readouterr().err
