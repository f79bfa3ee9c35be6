"""Sweeps: which runs there are, who carries them out, what comes out."""

import csv
import json
import os
import stat
import sys

import pytest

from nas_jax import cli
from nas_jax.runs import sweep
from nas_jax.runs.sweep import Run


def test_runs_are_all_combinations_with_a_folder_each(tmp_path):
    found = sweep.listed(["a.py", "b"], [0, 3], ["0.5", "0.2ms"], tmp_path)
    assert [run[:3] for run in found] == [
        *(("a.py", 0, "0.5"), ("a.py", 3, "0.5")),
        *(("a.py", 0, "0.2ms"), ("a.py", 3, "0.2ms")),
        *(("b", 0, "0.5"), ("b", 3, "0.5")),
        *(("b", 0, "0.2ms"), ("b", 3, "0.2ms")),
    ]
    assert found[0].folder == tmp_path / "a-0.5-seed0"
    assert len({run.folder for run in found}) == 8
    (alone,) = sweep.listed(["digits_cpu"], [1], [], tmp_path)
    assert alone == Run("digits_cpu", 1, None, tmp_path / "digits_cpu-seed1")


def test_command_begins_or_goes_on(tmp_path):
    run = Run("digits_cpu", 2, "0.25ms", tmp_path / "r")
    words = ["--train.epochs", "3"]
    assert sweep.command(run, words) == [
        *("search", "digits_cpu", "--train.epochs", "3", "--seed", "2"),
        *("--search.target-ms", "0.25", "--out", str(tmp_path / "r")),
    ]
    ratio = sweep.overrides(run._replace(target="0.5"), [])
    assert ratio == ["--seed", "2", "--search.target-ratio", "0.5"]
    run.folder.mkdir()
    assert sweep.command(run, words) == ["search", "--resume", str(run.folder)]


def test_list_of_a_sweep_is_read_back_and_kept_to(tmp_path):
    out = tmp_path / "sweep"
    listed = sweep.listed(["a", "b"], [0, 1], ["0.5"], out)
    sweep.write_list(out, listed, ["--x", "1"])
    sweep.write_list(out, listed, ["--x", "1"])  # the same again goes on
    assert sweep.read_list(out) == listed
    with pytest.raises(
        ValueError, match=r"expected the sweep .*'--x', '1'\], got \[\]"
    ):
        sweep.write_list(out, listed, [])
    with pytest.raises(
        ValueError, match=r"which has \['a', 1, '0.5'\]; choose another"
    ):
        fewer = sweep.listed(["a", "b"], [0], ["0.5"], out)
        sweep.write_list(out, fewer, ["--x", "1"])
    with pytest.raises(ValueError, match=r"which has no \['a', 2, '0.5'\]"):
        more = sweep.listed(["a", "b"], [0, 1, 2], ["0.5"], out)
        sweep.write_list(out, more, ["--x", "1"])


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        ValueError, match=r"expected a new folder, or one with sweep.js"
    ):
        sweep.write_list(tmp_path, sweep.listed(["a"], [0], [], tmp_path), [])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match=r"expected the folder of a sweep"):
        sweep.read_list(tmp_path)
    for text in ("{", "[]", '{"runs": [["a", "0", null]]}', '{"runs": [[1]]}'):
        (tmp_path / sweep.FILE).write_text(text)
        with pytest.raises(
            ValueError, match="expected the list of a sweep's runs, got"
        ):
            sweep.read_list(tmp_path)


# --- the table -----------------------------------------------------------------------


def finished(run, accuracy, ms, slack):
    run.folder.mkdir(parents=True)
    searched = {
        "test_accuracy": accuracy,
        "measured_ms": {"median": ms},
        "params": 10,
        "macs": 20,
    }
    result = {
        "networks": {
            "searched": searched,
            "baseline": searched
            | {"test_accuracy": 0.9, "measured_ms": {"median": 1.0}},
        },
        "target_ms": 0.5,
        "derivation": {"slack": {"latency": slack}},
        "seconds_per_phase": {"search": 2.0, "retrain": 1.0},
        "commit": "abc",
    }
    (run.folder / "result.json").write_text(json.dumps(result))


def test_means_over_the_seeds_by_hand(tmp_path):
    listed = sweep.listed(["a"], [0, 1, 2], ["0.5"], tmp_path)
    finished(listed[0], 0.90, 0.4, 0.001)
    finished(listed[1], 0.92, 0.6, 0.005)
    listed[2].folder.mkdir()
    rows = sweep.results(listed)
    assert [row["state"] for row in rows] == ["finished", "finished", "stopped"]
    header, row = sweep.summary(rows)
    assert dict(zip(header, row, strict=True)) == {
        "experiment": "a",
        "target": "0.5",
        "runs": "2 of 3",
        "test acc.": "91.00 % ± 1.4",
        "measured ms": "0.5 ± 0.14",
        "least unspent": "0.10%",
        "most unspent": "0.50%",
        "to the baseline: points": "+1.00 ± 1.4",
        "latency": "0.50 ± 0.14",
    }
    lines = list(csv.DictReader(sweep.as_csv(rows).splitlines()))
    assert [line["seed"] for line in lines] == ["0", "1", "2"]
    assert float(lines[1]["test_accuracy"]) == 0.92
    assert lines[0]["seconds"] == "3.0" and lines[2]["test_accuracy"] == ""


def test_result_that_cannot_be_read_is_named(tmp_path):
    (run,) = sweep.listed(["a"], [0], [], tmp_path)
    run.folder.mkdir()
    (run.folder / "result.json").write_text('{"networks": {}}')
    with pytest.raises(ValueError, match=r"result.json: expected the result of a run"):
        sweep.results([run])


# --- launchers -----------------------------------------------------------------------


def test_children_run_and_a_failure_stops_no_other(tmp_path, monkeypatch):
    # the words of a run are replaced: what a child does is another test's matter
    words = {0: ["describe", "mobilenet_v2"], 1: ["describe", "nothing"], 2: ["--help"]}
    monkeypatch.setattr(sweep, "command", lambda run, common: words[run.seed])
    listed = sweep.listed(["a"], [0, 1, 2], [], tmp_path)
    ended = {one.run.seed: one for one in sweep.local(listed, [], jobs=2)}
    assert {seed: one.code for seed, one in ended.items()} == {0: 0, 1: 2, 2: 0}
    assert ended[1].reason.startswith("nas_jax: describe: 'nothing' is no space")
    assert "300,774,272" in listed[0].log.read_text()


FAKE_SBATCH = """#!/bin/sh
for word; do script=$word; done
cp "$script" "{folder}/script.sh"
echo "Submitted batch job 42"
"""


def test_slurm_gets_one_array_of_all_commands(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    out = tmp_path / "sweep"
    out.mkdir()
    for name, text in (("sbatch", FAKE_SBATCH), ("srun", "#!/bin/sh\n")):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.format(folder=tmp_path))
        file.chmod(file.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    listed = sweep.listed(["digits_cpu"], [0, 1, 2], [], out)
    parameters = {"timeout_min": 90, "slurm_partition": "gpus"}
    ids = sweep.slurm(listed, ["--train.epochs", "3"], 2, out, parameters)
    assert ids == ["42_0", "42_1", "42_2"]
    script = (tmp_path / "script.sh").read_text()
    assert "#SBATCH --array=0-2%2" in script
    assert "#SBATCH --time=90" in script and "#SBATCH --partition=gpus" in script
    # what the nodes will carry out, read back as they read it
    import submitit

    stored = sorted((out / "slurm").glob("*_submitted.pkl"))
    calls = [submitit.core.utils.DelayedSubmission.load(path) for path in stored]
    assert [call.function.command for call in calls] == [
        [sys.executable, "-m", "nas_jax", *sweep.command(run, ["--train.epochs", "3"])]
        for run in listed
    ]


def test_slurm_that_is_not_there_is_said(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    listed = sweep.listed(["digits_cpu"], [0], [], tmp_path)
    with pytest.raises(ValueError, match="expected that Slurm takes the jobs, got"):
        sweep.slurm(listed, [], 1, tmp_path, {})


def test_without_submitit_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install nas_jax\[slurm\]"):
        sweep.slurm([], [], 1, tmp_path, {})


# --- the verb ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "expected at least one experiment and one seed, got none"),
        ("digits_cpu --seeds 0,one", "--seeds: expected a whole number, got 'one'"),
        ("digits_cpu --seeds 1,1", "--seeds: expected distinct ones, got [1, 1]"),
        ("digits_cpu --targets 0.5,0.5", "--targets: expected distinct ones"),
        ("digits_cpu digits_cpu", "EXPERIMENT: expected distinct ones"),
        ("digits_cpu --jobs 0", "--jobs: expected a positive integer, got 0"),
        ("digits_cpu --slurm a=1", "--slurm: expected only with --launcher slurm"),
        ("digits_cpu --launcher slurm --slurm a", "--slurm: expected NAME=VALUE"),
        ("digits_cpu --gather", "--gather: expected --out FOLDER alone"),
        (
            "digits_cpu --serch.batch 3",
            "unknown flag --serch.batch; did you mean --search.batch",
        ),
        ("digits_cpu --targets fast", "--targets: expected ratios or milliseconds"),
        ("digits_cpu --targets 0.001", "is out of reach"),
        ("no_such", "experiment 'no_such': expected a Python file"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_begins(
    words, message, tmp_path, capsys
):
    out = tmp_path / "sweep"
    stored = ["--latency.table", "latency_tables/digits_cpu_onnxruntime.json"]
    needs_table = "out of reach" in message
    arguments = [*words.split(), *(stored if needs_table else [])]
    assert cli.main(["sweep", *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


def test_table_of_a_sweep_as_it_stands(tmp_path, capsys):
    out = tmp_path / "sweep"
    listed = sweep.listed(["a"], [0, 1], [], out)
    sweep.write_list(out, listed, [])
    finished(listed[0], 0.9, 0.4, 0.0)
    assert cli.main(["sweep", "--gather", "--out", str(out)]) == 0
    assert "1 of 2" in capsys.readouterr().out
    assert (out / "table.csv").read_text().count("\n") == 3
