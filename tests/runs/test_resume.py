"""`nas_jax search --resume`: a run that was stopped ends as one that was not."""

import dataclasses
import json
import os
import shutil
import signal

import pytest

from nas_jax import cli
from nas_jax.config import changes
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.runs import run_folder, search, snapshots
from tests import small_run
from tests.runs import kills


@pytest.fixture(scope="module", autouse=True)
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
def words(tmp_path_factory):
    words = small_run.write(tmp_path_factory.mktemp("home"))
    return [*words, "--random-networks", "0"]


@pytest.fixture
def stopped_at(monkeypatch):
    """SIGTERM while the line of metrics with this number is written."""

    def stop(number):
        append, lines = run_folder.append_metrics, []

        def counted(folder, line):
            append(folder, line)
            lines.append(line)
            if len(lines) == number:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(run_folder, "append_metrics", counted)
        return lines

    return stop


@pytest.fixture(scope="module")
def alone(words, tmp_path_factory):
    """A run that nobody stopped."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert cli.main([*words, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def searching(words, tmp_path_factory):
    """A run that was stopped while it searched, and what it said."""
    folder = tmp_path_factory.mktemp("searching") / "run"
    with pytest.MonkeyPatch.context() as patch:
        append = run_folder.append_metrics

        def stop(*given):
            append(*given)
            os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(run_folder, "append_metrics", stop)
        assert cli.main([*words, "--out", str(folder)]) == 143
    return folder


@pytest.fixture
def copy(searching, tmp_path):
    return shutil.copytree(searching, tmp_path / "copy")


def refused(capsys, *given):
    assert cli.main(["search", *map(str, given)]) == 2
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert last.startswith("nas_jax: ")
    assert "Traceback" not in err
    return last.removeprefix("nas_jax: ")


def test_run_stopped_twice_ends_as_one_left_alone(copy, alone, stopped_at, capsys):
    """First in the search, after its first epoch, then within the second training."""
    whole = kills.digests(alone)
    assert {"search state", "metrics", "weights of searched"} <= set(whole)
    assert snapshots.steps(search.snapshots_in(copy))[-1] == 2
    stopped_at(5)  # two epochs of the search, two of a training, one of the next
    assert cli.main(["search", "--resume", str(copy)]) == 143
    err = capsys.readouterr().err
    assert "goes on from the checkpoint of step 2\n" in err
    assert "checkpoint of step 2 saved" in err
    assert err.splitlines()[-1] == (
        f"nas_jax: stopped; what is finished lies in {copy}; go on: nas_jax search "
        f"--resume {copy}"
    )
    assert kills.doing(copy) == "retraining"
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "phase": "train", "network": "base')  # cut off
    assert cli.main(["search", "--resume", str(copy)]) == 0
    heard = capsys.readouterr().err
    assert heard.count("goes on from") == 1
    assert heard.count("training: ") == 2
    assert kills.digests(copy) == whole
    result = json.loads((copy / "result.json").read_text())
    assert [one["changed"] for one in result["resumed"]] == [{}, {}]
    assert not list((copy / "snapshots" / "train").iterdir())
    # finished: nothing is done, and it says so
    assert cli.main(["search", "--resume", str(copy)]) == 0
    assert capsys.readouterr().out == f"{copy} is finished: {copy / 'report.html'}\n"


def test_seconds_add_up_over_processes(searching, alone):
    first, second = (
        json.loads((folder / "seconds.json").read_text())
        for folder in (searching, alone)
    )
    assert set(first) == {"compile", "measure", "search"}
    assert set(second) == {"compile", "measure", "search", "retrain", "evaluate"}


# --- refused -------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [("--out", "other"), ("--targets", "0.5,0.6")])
def test_run_goes_on_where_and_as_it_was_begun(copy, capsys, flag):
    line = refused(capsys, "--resume", copy, *flag)
    assert line.startswith(f"--resume, {flag[0]}: expected only one of the two; ")


def test_other_configuration_is_shown_field_by_field(copy, capsys):
    line = refused(
        capsys, "--resume", copy, "--seed", 4, "--space.cells", 1, "--search.lr", 0.1
    )
    assert line == (
        f"--resume {copy}: expected the configuration that it was begun with, but seed "
        "was 3, is given as 4; space.cells was (2,), is given as (1,); give it as it "
        "was, or start a new run"
    )


def test_a_run_goes_on_with_its_own_experiment(copy, words, capsys):
    assert refused(capsys, "--resume", copy, words[1]) == (
        f"--resume {copy}, {words[1]}: expected only one of the two; a run goes on "
        "with its own experiment"
    )
    with run_folder.held(copy):
        line = refused(capsys, "--resume", copy)
        assert f"nobody works on, process {os.getpid()} does" in line


def test_folder_without_checkpoints_says_how_to_start_again(copy, words, capsys):
    shutil.rmtree(copy / "snapshots")
    line = refused(capsys, "--resume", copy)
    assert line.startswith(
        f"--resume {copy}: this run was stopped before its first checkpoint; start "
        f"again with a new --out: nas_jax {' '.join(words)} --out "
    )
    (copy / "command.txt").write_text("nas_jax search small.py\n")
    table = copy / "latency_table.json"
    assert refused(capsys, "--resume", copy).endswith(
        f"start again: nas_jax search small.py --latency.table {table}"
    )
    assert "expected a run (a folder" in refused(capsys, "--resume", copy / "none")


def test_checkpoint_of_another_space_is_refused(copy, capsys):
    document = json.loads((copy / "config.json").read_text())
    document["space"]["candidates"] = ["mb3_k5", "mb6_k3", "zero"]
    document["search"]["cost"] = "macs"  # the table has no entries of that space
    document["latency"]["table"] = None
    (copy / "config.json").write_text(json.dumps(document))
    table = json.loads((copy / "latency_table.json").read_text())
    text = json.dumps(table).replace("k3", "k5")
    more = json.loads(text)["entries"]
    table["entries"] |= more
    (copy / "latency_table.json").write_text(json.dumps(table))
    line = refused(capsys, "--resume", copy)
    assert "a checkpoint: expected the configuration that it was begun with" in line
    assert "space.candidates was ('mb3_k3', 'mb6_k3', 'zero'), is given as (" in line


def test_rates_of_a_finished_search_change_nothing(copy, capsys):
    (copy / "finalists.json").write_text("[]")
    line = refused(capsys, "--resume", copy, "--search.lr", 0.01)
    assert "expected no other search.lr, a search is finished; leave it out" in line


@pytest.mark.slow
def test_full_disk_stops_in_a_line_and_names_the_last_checkpoint(
    copy, monkeypatch, capsys
):
    def full(*given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots.ocp.CheckpointManager, "save", full)
    line = refused(capsys, "--resume", copy)
    assert "a checkpoint cannot be written ([Errno 28] No space left on device)" in line
    assert "; that of step 2 is whole; make room" in line
    assert line.endswith(
        f"go on from its last checkpoint: nas_jax search --resume {copy})"
    )


def test_only_rates_and_what_has_no_effect_may_change():
    saved = small_run.EXPERIMENT

    def given(**fields):
        return dataclasses.replace(
            saved, search=dataclasses.replace(saved.search, **fields)
        )

    lower = given(lr=0.001, warmup_lr=0.002, arch_lr=0.003)
    often = dataclasses.replace(lower, checkpoint_every_s=1.0)
    found = changes.require_same(saved, often, "run", changes.RATES)
    assert [(one.field, one.given) for one in found] == [
        ("search.warmup_lr", 0.002),
        ("search.lr", 0.001),
        ("search.arch_lr", 0.003),
        ("checkpoint_every_s", 1.0),
    ]
    for other in (given(momentum=0.8), dataclasses.replace(saved, name="other")):
        with pytest.raises(ValueError, match=r"^run: expected the configuration that"):
            changes.require_same(saved, other, "run", changes.RATES)


# --- diverged ------------------------------------------------------------------------


@pytest.mark.slow
def test_diverged_search_goes_on_with_a_lower_rate(words, tmp_path, capsys):
    folder = tmp_path / "run"
    begin = [*words, "--search.lr", "1e30", "--checkpoint-every-s", "1e-9"]
    line = refused(capsys, *begin[1:], "--out", folder)
    # step 2 is the first of the joint phase: its own loss is still finite
    assert line.startswith("the search diverged in epoch 1, weight step ")
    assert line.endswith(f"nas_jax search --resume {folder})")
    assert "lower search.lr, " in line
    kept = snapshots.steps(search.snapshots_in(folder))
    assert kept
    assert max(kept) <= 2
    assert cli.main(["search", "--resume", str(folder), "--search.lr", "0.01"]) == 0
    result = json.loads((folder / "result.json").read_text())
    (resumed,) = result["resumed"]
    assert resumed["changed"] == {"search.lr": {"from": 1e30, "to": 0.01}}
    assert run_folder.read_experiment(folder).search.lr == 0.01
    steps = [
        json.loads(line)["step"]
        for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps[:3] == [2, 4, 6]


# --- several targets, real kills -----------------------------------------------------


@pytest.mark.slow
def test_curve_of_several_targets_goes_on(words, stopped_at, tmp_path, capsys):
    """Stopped within the search of the second target."""
    several = [*words, "--targets", "0.7,0.9", "--train.epochs", "1"]
    assert cli.main([*several, "--out", str(tmp_path / "alone")]) == 0
    lines = stopped_at(4)  # a warm-up, two epochs of the first, one of the second
    folder = tmp_path / "run"
    assert cli.main([*several, "--out", str(folder)]) == 143
    assert len(lines) == 4
    assert cli.main(["search", "--resume", str(folder)]) == 0
    for name in ("0.7", "0.9"):
        ours, theirs = (
            run_folder.last_probabilities(home / "targets" / name)
            for home in (folder, tmp_path / "alone")
        )
        assert ours == theirs
    for path in (tmp_path / "alone").glob("checkpoints/*/digests.json"):
        own = folder / path.relative_to(tmp_path / "alone")
        assert own.read_text() == path.read_text()
