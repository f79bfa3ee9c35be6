"""`benchmarks families`: the rows, and what is asked of each run."""

from matplotlib.figure import Figure

from benchmarks import families
from benchmarks.quality_settings import FamiliesConfig
from nas_jax.config.families import BLOCKS


def row(seed, accuracy, in_8_bits, ms):
    return {
        "family": "mobilenet_v3",
        "runtime": "onnxruntime",
        "seed": seed,
        "test_accuracy": accuracy,
        "test_accuracy_int8": in_8_bits,
        "float_ms": ms,
        "int8_ms": ms / 2,
        "params": 1000,
        "macs": 20_000,
    }


def test_rows_are_means_over_the_seeds():
    rows = families.table({"rows": [row(0, 0.8, 0.7, 1.0), row(1, 0.9, 0.7, 3.0)]})
    assert rows[0][:4] == ("family", "searched for", "float, %", "8 bits, %")
    # two values 10 points apart: their t interval is 12.7 * 5 points
    assert rows[1] == (
        *("mobilenet_v3", "onnxruntime", "85.00 ± 63.53", "70.00 ± 0.00"),
        *("2.000", "1.000", "1,000", "20,000"),
    )
    assert families.table({"rows": [row(0, 0.8, 0.7, 1.0)]})[1][2] == "80.00"


def test_picture_has_every_network_in_both_runtimes(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    rows = [row(0, 0.8, 0.7, 1.0), row(1, 0.9, 0.7, 3.0)]
    other = row(0, 0.6, 0.5, 2.0) | {"runtime": "onnxruntime-int8"}
    families.plot({"rows": [*rows, other]}, tmp_path / "families.png")
    ((in_float, in_8_bits),) = [figure.axes for figure in drawn]
    points = [line.get_xydata().tolist() for line in in_float.lines]
    assert points == [[[1.0, 80.0], [3.0, 90.0]], [[2.0, 60.0]]]
    points = [line.get_xydata().tolist() for line in in_8_bits.lines]
    assert points == [[[0.5, 70.0], [1.5, 70.0]], [[1.0, 50.0]]]


def test_families_differ_in_their_blocks_alone():
    config = FamiliesConfig(trials=3, epochs=2)
    first, second = (
        families._experiment(config, name, "onnxruntime", 1, target_ms)
        for name, target_ms in (("mobilenet_v2", None), ("mobilenet_v4", 0.5))
    )
    assert first.search.target_ratio == 0.5 and first.search.target_ms is None
    assert second.search.target_ratio is None and second.search.target_ms == 0.5
    assert second.space.candidates == BLOCKS["mobilenet_v4"].candidates
    assert second.space.stage_choices == first.space.stage_choices
    assert (first.data, first.train) == (second.data, second.train)
    assert (first.search.trials, first.train.epochs, first.seed) == (3, 2, 1)
