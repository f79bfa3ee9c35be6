"""Several targets from one warm-up."""

import json

import pytest

from nas_jax import cli
from nas_jax.runs import run_folder, trade_off


@pytest.mark.slow
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
        assert "unknown" in network["risk"]  # a table that was not validated
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
    found = result["networks"]["searched_2"]["measured_ms"]["median"]
    over = found / result["targets"]["searched_2"]["target_ms"] - 1
    row = next(line for line in out.splitlines() if line.split()[1:2] == ["0.9"])
    assert row.split()[0] == "searched_2"
    assert row.split()[3:5] == ["-", f"{over:+.1%}"]
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
