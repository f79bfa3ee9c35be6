"""One small run, from the command line to the report."""

import dataclasses

import pytest

from nas_jax import cli
from nas_jax.runs import pipeline, run_folder
from tests.small_run import EXPERIMENT

NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


def test_run_folder_has_every_file_and_no_partial_one(finished):
    assert {path.name for path in finished.iterdir()} == {
        "config.json",
        "command.txt",
        "data.csv",
        "data.json",
        "lock",
        "seconds.json",
        "snapshots",
        "experiment.py",
        "metrics.jsonl",
        "checkpoints",
        "architecture.json",
        "finalists.json",
        "latency_table.json",
        "result.json",
        "report.html",
        "export",
    }
    assert {path.name for path in (finished / "checkpoints").iterdir()} == NETWORKS
    exported = {path.name for path in (finished / "export").iterdir()}
    beside = {"labels.txt", "preprocessing.json"}
    assert exported == {f"{name}.onnx" for name in NETWORKS} | beside


def test_config_of_the_folder_is_the_experiment_with_its_overrides(finished, home):
    latency = dataclasses.replace(EXPERIMENT.latency, table=f"{home}/table.json")
    expected = dataclasses.replace(EXPERIMENT, latency=latency)
    assert run_folder.read_experiment(finished) == expected


def test_result_has_the_agreed_keys(result):
    assert set(result) == {
        "networks",
        "pace",
        "target_ms",
        "derivation",
        "seed",
        "versions",
        "device",
        "commit",
        "seconds_per_phase",
        "command",
        "resumed",
    }
    assert set(result["networks"]) == NETWORKS
    assert result["seed"] == 3
    assert set(result["seconds_per_phase"]) == {
        "compile",
        "measure",
        "search",
        "retrain",
        "evaluate",
    }
    for network in result["networks"].values():
        assert {
            "architecture",
            "test_accuracy",
            "test_images",
            "balanced_accuracy",
            "majority_share",
            "per_class",
            "confusion",
            "largest_confusions",
            "params",
            "macs",
            "flash_bytes",
            "flash_int8_bytes",
            "peak_memory_bytes",
            "peak_memory_int8_bytes",
            "predicted_ms",
            "measured_ms",
        } <= set(network)
        assert {"median", "q25", "q75"} <= set(network["measured_ms"])
        assert network["test_images"] == 50
        # an accuracy over 50 images is a whole number of them
        assert (network["test_accuracy"] * 50) % 1 == pytest.approx(0, abs=1e-9)
        # ten digits, five of each
        assert list(network["per_class"]) == list("0123456789")
        assert [sum(row) for row in network["confusion"]] == [5] * 10
        right = sum(network["confusion"][k][k] for k in range(10))
        assert network["test_accuracy"] == right / 50
        assert network["balanced_accuracy"] == pytest.approx(right / 50)
        assert network["majority_share"] == 0.1


def test_without_held_out_networks_no_chance_is_stated(result):
    searched = result["networks"]["searched"]
    assert searched["risk"] == {
        "unknown": "the table was not held against whole networks"
    }
    # its table is written by hand, for a made-up device
    assert "the table is of device made up" in result["pace"]["unknown"]


def test_target_is_the_ratio_of_the_baseline_by_table(result):
    baseline = result["networks"]["baseline"]["predicted_ms"]
    assert result["target_ms"] == pytest.approx(0.7 * baseline)


def test_report_is_made_again_from_the_files(copy, capsys):
    (copy / "report.html").unlink()
    assert cli.main(["report", str(copy)]) == 0
    assert capsys.readouterr().out.strip() == str(copy / "report.html")
    assert "small" in (copy / "report.html").read_text()


@pytest.fixture
def stopped_at_once(monkeypatch):
    """Ctrl-C while the latency is measured."""

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "measure", stop)


def test_restart_of_a_named_run_is_told_to_take_another_name(
    arguments, stopped_at_once, tmp_path, capsys
):
    words = [*arguments, "--out", str(tmp_path / "named")]
    assert cli.main(words) == 130
    assert "; start again with a new --out: nas_jax" in capsys.readouterr().err
    assert cli.main(words) == 2


def test_stop_before_the_first_epoch_says_what_derive_lacks(
    arguments, stopped_at_once, tmp_path, capsys
):
    assert cli.main([*arguments, "--out", str(tmp_path / "run")]) == 130
    assert cli.main(["report", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert cli.main(["derive", str(tmp_path / "run")]) == 2
    assert "was stopped before anything was trained; start" in capsys.readouterr().err
