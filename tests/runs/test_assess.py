"""Exports and accuracies of the trained networks of a run."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import onnx

from nas_jax import cli
from nas_jax.data.batches import Batch
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint
from nas_jax.runs import assess
from nas_jax.runs.setup import Setup
from nas_jax.training.scores import Scores

NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


def test_exported_network_gives_the_logits_of_the_loaded_one(finished, result):
    images = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype(np.float32)
    for name in NETWORKS:
        assert result["networks"][name]["onnx_max_abs_difference"] <= 1e-4
        model = checkpoint.load_model(finished / "checkpoints" / name)
        graph = onnx.load(finished / "export" / f"{name}.onnx")
        logits = onnx_runtime.run(graph, images)
        np.testing.assert_allclose(model(images), logits, atol=1e-4)


def test_classes_that_have_no_label_are_called_by_their_number():
    """A space may have more classes than its data; a guess of one is wrong."""

    def model(images):
        return np.eye(4, dtype=np.float32)[images[:, 0, 0, 0].astype(int)]

    classifier = SimpleNamespace(classes=4)
    stem = SimpleNamespace(input_size=1)
    model.architecture = SimpleNamespace(classifier=classifier, stem=stem)
    images = np.zeros((3, 1, 1, 1), np.float32)
    images[:, 0, 0, 0] = (0, 1, 3)
    test = Batch(images, np.array([0, 1, 1], np.int32))
    space = SimpleNamespace(input_shape=(1, 1, 1))
    setup = Setup(None, space, {"test": test}, None, ("cat", "dog"))
    found = assess.tested(model, setup)
    assert list(found.per_class) == ["cat", "dog", "2", "3"]
    assert found.confusion == ((1, 0, 0, 0), (0, 1, 0, 1), (0,) * 4, (0,) * 4)
    assert found.balanced_accuracy == 0.75


def test_evaluate_gives_the_scores_of_the_result(copy, result, capsys, quick):
    assert cli.main(["evaluate", str(copy), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    scored = [one.name for one in dataclasses.fields(Scores)]
    for name in NETWORKS:
        before = result["networks"][name]
        for key in scored:
            assert again[name][key] == before[key], (name, key)
