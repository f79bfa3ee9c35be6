"""Exports and accuracies of the trained networks of a run."""

import json

import numpy as np
import onnx

from nas_jax import cli
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint

NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


def test_exported_network_gives_the_logits_of_the_loaded_one(finished, result):
    images = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype(np.float32)
    for name in NETWORKS:
        assert result["networks"][name]["onnx_max_abs_difference"] <= 1e-4
        model = checkpoint.load_model(finished / "checkpoints" / name)
        graph = onnx.load(finished / "export" / f"{name}.onnx")
        logits = onnx_runtime.run(graph, images)
        np.testing.assert_allclose(model(images), logits, atol=1e-4)


def test_evaluate_gives_the_accuracies_of_the_result(copy, result, capsys, quick):
    assert cli.main(["evaluate", str(copy), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for name in NETWORKS:
        expected = result["networks"][name]["test_accuracy"]
        assert again[name]["test_accuracy"] == expected, name
