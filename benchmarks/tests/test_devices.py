"""`benchmarks devices`: what it compares, and the promise itself on small sizes."""

import json

import pytest

from benchmarks import command as bench_command
from benchmarks import devices, devices_search

FOUND = {
    "devices": 2,
    "collectives": {"all-reduce": 3},
    "first losses": [3.0, 4.5],
    **{name: [3.0, 4.0] for name in ("weight gradients", "alpha gradients")},
    **{name: [3.0, 4.0] for name in devices.ALL_STEPS},
    "sampled": [[0, 1]],
    "derived": [1],
}


def test_differences_are_relative_to_the_norm():
    """|(0, 0.5)| / |(3, 4)| = 0.1."""
    alone = FOUND | {"first losses": [3.0, 4.0], "derived": [0]}
    row = devices.compared(FOUND, alone)
    assert row["first losses"] == pytest.approx(0.1)
    assert row["weights"] == 0
    assert row["same_samples"] and not row["same_network"]


def test_exchanges_are_counted_by_kind():
    class Program:
        def as_text(self):
            return (
                "%a.1 = f32[4] all-reduce(%x), channel_id=1\n"
                "%b = (f32[], f32[]) all-reduce-start(%y)\n"
                "%c = f32[] all-reduce-done(%b)\n"
                "%all-gather.2 = f32[8] all-gather(%a.1), dimensions={0}\n"
                "%d = f32[8] add(%all-gather.2, %all-gather.2)"
            )

    counts = devices_search._collectives([Program()])
    assert counts == {"all-reduce": 2, "all-gather": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--devices", "3"], "devices: expected a multiple of processes = 2, got 3"),
        (["--batch", "12"], "batch: expected a multiple of devices = 8, got 12"),
        (["--steps", "0"], "steps: expected a positive integer, got 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(capsys, words, said):
    assert bench_command.main(["devices", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_one_device_eight_and_two_processes_say_the_same(tmp_path, capsys, monkeypatch):
    """Gradients to 1e-5 in float32; 20 steps to 1e-8 in float64; no image travels."""
    # the indices that JAX makes for float64 have 64 bits, beside labels of 32
    monkeypatch.setenv("JAX_NUMPY_DTYPE_PROMOTION", "standard")
    file = tmp_path / "devices.json"
    assert bench_command.main(["devices", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["devices"] for row in rows] == 2 * [1, 8, 8]
    for row in rows:
        assert row["same_samples"] and row["same_network"]
        assert row["collectives"].keys() <= {"all-reduce"}
        assert (row["collectives"] != {}) == (row["devices"] > 1)
        exact = row["number"] == "float64"
        for name in devices.ONE_STEP:
            assert row[name] < (1e-8 if exact else 1e-5), (row["layout"], name)
        for name in devices.ALL_STEPS:
            assert row[name] < (1e-8 if exact else 1e-2), (row["layout"], name)
    assert "2 processes of 4" in capsys.readouterr().out
