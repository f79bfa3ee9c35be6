"""TensorBoard events: every number of `metrics.jsonl`, through a writer that notes."""

import json
import sys

import pytest

from nas_jax import cli
from nas_jax.report import run_files, tensorboard
from tests.report.made_up_run import make_run, make_targets_run


class Noted:
    """Makes writers that note what they are given."""

    def __init__(self) -> None:
        self.events: dict[str, list[tuple]] = {}
        self.open = 0

    def new_writer(self, log: str):
        events = self.events.setdefault(log, [])
        self.open += 1

        class Writer:
            def add_scalar(_, tag, value, step, walltime):
                events.append((tag, value, step, walltime))

            def close(_):
                self.open -= 1

        return Writer()


def test_events_are_the_numbers_of_the_metrics(tmp_path):
    run = make_run(tmp_path / "run", epochs=(2, 3))
    noted = Noted()
    count = tensorboard.write(
        run_files.read(run), tmp_path / "events", noted.new_writer
    )
    expected: dict[str, list[tuple]] = {}
    for text in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        is_search = line["phase"] != "train"
        log = "search" if is_search else f"train_{line['network']}"
        expected.setdefault(str(tmp_path / "events" / log), []).extend(
            (tag, value, line["step"], line["seconds"])
            for tag, value in line.items()
            if "/" in tag and tag != "search/probs"
        )
    assert {log: sorted(found) for log, found in noted.events.items()} == {
        log: sorted(found) for log, found in expected.items()
    }
    assert count == sum(map(len, expected.values())) == 5 * 8 + 4 * 30 * 2
    assert noted.open == 0


def test_targets_have_events_of_their_own(tmp_path):
    run = make_targets_run(tmp_path / "run")
    noted = Noted()
    tensorboard.write(run_files.read(run), tmp_path / "events", noted.new_writer)
    names = {log.rpartition("/")[2] for log in noted.events}
    assert {"search", "searched_1_search", "searched_2_search"} <= names


def test_names_of_networks_are_no_paths(tmp_path):
    run = make_run(tmp_path / "run", epochs=(1, 1))
    line = {"phase": "train", "network": "../../x", "epoch": 0, "train/loss": 1.0}
    (run / "metrics.jsonl").write_text(json.dumps(line))
    (found,) = tensorboard.scalars(run_files.read(run))
    assert found == ("train_______x", "train/loss", 1.0, 0, 0.0)


def test_existing_folder_is_refused(tmp_path):
    run = make_run(tmp_path / "run", epochs=(1, 1))
    noted = Noted()
    with pytest.raises(ValueError, match="expected a folder that does not exist yet"):
        tensorboard.write(run_files.read(run), tmp_path, noted.new_writer)
    assert not noted.events


def test_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    run = make_run(tmp_path / "run", epochs=(1, 1))
    words = ["report", str(run), "--tensorboard", str(tmp_path / "events")]
    assert cli.main(words) == 2
    assert "pip install 'nas_jax[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "events").exists()


def test_event_files_are_written(tmp_path):
    pytest.importorskip(
        "tensorboardX", reason="no tensorboardX on this machine: no event file was made"
    )
    run = make_run(tmp_path / "run", epochs=(1, 1))
    words = ["report", str(run), "--tensorboard", str(tmp_path / "events")]
    assert cli.main(words) == 0
    assert list((tmp_path / "events" / "search").glob("events.out.tfevents.*"))
