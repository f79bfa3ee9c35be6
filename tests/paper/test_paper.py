"""The paper's tables: its numbers as facts, ours computed, recorded, or not there."""

import csv
import json
import shutil
from typing import get_args

import pytest

from nas_jax import cli
from nas_jax.cli.paper import MEASURED, Name
from nas_jax.config import LatencyConfig, shipped
from nas_jax.latency.measurement.timing import Device
from nas_jax.networks import counts
from nas_jax.paper import cross_hardware, figures, formats, own_runs, records
from nas_jax.paper.tables import NOT_RUN, TABLES, Table
from nas_jax.spaces import published
from tests.report.made_up_run import make_run


def rows_of(table):
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def test_every_table_has_a_row_for_each_header_and_says_how_to_run_what_was_not():
    assert {*TABLES, MEASURED} == set(get_args(Name))
    for name, make in TABLES.items():
        table = make()
        assert table.rows and all(len(row) == len(table.header) for row in table.rows)
        has_gap = any(NOT_RUN in row for row in table.rows)
        told = [note for note in table.notes if note.startswith(f"{NOT_RUN}: nas_jax ")]
        assert not has_gap or told, name


def test_our_numbers_are_those_of_the_networks():
    row = rows_of(TABLES["imagenet-mobile"]())[figures.PROXYLESS_MOBILE]
    size = counts.describe(published.get("proxyless_mobile"))
    assert (size["params"], size["macs"]) == (4_080_512, 320_427_584)
    assert (row["here params"], row["here MACs"]) == ("4.08 M", "320.43 M")
    assert row["here ms"] == NOT_RUN
    assert row["here top-1"] == NOT_RUN
    # the paper's, by hand
    assert (row["paper top-1"], row["paper ms"], row["paper GPU hours"]) == (
        "74.6",
        "78",
        "200",
    )


# what the texts beside each row of `figures` say, by hand
PAPER_CIFAR10 = {
    "DenseNet-BC": ("25.60 M", "3.46"),
    "PyramidNet": ("26.00 M", "3.31"),
    "Shake-Shake + cutout": ("26.20 M", "2.56"),
    "ENAS + cutout": ("4.60 M", "2.89"),
    "DARTS + cutout": ("3.40 M", "2.83"),
    "NASNet-A + cutout": ("27.60 M", "2.40"),
    "PathLevel EAS + cutout": ("14.30 M", "2.30"),
    "AmoebaNet-B + cutout": ("34.90 M", "2.13"),
    "Proxyless-G + cutout": ("5.70 M", "2.08"),
}


def test_rows_are_those_that_texts_confirm():
    table = TABLES["cifar10"]()
    found = {
        name: (row["paper params"], row["paper error %"])
        for name, row in rows_of(table).items()
    }
    assert found == PAPER_CIFAR10
    gpu = TABLES["imagenet-gpu"]()
    assert {"NASNet-A", "DARTS"}.isdisjoint(rows_of(gpu))
    for shown in (table, gpu):
        assert any(note.startswith("the paper has more rows") for note in shown.notes)


def test_recorded_figures_are_those_of_the_files():
    record = records.newest("latency-onnxruntime-*.json")
    table = TABLES["latency-model"]()
    ours = [row for row in table.rows if row[0] == "here" and "onnxruntime" in row[1]]
    rmse_ms = record["models"]["networks"]["rmse_ms"]
    assert [float(row[3]) for row in ours] == [pytest.approx(rmse_ms, abs=5e-4)]
    assert record["commit"] in table.notes[-1]


def test_without_records_the_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "folder", lambda name: tmp_path)
    for rows, note in (records.trade_off(), records.latency_models()):
        assert rows == [] and note.startswith("not yet run: nas_jax ")
    assert records.memory()[2] == "not yet run: python -m benchmarks engine"


def test_recorded_curves_are_averaged(monkeypatch, tmp_path):
    for seed, (ms, accuracy) in enumerate(((0.25, 0.975), (0.35, 0.985))):
        network = {"measured_ms": {"median": ms}, "test_accuracy": accuracy}
        record = {"networks": {"searched_1": network}, "device": "D", "commit": "abc"}
        (tmp_path / f"trade-off-abc-seed{seed}.json").write_text(json.dumps(record))
    monkeypatch.setattr(shipped, "folder", lambda name: tmp_path)
    rows, note = records.trade_off()
    assert rows == [("searched_1", "0.300", "98.00%")]
    assert note.startswith("here: digits, D, ONNX Runtime, mean of 2 seeds, commit abc")


# --- formats -------------------------------------------------------------------------

MADE_UP = Table("A & B", ("x_1", "y"), [("a|b", "5 %"), ("c, d *", "-")], ("n #1",))


def test_csv_is_read_back_as_it_was():
    lines = list(csv.reader(formats.as_csv(MADE_UP).splitlines()))
    assert [tuple(line) for line in lines] == [MADE_UP.header, *MADE_UP.rows]


def test_markdown_by_hand():
    assert formats.markdown(MADE_UP) == (
        "**A & B**\n\n| x_1 | y |\n| --- | --- |\n| a\\|b | 5 % |\n| c, d \\* | - |\n\n"
        "- n #1"
    )


def test_latex_by_hand():
    lines = formats.latex(MADE_UP).split("\n")
    assert r"\caption{A \& B. n \#1.}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"x\_1 & y \\" in lines
    assert r"a|b & 5 \% \\" in lines


# --- the verb ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_verb_prints_every_table(name, capsys):
    table = TABLES[name]()
    assert cli.main(["paper", name, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == [list(row) for row in table.rows]
    assert cli.main(["paper", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(table.title)
    assert all(row[0] in out for row in table.rows)


def test_verb_prints_the_stored_measurements(capsys):
    assert cli.main(["paper", MEASURED, "--recorded", "--format", "csv"]) == 0
    out = capsys.readouterr().out
    stored = records.every("cross-hardware-*.json")
    assert len(stored) >= 2
    assert out.count("network,paper top-1,gpu: paper ms") == len(stored)
    for one in stored:
        assert f"{one['here']['cpu']['ms']['proxyless_gpu']:.4g}" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cifar10 --repeats 3", "--repeats: expected only with cross-hardware alone"),
        ("cost --recorded", "--recorded: expected only with cross-hardware alone"),
        (
            "cross-hardware --recorded --input-size 64",
            "--input-size: expected only with a measurement; --recorded prints stored",
        ),
        ("cifar", "TABLE: expected one of cifar10, imagenet-mobile"),
    ],
)
def test_flags_that_do_not_fit_are_refused(words, message, capsys):
    assert cli.main(["paper", *words.split()]) == 2
    assert message in capsys.readouterr().err


# --- cross-hardware ------------------------------------------------------------------


def test_ratios_by_hand():
    ours = {
        "mobilenet_v2": 10.0,
        "proxyless_gpu": 15.0,
        "proxyless_cpu": 12.5,
        "proxyless_mobile": 11.0,
    }
    about = {"device": "D", "runtime": "R", "batch": 1, "threads": 1, "input_size": 64}
    table = cross_hardware.table_of({"cpu": {"ms": ours, **about}}, "abc")
    by_name = {name: cells for name, *cells in table.rows}
    # gpu: 5.1 / 6.1, nothing here; cpu: no MobileNetV2 in the paper; mobile: 124 / 75
    assert by_name["proxyless_gpu"] == [
        "75.1",
        *("5.1", "0.84", "-", "-"),
        *("204.9", "-", "15", "1.50"),
        *("124", "1.65", "-", "-"),
    ]
    assert by_name["mobilenet_v2"][5:9] == ["-", "-", "10", "1.00"]
    assert table.header[2:6] == ("gpu: paper ms", "ratio", "here ms", "ratio")
    expected = "cpu here: D, R, batch 1, 1 thread(s), images of 64, commit abc"
    assert expected in table.notes
    assert any(note.startswith("mobile here: not yet run") for note in table.notes)


def test_networks_are_measured_at_the_size_asked_for():
    sizes = []
    device = Device(
        name="made up",
        runtime="made up",
        version="1",
        config=LatencyConfig(batch=1, repeats=3, loop_ms=1e-9),
        part=lambda part: lambda: None,
        network=lambda one: sizes.append(one.stem.input_size) or (lambda: None),
        copy=lambda shape: lambda: None,
        per_call=2,
    )
    found = cross_hardware.measure(device, 64)
    assert list(found) == list(cross_hardware.PAPER_MS)
    assert sizes == [64] * 4 and min(found.values()) > 0


# --- runs of one's own ---------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "digits-seed0-001")


def _on(run, name):
    """The same run, said to be on other data."""
    config = json.loads((run / "config.json").read_text())
    config["data"]["name"] = name
    (run / "config.json").write_text(json.dumps(config))


def test_networks_of_a_run_are_rows_of_their_own(run, capsys):
    assert cli.main(["paper", "trade-off", "--run", str(run)]) == 0
    out = capsys.readouterr().out
    networks = json.loads((run / "result.json").read_text())["networks"]
    for name, one in networks.items():
        (line,) = [line for line in out.splitlines() if f"001: {name} " in line]
        assert line.startswith("yours, digits-seed0-001: ")
        ms = f"{one['measured_ms']['median']:.3f}"
        assert line.split()[-2:] == [ms, f"{one['test_accuracy']:.2%}"]
    assert "digits, 1000 test images, objective constrained, seed 0" in out
    assert "Imaginary CPU, batch " in out and "commit 0123abcd" in out


def test_counts_and_errors_of_a_run_stand_under_their_columns(run, tmp_path):
    own = shutil.copytree(run, tmp_path / "own")
    _on(own, "tfds:cifar10")
    table = own_runs.with_run("cifar10", TABLES["cifar10"](), own)
    one = json.loads((run / "result.json").read_text())["networks"]["searched"]
    row = rows_of(table)["yours, own: searched"]
    assert row["here error %"] == f"{100 * (1 - one['test_accuracy']):.2f}"
    assert row["here params"] == f"{one['params'] / 1e6:.2f} M"
    assert row["paper params"] == row["paper error %"] == "-"
    assert [*table.rows][: len(figures.CIFAR10)] == TABLES["cifar10"]().rows


def test_a_run_is_held_against_its_own_data_only(run, tmp_path, capsys):
    for name in ("cifar10", "imagenet-mobile", "imagenet-gpu", "ablation"):
        assert cli.main(["paper", name, "--run", str(run)]) == 2
        said = capsys.readouterr().err
        assert "got one on digits; nas_jax paper trade-off takes any" in said
    for name in ("cost", "latency-model"):
        assert cli.main(["paper", name, "--run", str(run)]) == 2
        assert f"got {name}, which has no row for a run" in capsys.readouterr().err
    for words in ([], ["cross-hardware"]):
        assert cli.main(["paper", *words, "--run", str(run)]) == 2
        assert "--run: expected with a table whose rows" in capsys.readouterr().err
    assert cli.main(["paper", "trade-off", "--run", str(tmp_path)]) == 2
    assert "expected a run (a folder with config.json), got" in capsys.readouterr().err


def test_a_wrong_number_of_a_run_is_named(run, tmp_path, capsys):
    own = shutil.copytree(run, tmp_path / "own")
    result = json.loads((own / "result.json").read_text())
    result["networks"]["searched"]["test_accuracy"] = 97
    (own / "result.json").write_text(json.dumps(result))
    assert cli.main(["paper", "trade-off", "--run", str(own)]) == 2
    said = capsys.readouterr().err
    assert "networks.searched.test_accuracy: expected at most 1, got 97" in said
