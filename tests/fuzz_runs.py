"""Run folders and what lies in them, read by every verb that reads one."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import made_up_run
import numpy as np
import small_run
from fuzz_case import READERS, reader
from fuzz_tables import SPACE, TINY

from nas_jax import (
    checkpoint,
    counts,
    derivation,
    ledger,
    network,
    run_folder,
    space,
    tables,
    trade_off,
)
from nas_jax.export import writing
from nas_jax.measure import journal, phone
from nas_jax.report import folder as report_folder
from nas_jax.report import page
from nas_jax.session import Session
from nas_jax.snapshots import Snapshots
from nas_jax.sweep import runs as sweep_runs
from nas_jax.sweep import table as sweep_table
from nas_jax.watch import Watch

TWO = space.mobile(made_up_run.DIGITS)


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
    report_folder.read(where / "run")


@of_run("metrics.jsonl", "json lines", 0.25)
def _(where):
    run = where / "run"
    report_folder.read(run)
    derivation.finalists(run)
    before = (run / "metrics.jsonl").read_bytes()
    run_folder.cut_metrics(run, lambda line: line["phase"] and line["step"] < 3)
    (run / "metrics.jsonl").write_bytes(before)


@of_run("finalists.json")
def _(where):
    run = where / "run"
    report_folder.read(run)
    before = (run / "finalists.json").read_bytes()
    best = derivation.best(run, 2)
    derivation.add_trial(run, best[0], 0.5)
    _, derived = derivation.derive_run(run)
    derivation.told(derived)
    (run / "trials" / derived.get("trial", "trial_1")).mkdir(
        parents=True, exist_ok=True
    )
    (run / "finalists.json").write_bytes(before)


@of_run("architecture.json")
def _(where):
    run_folder.read_architecture(where / "run" / "architecture.json")
    report_folder.read(where / "run")


@of_run("latency_table.json", share=0.25)
def _(where):
    report_folder.read(where / "run")
    derivation.finalists(where / "run")


@of_run("result.json")
def _(where):
    report_folder.read(where / "run")
    writing.networks_of(where / "run" / "result.json")
    one = sweep_runs.Run("digits", 0, None, where / "run")
    rows = sweep_table.gathered([one])
    sweep_table.as_csv(rows)
    sweep_table.summary(rows)


def _page(where):
    page.render(report_folder.read(where / "run"))


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
    result["derivation"] = {"slack": {"latency": 0.01}, "finalists": 2}
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
    session = Session(where / "run", Watch())
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
    listed = sweep_runs.listed(["digits_cpu"], [0, 1], ["0.5", "0.2ms"], where / "s")
    shutil.rmtree(where / "s", ignore_errors=True)
    sweep_runs.write_list(where / "s", listed, ["--seed", "1"])
    return [(where / "s" / "sweep.json").read_bytes()]


@reader("sweep", "s/sweep.json", "json", _sweep)
def _(where):
    for one in sweep_runs.read_list(where / "s"):
        assert one.folder.resolve().is_relative_to((where / "s").resolve())
        sweep_runs.overrides(one, [])


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


_FACTS = {"space": "s", "threads": 1}


def _journal(where):
    file = where / "j.jsonl"
    file.unlink(missing_ok=True)
    kept = journal.Journal(file, _FACTS)
    for ms in (0.5, 0.25):
        kept.keep("parts", {"a": ms, "b": 2 * ms})
    return [file.read_bytes()]


@reader("journal", "j.jsonl", "json lines", _journal)
def _(where):
    found = journal.Journal(where / "j.jsonl", _FACTS).rounds("parts")
    assert all(0 <= ms < np.inf for one in found for ms in one.values())


_SUMMARY = (
    "Inference timings in us: Init: 5579, First inference: 18535, Warmup (avg): "
    "1.4e+04, Inference (avg): 14575.2\n"
)


def _phone(where):
    results = where / "phone" / "results"
    results.mkdir(parents=True, exist_ok=True)
    parts = {f"{k:03}": part.key for k, part in enumerate(tables.required_parts(SPACE))}
    for name in (*parts, "call"):
        for index in range(3):
            text = _SUMMARY if name != "call" else _SUMMARY.replace("14575.2", "9.0")
            (results / f"{name}.{index}.txt").write_text(text)
    (results / "device.txt").write_text("Pixel 1\n")
    facts = {"parts": parts, "input_size": 8, "threads": 1, "batch": 1, "repeats": 3}
    (where / "phone" / "parts.json").write_text(json.dumps(facts))
    return [(where / "phone" / "parts.json").read_bytes()]


def _read_phone(where):
    tables.table_schema.check(
        {
            **dataclasses.asdict(phone.read(where / "phone")),
            "format": tables.table_schema.FORMAT,
            "version": tables.table_schema.VERSION,
        },
        "phone",
    )


reader("phone, parts", "phone/parts.json", "json", _phone)(_read_phone)


def _output(where):
    _phone(where)
    return [_SUMMARY.encode()]


reader("phone, output", "phone/results/000.1.txt", "fields", _output)(_read_phone)


def _network(file):
    def make(where):
        if not (where / "net").exists():
            rng = np.random.default_rng(0)
            params, batch_stats = jax.tree.map(
                lambda leaf: rng.random(leaf.shape, np.float32), network.shapes(TINY)
            )
            model = checkpoint.Model(TINY, params, batch_stats)
            checkpoint.save_model(where / "net", model)
            # the same bytes under a name that does not change
            data = next((where / "net" / "weights" / "d").iterdir())
            (where / "data").write_text(data.name)
        return [(where / "net" / file).read_bytes()]

    return make


def _read_network(where):
    checkpoint.load_model(where / "net")


for _file, _form, _share in (
    ("architecture.json", "json", 0.1),
    ("digests.json", "json", 0.1),
    ("weights/_METADATA", "json", 0.1),
    ("weights/manifest.ocdbt", "bytes", 0.1),
):
    reader(f"network, {_file}", f"net/{_file}", _form, _network(_file), _share)(
        _read_network
    )


STATE = {"weights": jnp.arange(6.0), "key": jax.random.key(0)}


def _snapshots(file):
    def make(where):
        if not (where / "s").exists():
            with Snapshots(where / "s", kept=2) as kept:
                kept.save(1, STATE, {"x": 1})
            shutil.copytree(where / "s", where / "whole")
        return [next((where / "s" / "1").glob(file)).read_bytes()]

    return make


def _read_snapshot(where, file):
    heard = []
    with Snapshots(where / "s", kept=2) as kept:
        found = kept.newest(lambda notes: jax.eval_shape(lambda: STATE), heard.append)
    shutil.rmtree(where / "s")
    shutil.copytree(where / "whole", where / "s")
    if found is not None:  # what comes back is what was saved
        assert found.notes == {"x": 1}
        assert np.array_equal(found.state["weights"], STATE["weights"])
    else:
        raise ValueError("; ".join(heard))


for _file, _form in (
    ("record/metadata", "json"),
    ("state/_METADATA", "json"),
    ("state/manifest.ocdbt", "bytes"),
):
    reader(f"snapshot, {_file}", f"s/1/{_file}", _form, _snapshots(_file), 0.1)(
        functools.partial(_read_snapshot, file=_file)
    )
