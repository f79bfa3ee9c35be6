"""Run folders and what lies in them, read by every verb that reads one."""

import dataclasses
import json
import shutil

from benchmarks import ledger
from fuzz.case import READERS, reader
from nas_jax.export import export_folder
from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.paper import own_runs
from nas_jax.paper.tables import Table
from nas_jax.report import page, run_files
from nas_jax.runs import finalists, run_folder, sweep, trade_off
from nas_jax.runs.session import Session
from nas_jax.spaces import builders
from nas_jax.training.progress import Progress
from tests import small_run
from tests.report import made_up_run

TWO = builders.mobile(made_up_run.DIGITS)


def _run(where):
    """A finished run with a whole latency table."""
    if (where / "run").exists():
        return where / "run"
    run = made_up_run.make_run(where / "run", epochs=(1, 2))
    small_run.write(where)
    table = tables.load(where / "table.json")
    entry = next(iter(table.entries.values()))
    entries = {
        part.key: dataclasses.replace(entry, mean_ms=0.002 + 1.1e-7 * counts.macs(part))
        for part in tables.required_parts(TWO)
    }
    (run / "latency_table.json").unlink()
    provenance = table.provenance | {"threads": 4}
    tables.save(tables.LatencyTable(entries, provenance), run / "latency_table.json")
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:6]))
    return run


def _files(name):
    return lambda where: [(_run(where) / name).read_bytes()]


def of_run(file, form="json", share=1.0, name=None):
    return reader(name or f"run, {file}", f"run/{file}", form, _files(file), share)


@of_run("config.json")
def _(where):
    run_folder.read_experiment(where / "run")
    run_files.read(where / "run")


@of_run("metrics.jsonl", "json lines")
def _(where):
    run = where / "run"
    run_files.read(run)
    before = (run / "metrics.jsonl").read_bytes()
    run_folder.cut_metrics(run, lambda line: line["phase"] and line["step"] < 3)
    (run / "metrics.jsonl").write_bytes(before)


@of_run("finalists.json")
def _(where):
    run = where / "run"
    run_files.read(run)
    before = (run / "finalists.json").read_bytes()
    best = finalists.best(run, 2)
    finalists.add_trial(run, best[0], 1, 0.5)
    _, derived = finalists.derive_run(run)
    finalists.line(derived)
    (run / "trials" / derived.get("trial", "trial_1")).mkdir(
        parents=True, exist_ok=True
    )
    (run / "finalists.json").write_bytes(before)


@of_run("architecture.json")
def _(where):
    run_folder.read_architecture(where / "run" / "architecture.json")
    run_files.read(where / "run")


@of_run("result.json", name="paper, result.json")
def _(where):
    own_runs.with_run("trade-off", Table("", ("", "here ms"), [], ()), where / "run")


@of_run("latency_table.json")
def _(where):
    run_files.read(where / "run")


@of_run("result.json")
def _(where):
    run_files.read(where / "run")
    export_folder.networks_of(where / "run" / "result.json")
    one = sweep.Run("digits", 0, None, where / "run")
    rows = sweep.results([one])
    sweep.as_csv(rows)
    sweep.summary(rows)


def _derivation(where):
    finalists.of_run(where / "run")


for _file, _form in (("metrics.jsonl", "json lines"), ("latency_table.json", "json")):
    of_run(_file, _form, 0.1, f"derivation of {_file}")(_derivation)


def _page(where):
    page.render(run_files.read(where / "run"))


for _file, _form in (
    ("result.json", "json"),
    ("metrics.jsonl", "json lines"),
    ("config.json", "json"),
    ("finalists.json", "json"),
    ("latency_table.json", "json"),
):
    of_run(_file, _form, 0.01, f"page of {_file}")(_page)


def _whole(where):
    result = json.loads((_run(where) / "result.json").read_bytes())
    for one in result["networks"].values():
        one["formats"] = {}
    result["derivation"] |= {"slack": {"latency": 0.01}, "finalists": 2}
    (where / "run" / "result.json").write_text(json.dumps(result))
    return [(where / "run" / "result.json").read_bytes()]


READERS["run, result.json"] = READERS["run, result.json"]._replace(make=_whole)


def _targets(where):
    (_run(where) / "targets.json").write_text('["0.5", "0.25ms"]')
    return [b'["0.5", "0.25ms"]']


@reader("run, targets.json", "run/targets.json", "json", _targets)
def _(where):
    for text in trade_off.targets_of(where / "run"):
        (where / "run" / "targets" / text).mkdir(parents=True, exist_ok=True)
        (where / "run" / "targets" / text).rmdir()


def _seconds(where):
    _run(where)
    return [b'{"compile": 1.5, "search": 20.0}\n']


@reader("run, seconds.json", "run/seconds.json", "json", _seconds)
def _(where):
    session = Session(where / "run", Progress())
    with session.timed("search"):
        json.dumps(session.seconds(), allow_nan=False)
    (where / "run" / "seconds.json").write_bytes(_seconds(where)[0])


def _resumed(where):
    run_folder.record_resumption(_run(where), {"command": "c", "changed": {}})
    return [(where / "run" / "resumed.jsonl").read_bytes()]


@reader("run, resumed.jsonl", "run/resumed.jsonl", "json lines", _resumed)
def _(where):
    run_folder.resumptions(where / "run")


def _sweep(where):
    listed = sweep.listed(["digits_cpu"], [0, 1], ["0.5", "0.2ms"], where / "s")
    shutil.rmtree(where / "s", ignore_errors=True)
    sweep.write_list(where / "s", listed, ["--seed", "1"])
    return [(where / "s" / "sweep.json").read_bytes()]


@reader("sweep", "s/sweep.json", "json", _sweep)
def _(where):
    for one in sweep.read_list(where / "s"):
        assert one.folder.resolve().is_relative_to((where / "s").resolve())
        sweep.overrides(one, [])


def _ledger(where):
    file = where / "l.jsonl"
    file.unlink(missing_ok=True)
    found = ledger.begin(file, {"a": [1, 2]}, {"device": "d"})
    list(ledger.extended(file, iter([{"x": 1}, {"x": 2}])))
    assert found.rows == []
    return [file.read_bytes()]


@reader("ledger", "l.jsonl", "json lines", _ledger)
def _(where):
    ledger.read(where / "l.jsonl")
