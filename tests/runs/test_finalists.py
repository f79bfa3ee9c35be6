"""Finalists of a run, and the network derived from them."""

import json
import shutil

import pytest

from nas_jax import cli
from nas_jax.runs import finalists, run_folder
from nas_jax.spaces import architecture, architecture_json, builders
from tests.small_run import EXPERIMENT


def test_searched_network_keeps_its_target_and_the_result_says_how(result, finished):
    derivation = result["derivation"]
    slack = derivation["slack"]["latency"]
    predicted = result["networks"]["searched"]["predicted_ms"]
    assert 0 <= slack < 1
    assert predicted == pytest.approx((1 - slack) * result["target_ms"])
    assert derivation["log_prob_given_up"] >= 0
    assert derivation["log_prob_gap"] == 0
    assert "Derivation left " in (finished / "report.html").read_text()


def test_finalist_with_the_best_validation_accuracy_is_taken(result, finished):
    compared = json.loads((finished / "finalists.json").read_text())
    derivation = result["derivation"]
    accuracies = [one["valid_accuracy"] for one in compared]
    assert derivation["finalists"] == len(compared) <= 16
    assert derivation["rank"] == accuracies.index(max(accuracies))
    assert derivation["valid_accuracy"] == max(accuracies)
    given_up = [one["log_prob_given_up"] for one in compared]
    assert given_up == sorted(given_up)
    assert len({tuple(one["path"]) for one in compared}) == len(compared) > 1


def test_finalists_are_compared_by_what_is_given(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    document = json.loads((folder / "config.json").read_text())
    document["search"] |= {"finalists": 6, "max_slack": 1.0}
    (folder / "config.json").write_text(json.dumps(document))
    *others, last = finalists.of_run(folder)
    wanted, rank = last["path"], len(others)
    assert 1 <= rank < 6
    finalists.compare(folder, lambda path: float(path.tolist() == wanted))
    network, found = finalists.derive_run(folder)
    searched = builders.build(run_folder.read_experiment(folder).space)
    assert architecture.path_of(searched, network).tolist() == wanted
    assert (found["rank"], found["valid_accuracy"]) == (rank, 1.0)
    # a search that was stopped compared none
    (folder / finalists.FINALISTS).unlink()
    network, found = finalists.derive_run(folder)
    assert (found["finalists"], found["rank"]) == (0, 0)


def test_architecture_is_the_searched_network_of_the_result(finished, result):
    text = (finished / "architecture.json").read_text()
    found = architecture_json.from_json(text)
    assert architecture_json.to_json(found) == text
    assert json.loads(text) == result["networks"]["searched"]["architecture"]
    architecture.path_of(builders.mobile(EXPERIMENT.space), found)  # is of the space


def test_derive_finds_the_same_network_again(copy, capsys):
    before = (copy / "architecture.json").read_bytes()
    (copy / "architecture.json").unlink()
    assert cli.main(["derive", str(copy)]) == 0
    assert (copy / "architecture.json").read_bytes() == before
    assert str(copy / "architecture.json") in capsys.readouterr().out
