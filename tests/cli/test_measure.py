"""`nas_jax measure` from the flags to the table, on a tiny space on this CPU."""

import dataclasses
import json
import re

import pytest

from nas_jax import cli
from nas_jax.latency import tables
from nas_jax.latency.measurement import timing

FILE = """
from nas_jax.config import Experiment, LatencyConfig, SpaceConfig

def get_config():
    return Experiment(
        name="tiny",
        space=SpaceConfig(
            name="tiny", input_size=32, classes=10, stem_channels=8,
            first_block_channels=None, stage_widths=(8, 16), cells=(2, 2),
            strides=(1, 2), head_channels=32,
        ),
        latency=LatencyConfig(batch=4, repeats=3, loop_ms=0.1),
    )
"""
WORDS = "measure tiny.py --out t.json --networks 12 --held-out 10 --also mobilenet_v2"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(FILE)
    # rounds back to back instead of spread over seconds
    rounds = timing.rounds
    monkeypatch.setattr(
        timing,
        "rounds",
        lambda calls, plan: rounds(calls, dataclasses.replace(plan, spread_s=0)),
    )
    return tmp_path


def test_interrupted_measurement_goes_on_and_ends_in_a_validated_table(home, capsys):
    assert cli.main([*WORDS.split(), "--max-seconds", "0.001"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("nas_jax: --max-seconds 0.001: expected to finish, got 1 ro")
    assert not (home / "t.json").exists()
    first = (home / "t.json.rounds").read_text()
    other = [*WORDS.split(), "--latency.batch", "2"]
    assert cli.main(other) == 2
    assert "was begun with batch = 4, got 2; measure as" in capsys.readouterr().err
    assert (home / "t.json.rounds").read_text() == first

    words = [*WORDS.split(), "--record", "r.json", "--plot", "p.svg"]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "fitted to whole networks" in shown and "line on multiply-adds" in shown
    assert re.search(
        r"held-out check: on 10 networks that the table had not seen it is off by "
        r"[0-9.]+% on average \(.*[0-9.]+% of their pairs in order, ",
        shown,
    )
    table = tables.load(home / "t.json")
    assert table.provenance["method"] == "networks"
    assert table.provenance["networks"] == 12
    assert table.provenance["parts_in_no_network"] > 0  # MobileNetV2's
    assert table.validation["networks"] == 10
    record = json.loads((home / "r.json").read_text())
    assert record["models"]["networks"] == table.validation
    assert len(record["networks"]) == 22
    # of the interrupted run the round is used
    kept = json.loads(first.splitlines()[1])["ms"]
    assert set(table.entries) <= set(kept)
    assert "<svg" in (home / "p.svg").read_text()
    assert not (home / "t.json.rounds").exists()
    assert cli.main(["table", "show", "t.json"]) == 0
    assert "held-out check: on 10 networks" in capsys.readouterr().out


def test_measurement_without_whole_networks_says_that_nothing_is_known(home, capsys):
    assert cli.main(["measure", "tiny.py", "--out", "t.json"]) == 0
    assert "held-out check: not done; how near the sums" in capsys.readouterr().out
    table = tables.load(home / "t.json")
    assert (table.provenance["method"], table.validation) == ("operations", None)
    assert table.fixed_ms > 0


def test_measured_table_does_not_overwrite_a_file(refused, tmp_path):
    (tmp_path / "t.json").write_text("precious")
    line = refused("measure", "digits_cpu", "--out", "t.json")
    assert line.startswith("--out t.json: expected a new file, this one exists; choose")
