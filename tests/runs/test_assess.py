"""Exports and accuracies of the trained networks of a run."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from nas_jax import cli
from nas_jax.config import LatencyConfig
from nas_jax.data.batches import Batch
from nas_jax.latency import tables
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint
from nas_jax.runs import assess
from nas_jax.runs.setup import Setup
from nas_jax.spaces import architecture, architecture_json, builders
from nas_jax.training.progress import Progress
from nas_jax.training.scores import Scores
from tests import small_run

SPACE = builders.mobile(small_run.EXPERIMENT.space)
NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


def test_exported_network_gives_the_logits_of_the_loaded_one(finished, result):
    images = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype(np.float32)
    for name in NETWORKS:
        assert result["networks"][name]["onnx_max_abs_difference"] <= 1e-4
        model = checkpoint.load_model(finished / "checkpoints" / name)
        graph = onnx.load(finished / "export" / f"{name}.onnx")
        logits = onnx_runtime.run(graph, images)
        np.testing.assert_allclose(model(images), logits, atol=1e-4)


class Told(Progress):
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def timed_beside(reference):
    """A network of the small run, timed with a table of this machine."""
    config = LatencyConfig(batch=4, repeats=3, loop_ms=0.1)
    device = onnx_runtime.device(config)
    of = {"device": device.name, "runtime": "onnxruntime", "threads": 1, "batch": 4}
    table = tables.LatencyTable({}, of, reference=reference)
    told, one = Told(), architecture.from_path(SPACE, [0, 0], "one")
    graphs, shapes = {"one": onnx_runtime.drawn(one)}, {"one": one.input_shape}
    return assess.timed(graphs, shapes, table, config, told), told.lines


def test_reference_of_the_table_is_timed_beside_the_networks(quick):
    base = architecture.hand_designed(SPACE)
    document = json.loads(architecture_json.to_json(base))
    found, lines = timed_beside(tables.Reference(document, 1e-6))
    assert list(found.measured_ms) == ["one"]
    # a nanosecond then: this machine is now much slower
    assert found.pace.factor == pytest.approx(found.pace.reference_ms / 1e-6)
    assert found.pace.factor > 100
    assert (
        " slower than when the table was measured (reference network: 1e-06 ms"
        in (lines[0])
    )
    result = assess.Assessed({}, found.pace, None).result()
    assert result["pace"]["factor"] == found.pace.factor


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (None, "the table has no reference network"),
        (tables.Reference({"name": "x"}, 1.0), "reference network cannot be built ("),
    ],
)
def test_without_a_reference_the_networks_are_timed_and_a_line_says_why(
    quick, reference, why
):
    found, lines = timed_beside(reference)
    assert found.measured_ms["one"]["median"] > 0 and found.pace is None
    assert why in found.why_none and why in lines[0]
    unknown = assess.Assessed({}, None, found.why_none).result()["pace"]
    assert unknown == {"unknown": found.why_none}


def test_a_reference_without_a_graph_is_told(quick, monkeypatch):
    base = architecture.hand_designed(SPACE)
    document = json.loads(architecture_json.to_json(base))
    drawn = onnx_runtime.drawn

    def refuse(one):
        if one == base:
            raise ValueError("no graph of it")
        return drawn(one)

    monkeypatch.setattr(onnx_runtime, "drawn", refuse)
    found, lines = timed_beside(tables.Reference(document, 1.0))
    assert found.pace is None
    assert lines[0].endswith("reference network cannot be timed (no graph of it)")


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
