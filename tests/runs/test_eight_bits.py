"""A search in 8 bits, end to end: measured, compared, tested and reported so."""

import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import timing
from nas_jax.networks import checkpoint
from nas_jax.runs import eight_bits, run_folder, setup
from nas_jax.training import losses
from tests.networks.test_own_operation import SE

WORDS = (
    "--latency.runtime onnxruntime-int8 --search.trials 2 --search.max-slack 1 "
    "--search.target-ratio 0.95 --random-networks 0 "
    "--space.candidates mb3_k3 mb6_k3 mb3_k5 zero"
)


@pytest.fixture(scope="module")
def run(home, tmp_path_factory):
    """The folder of a run in 8 bits, its table measured."""
    folder = tmp_path_factory.mktemp("int8") / "run"
    rounds = timing.rounds
    with pytest.MonkeyPatch.context() as patch:
        # rounds back to back instead of spread over seconds
        patch.setattr(
            timing,
            "rounds",
            lambda calls, plan: rounds(calls, dataclasses.replace(plan, spread_s=0.0)),
        )
        words = ["search", str(home / "small.py"), *WORDS.split()]
        assert cli.main([*words, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def networks(run):
    return json.loads((run / "result.json").read_text())["networks"]


def answers(run, name, split):
    """Logits of an exported 8-bit network, by ONNX Runtime alone, and the labels."""
    given = setup.load(run_folder.read_experiment(run)).splits[split].evaluated()
    images, labels = given.take(np.arange(len(given.labels)))
    session = onnxruntime.InferenceSession(run / "export" / f"{name}_int8.onnx")
    planes = np.asarray(images).transpose(0, 3, 1, 2)
    return session.run(["logits"], {"images": planes})[0], np.asarray(labels)


def test_table_is_measured_in_8_bits_and_held_against_networks_in_8_bits(run):
    table = tables.load(run / "latency_table.json")
    assert table.provenance["dtype"] == "int8"
    assert table.provenance["runtime"] == "onnxruntime-int8"
    assert table.validation["networks"] == 16  # all of the space


def test_result_has_both_accuracies(run, networks):
    for name, one in networks.items():
        logits, labels = answers(run, name, "test")
        assert one["test_accuracy_int8"] == (logits.argmax(1) == labels).mean()
        assert one["calibration_images"] == 40  # all of train_weights
        # per class and as a whole the float network is described
        right = sum(one["confusion"][k][k] for k in range(10))
        assert one["test_accuracy"] == right / 50
        assert (run / "export" / f"{name}.onnx").is_file()
        assert 0 < one["measured_ms"]["median"] < math.inf
    pace = json.loads((run / "result.json").read_text())["pace"]
    assert pace["factor"] > 0  # of the table's own reference, in 8 bits


def test_last_rung_compares_networks_as_quantised(run):
    compared = json.loads((run / "finalists.json").read_text())
    tried = [one for one in compared if "trial" in one]
    assert len(tried) == 2
    loaded = setup.load(run_folder.read_experiment(run))
    valid = loaded.splits["valid"].evaluated()
    for one in tried:
        model = checkpoint.load_model(run / "trials" / f"{one['trial']}_rung_1")
        graph = eight_bits.quantised(model, loaded)
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        planes = np.asarray(valid.images).transpose(0, 3, 1, 2)
        (logits,) = session.run(["logits"], {"images": planes})
        loss = float(losses.cross_entropy(jnp.asarray(logits), valid.labels))
        assert one["trained_valid_loss"] == pytest.approx(loss, rel=1e-5)


def test_report_and_terminal_show_8_bits_beside_float(run, networks, capsys):
    page = (run / "report.html").read_text()
    share = f"{100 * networks['searched']['test_accuracy_int8']:.1f}"
    assert "<th>in 8 bits</th>" in page.replace(' scope="col"', "")
    assert f"<b>{share}\u00a0%</b> test accuracy in 8 bits" in page
    capsys.readouterr()
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for name, one in networks.items():
        for key in ("test_accuracy", "test_accuracy_int8", "calibration_images"):
            assert again[name][key] == one[key]
    assert cli.main(["evaluate", str(run)]) == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert "test acc." in header and "in 8 bits" in header


def test_table_of_floats_is_refused_before_a_folder_is_made(
    arguments, tmp_path, capsys
):
    words = ["--latency.runtime", "onnxruntime-int8", "--out", str(tmp_path / "run")]
    assert cli.main([*arguments, *words]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected times in int8, as latency.runtime is onnxruntime-int8, " in line
    assert not (tmp_path / "run").exists()


def test_table_in_8_bits_is_refused_for_floats(run, home, tmp_path, capsys):
    words = ["search", str(home / "small.py"), "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--latency.table", str(run / "latency_table.json")]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected times in float32, as latency.runtime is onnxruntime, got" in line


def test_what_stays_in_float_is_told_before_a_search_in_8_bits_alone(
    own_operations, float_gates
):
    float_gates()
    experiment = shipped.load_experiment(str(SE))
    assert eight_bits.notes(setup.load(experiment)) == []
    latency = dataclasses.replace(experiment.latency, runtime="onnxruntime-int8")
    experiment = dataclasses.replace(experiment, latency=latency)
    (line,) = eight_bits.notes(setup.load(experiment))
    assert line.startswith("8 bits: se3_k3 computes ")


def test_operation_without_a_form_in_onnx_is_refused_by_name(
    own_operations, tmp_path, capsys
):
    (tmp_path / "mine.py").write_text(
        """
import dataclasses

import flax.linen as nn

from nas_jax.spaces import operations
from tests import small_run


@operations.register("double{expansion}_k{kernel}", macs=lambda block: 1).module
class Double(nn.Module):
    block: operations.Block

    @nn.compact
    def __call__(self, x, train):
        return x + x


def get_config():
    space = dataclasses.replace(
        small_run.EXPERIMENT.space, candidates=("mb3_k3", "double1_k1", "zero")
    )
    return dataclasses.replace(small_run.EXPERIMENT, space=space)
"""
    )
    words = ["search", str(tmp_path / "mine.py"), "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--latency.runtime", "onnxruntime-int8"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "operation 'double1_k1': expected a way to write it in ONNX" in line


def test_word_that_is_no_runtime_is_answered_with_the_nearest(arguments, capsys):
    assert cli.main([*arguments, "--latency.runtime", "onnxruntime-int4"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "got 'onnxruntime-int4'; did you mean onnxruntime-int8?" in line
