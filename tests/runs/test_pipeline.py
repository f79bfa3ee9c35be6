"""One small run, from the command line to the report, and what its folder is good for.

The run itself is made once; every test gets the folder, or a copy to damage.
"""

import dataclasses
import json
import shutil

import jax
import numpy as np
import onnx
import pytest

from nas_jax import cli, report
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import checkpoint
from nas_jax.runs import finalists, pipeline, run_folder, setup, trade_off
from nas_jax.search import loop
from nas_jax.spaces import architecture, architecture_json, builders
from tests import small_run
from tests.small_run import EXPERIMENT

NETWORKS = {"searched", "baseline", "cheapest", "random_1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with an experiment file and a latency table, written by hand."""
    home = tmp_path_factory.mktemp("home")
    small_run.write(home)
    return home


@pytest.fixture(scope="module")
def quick():
    """Whole networks are timed without spreading the rounds over seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_runtime.timing, "SPREAD_S", 0.0)
        measure = onnx_runtime.measure_networks
        patch.setattr(
            onnx_runtime,
            "measure_networks",
            lambda *args, **given: measure(*args, **given, spread_s=0.0),
        )
        yield


@pytest.fixture(scope="module")
def arguments(home):
    return ["search", str(home / "small.py"), "--latency.table", f"{home}/table.json"]


@pytest.fixture(scope="module")
def finished(home, arguments, quick):
    """The folder of the run."""
    assert cli.main([*arguments, "--out", str(home / "run")]) == 0
    return home / "run"


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture(scope="module")
def result(finished):
    return json.loads((finished / "result.json").read_text())


# --- what a run leaves ---------------------------------------------------------------


def test_run_folder_has_every_file_and_no_partial_one(finished):
    assert {path.name for path in finished.iterdir()} == {
        "config.json",
        "command.txt",
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
    assert exported == {f"{name}.onnx" for name in NETWORKS}


def test_config_of_the_folder_is_the_experiment_with_its_overrides(finished, home):
    latency = dataclasses.replace(EXPERIMENT.latency, table=f"{home}/table.json")
    expected = dataclasses.replace(EXPERIMENT, latency=latency)
    assert run_folder.read_experiment(finished) == expected


def test_result_has_the_agreed_keys(result):
    assert set(result) == {
        "networks",
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
            "params",
            "macs",
            "predicted_ms",
            "measured_ms",
        } <= set(network)
        assert {"median", "q25", "q75"} <= set(network["measured_ms"])
        assert network["test_images"] == 50
        # an accuracy over 50 images is a whole number of them
        assert (network["test_accuracy"] * 50) % 1 == pytest.approx(0, abs=1e-9)


def test_searched_network_states_its_chance_of_meeting_the_target(result):
    searched = result["networks"]["searched"]
    risk = searched["risk"]
    assert risk["mean_ms"] == searched["predicted_ms"]
    assert (risk["std_ms"] > 0, risk["source"]) == (True, "spread of the parts")
    above = searched["predicted_ms"] > result["target_ms"]
    assert (risk["probability"] < 0.5) == above


def test_target_is_the_ratio_of_the_baseline_by_table(result):
    baseline = result["networks"]["baseline"]["predicted_ms"]
    assert result["target_ms"] == pytest.approx(0.7 * baseline)


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


def test_of_the_trials_the_one_with_the_smallest_loss_is_kept(
    home, arguments, quick, tmp_path
):
    folder = tmp_path / "run"
    words = ["--search.trials", "2", "--search.max-slack", "1", "--out", str(folder)]
    assert cli.main([*arguments, *words]) == 0
    result = json.loads((folder / "result.json").read_text())
    compared = json.loads((folder / "finalists.json").read_text())
    tried = [one for one in compared if "trial" in one]
    # the two with the best accuracy by the supernet were trained
    accuracies = [one["valid_accuracy"] for one in compared]
    by_accuracy = sorted(range(len(compared)), key=lambda place: -accuracies[place])
    order = {one["trial"]: compared.index(one) for one in tried}
    assert order == {"trial_1": by_accuracy[0], "trial_2": by_accuracy[1]}
    best = min(tried, key=lambda one: one["trained_valid_loss"])
    derivation_found = result["derivation"]
    assert derivation_found["trial"] == best["trial"]
    assert derivation_found["trials"] == 2
    # an independent loss of what was saved as the searched network
    model = checkpoint.load_model(folder / "checkpoints" / "searched")
    valid = setup.load(run_folder.read_experiment(folder)).splits["valid"].evaluated()
    images, labels = valid.take(np.arange(len(valid.labels)))
    logits = np.asarray(model(np.asarray(images)), np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_probs[np.arange(len(labels)), np.asarray(labels)].mean()
    assert loss == pytest.approx(best["trained_valid_loss"], rel=1e-4)
    searched = builders.build(run_folder.read_experiment(folder).space)
    assert architecture.path_of(searched, model.architecture).tolist() == best["path"]
    assert model.architecture.name == "searched"
    # and `derive` finds it again from the files alone
    network, again = finalists.derive_run(folder)
    assert network == model.architecture
    assert again == derivation_found
    assert "2 trained in full" in finalists.line(again)


def test_several_targets_share_a_warm_up(home, arguments, quick, tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["--targets", "0.7, 0.9", "--train.epochs", "1", "--out", str(folder)]
    assert cli.main([*arguments, *words]) == 0
    result = json.loads((folder / "result.json").read_text())
    for name, share in (("searched_1", 0.7), ("searched_2", 0.9)):
        found = result["targets"][name]
        baseline = result["networks"]["baseline_100"]
        assert found["target_ms"] == pytest.approx(
            result["targets"]["searched_1"]["target_ms"] * share / 0.7
        )
        network = result["networks"][name]
        assert network["predicted_ms"] <= found["target_ms"]
        risk = network["risk"]
        assert risk["mean_ms"] == network["predicted_ms"]
        assert 0.5 <= risk["probability"] < 1
        assert {"test_accuracy", "measured_ms"} <= set(network) & set(baseline)
    phases = {
        place: [
            json.loads(line)["phase"]
            for line in (place / "metrics.jsonl").read_text().splitlines()
        ]
        for place in (folder, *(folder / "targets").iterdir())
    }
    assert phases.pop(folder)[0] == "warmup"
    assert list(phases.values()) == [["joint", "joint"]] * 2
    first = folder / "targets" / "0.7"
    assert run_folder.read_experiment(first).search.target_ratio == 0.7
    # the search alone, at that target, finds the same
    words = ["--search.target-ratio", "0.7", "--random-networks", "0"]
    assert cli.main([*arguments, *words, "--out", str(tmp_path / "alone")]) == 0
    alone = run_folder.last_probabilities(tmp_path / "alone")
    assert run_folder.last_probabilities(first) == alone
    page = (folder / "report.html").read_text()
    assert "2 targets from one warm-up" in page
    out = capsys.readouterr().out
    chance = result["networks"]["searched_2"]["risk"]["probability"]
    row = next(line for line in out.splitlines() if line.split()[1:2] == ["0.9"])
    assert row.split()[0] == "searched_2"
    assert row.split()[3] == f"{chance:.0%}"
    assert "speed-up" in out


def test_speed_up_is_read_off_the_curve_of_the_hand_designed_network():
    def network(ms, accuracy):
        return {"measured_ms": {"median": ms}, "test_accuracy": accuracy}

    results = {
        "baseline_50": network(1.0, 0.90),
        "baseline_75": network(2.0, 0.88),  # slower and worse: not on the curve
        "baseline_100": network(3.0, 0.94),
        "searched_1": network(1.0, 0.93),
        "searched_2": network(2.0, 0.95),
        "searched_3": network(0.5, 0.89),
    }
    # 0.93 lies at three quarters of the way from 1 to 3 ms
    assert trade_off.speed_up(results, "searched_1") == pytest.approx(2.5)
    assert trade_off.speed_up(results, "searched_2") is None
    assert trade_off.speed_up(results, "searched_3") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--targets: expected ratios or milliseconds above 0"),
        ("0.7,much", "--targets: expected ratios or milliseconds above 0"),
        ("0.7,0.70", "--targets: expected distinct targets, got ['0.7', '0.70']"),
        ("0.7,0.001", "is out of reach: networks of this space take "),
        ("0.001ms", "search.target_ms = 0.001 is out of reach: "),
    ],
)
def test_wrong_targets_are_refused_before_a_folder_is_made(
    arguments, tmp_path, capsys, words, message
):
    folder = tmp_path / "run"
    assert cli.main([*arguments, "--targets", words, "--out", str(folder)]) == 2
    assert message in capsys.readouterr().err
    assert not folder.exists()


def test_searched_network_may_go_on_from_the_weights_of_the_supernet(
    home, arguments, quick, tmp_path
):
    """Kept weights are saved, and trained on: a vanishing rate leaves them as they are.

    The others begin afresh.
    """
    words = (
        "--train.start supernet --train.lr 1e-9 --train.weight-decay 0 "
        "--random-networks 0"
    )
    folder = tmp_path / "run"
    assert cli.main([*arguments, *words.split(), "--out", str(folder)]) == 0
    kept = checkpoint.load_model(folder / "kept")
    trained = checkpoint.load_model(folder / "checkpoints" / "searched")
    assert kept.architecture == trained.architecture
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        *(kept.params, trained.params),
    )
    baseline = checkpoint.load_model(folder / "checkpoints" / "baseline")
    assert not np.allclose(
        kept.params["stem"]["kernel"], baseline.params["stem"]["kernel"]
    )


def test_search_for_multiply_adds_by_reward(home, arguments, quick, tmp_path, capsys):
    """Nothing that is not a time is called one."""
    words = (
        "--search.cost macs --search.estimator reinforce --search.objective tunas "
        "--search.expectation full --search.reinforce-samples 3 --random-networks 0"
    )
    folder = tmp_path / "run"
    assert cli.main([*arguments, *words.split(), "--out", str(folder)]) == 0
    result = json.loads((folder / "result.json").read_text())
    goal = 0.7 * result["networks"]["baseline"]["macs"]
    assert result["target_macs"] == pytest.approx(goal)
    assert "target_ms" not in result
    printed = capsys.readouterr().out
    assert f"target {goal:,.0f} MACs, report: " in printed
    assert (
        f"ms per call of {small_run.EXPERIMENT.latency.batch} images, 1 th" in printed
    )
    lines = [
        json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    for line in lines[:3]:
        assert line["search/expected_macs"] > 1000
        assert line["search/target_macs"] == result["target_macs"]
        assert not {"search/target_ms", "search/expected_latency_ms"} & set(line)
    assert all("search/arch_reward" in line for line in lines[1:3])
    page = (folder / "report.html").read_text()
    assert "Expected multiply-adds" in page
    assert "Expected latency" not in page


def test_metrics_lines_carry_step_phase_and_seconds(finished):
    lines = [
        json.loads(line)
        for line in (finished / "metrics.jsonl").read_text().splitlines()
    ]
    phases = ["warmup", "joint", "joint"] + 4 * ["train", "train"]
    assert [line["phase"] for line in lines] == phases
    assert all({"step", "phase", "seconds", "epoch"} <= set(line) for line in lines)
    steps = [line["step"] for line in lines]
    assert steps == [2, 4, 6] + 4 * [2, 4]
    for line in lines[:3]:
        assert np.shape(line["search/probs"]) == (2, 3)
        assert line["search/expected_latency_ms"] > 0
        assert {"search/loss", "search/entropy"} <= set(line)
    watched = ["search/valid_accuracy" in line for line in lines[:3]]
    assert watched == [False, True, True]  # every second epoch, and the last
    for line in lines[3:]:
        assert line["network"] in NETWORKS
        assert {"train/loss", "train/accuracy"} <= set(line)


def test_architecture_is_the_searched_network_of_the_result(finished, result):
    text = (finished / "architecture.json").read_text()
    found = architecture_json.from_json(text)
    assert architecture_json.to_json(found) == text
    assert json.loads(text) == result["networks"]["searched"]["architecture"]
    architecture.path_of(builders.mobile(EXPERIMENT.space), found)  # is of the space


def test_exported_network_gives_the_logits_of_the_loaded_one(finished, result):
    images = np.random.default_rng(0).normal(size=(7, 8, 8, 1)).astype(np.float32)
    for name in NETWORKS:
        assert result["networks"][name]["onnx_max_abs_difference"] <= 1e-4
        model = checkpoint.load_model(finished / "checkpoints" / name)
        graph = onnx.load(finished / "export" / f"{name}.onnx")
        logits = onnx_runtime.run(graph, images)
        np.testing.assert_allclose(model(images), logits, atol=1e-4)


def test_loaded_network_refuses_images_of_another_shape(finished):
    model = checkpoint.load_model(finished / "checkpoints" / "searched")
    with pytest.raises(
        ValueError, match=r"expected shape \[batch, 8, 8, 1\] .* got \[2, 8, 8, 3\]"
    ):
        model(np.zeros((2, 8, 8, 3), np.float32))


# --- the verbs on a folder -----------------------------------------------------------


def test_derive_finds_the_same_network_again(copy, capsys):
    before = (copy / "architecture.json").read_bytes()
    (copy / "architecture.json").unlink()
    assert cli.main(["derive", str(copy)]) == 0
    assert (copy / "architecture.json").read_bytes() == before
    assert str(copy / "architecture.json") in capsys.readouterr().out


def test_report_is_made_again_from_the_files(copy, capsys):
    (copy / "report.html").unlink()
    assert cli.main(["report", str(copy)]) == 0
    assert capsys.readouterr().out.strip() == str(copy / "report.html")
    assert "small" in (copy / "report.html").read_text()


def test_evaluate_gives_the_accuracies_of_the_result(copy, result, capsys, quick):
    assert cli.main(["evaluate", str(copy), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    for name in NETWORKS:
        expected = result["networks"][name]["test_accuracy"]
        assert again[name]["test_accuracy"] == expected, name


def test_train_makes_a_deleted_network_again(copy, result, capsys, quick):
    shutil.rmtree(copy / "checkpoints" / "searched")
    leftover = copy / "checkpoints" / ".searched.partial"  # of a stopped save
    leftover.mkdir()
    assert cli.main(["train", str(copy)]) == 0
    accuracy = result["networks"]["searched"]["test_accuracy"]
    assert f"test accuracy {accuracy:.1%}" in capsys.readouterr().out
    assert not leftover.exists()
    checkpoint.load_model(copy / "checkpoints" / "searched")
    assert cli.main(["report", str(copy)]) == 0
    assert cli.main(["train", str(copy)]) == 2
    assert "this network is trained already" in capsys.readouterr().err


def test_train_of_an_architecture_file_makes_a_folder_of_its_own(
    finished, home, tmp_path, capsys
):
    found, out = str(finished / "architecture.json"), tmp_path / "trained"
    words = ["train", found, str(home / "small.py"), "--train.epochs", "1"]
    assert cli.main([*words, "--out", str(out)]) == 0
    assert checkpoint.load_model(out / "checkpoints" / "searched")
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    assert cli.main([*words, "--out", str(out)]) == 2
    assert "expected a folder that does not exist yet" in capsys.readouterr().err


# --- damage --------------------------------------------------------------------------


def test_flipped_bit_in_the_weights_is_found(copy):
    folder = copy / "checkpoints" / "searched"
    refused = 0
    files = [path for path in (folder / "weights").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 12)):
        flipped = bytearray(content)
        flipped[place] ^= 4
        largest.write_bytes(flipped)
        try:
            damaged = checkpoint.load_model(folder)
        except ValueError as error:
            assert "\n" not in str(error)
            assert str(folder) in str(error)
            refused += 1
        else:  # the bit belonged to no array: the weights are what they were
            assert checkpoint.digests(
                {"params": damaged.params, "batch_stats": damaged.batch_stats}
            ) == json.loads((folder / "digests.json").read_text())
    assert refused > 0
    largest.write_bytes(content)
    checkpoint.load_model(folder)


def test_wrong_digest_names_the_array(copy):
    folder = copy / "checkpoints" / "searched"
    digests = json.loads((folder / "digests.json").read_text())
    first = next(iter(digests))
    (folder / "digests.json").write_text(json.dumps(digests | {first: "0"}))
    with pytest.raises(ValueError) as caught:
        checkpoint.load_model(folder)
    assert f"1 arrays differ from their digest, first {first}" in str(caught.value)


def test_save_does_not_overwrite_a_network(copy):
    folder = copy / "checkpoints" / "searched"
    model = checkpoint.load_model(folder)
    with pytest.raises(ValueError, match="exists; expected a new folder"):
        checkpoint.save_model(folder, model)
    checkpoint.load_model(folder)


# --- stopped -------------------------------------------------------------------------


@pytest.fixture
def stopped_early(monkeypatch):
    """Ctrl-C after the first epoch of a search."""
    whole = loop.run

    def run(*args, **kwargs):
        yield next(whole(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run", run)


def test_stopped_search_leaves_a_folder_that_works(
    arguments, stopped_early, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 130
    folder = run_folder.Path("runs") / "small-seed3-000"
    *_, last = capsys.readouterr().err.splitlines()
    assert last == (
        f"nas_jax: stopped; what is finished lies in {folder}; start again: nas_jax "
        + " ".join(arguments)
    )
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert report.write(folder).is_file()
    assert cli.main(["derive", str(folder)]) == 0
    assert (folder / "architecture.json").is_file()
    assert cli.main(["evaluate", str(folder)]) == 2
    assert "expected trained networks in checkpoints/" in capsys.readouterr().err


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
    assert "the search has not finished an epoch yet" in capsys.readouterr().err
