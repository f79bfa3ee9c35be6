"""Networks, latency tables, words of the command line, guideline records."""

import contextlib
import dataclasses
import io
import json
import zipfile
from types import SimpleNamespace

import guideline_records
import made_up_run
import numpy as np
import small_run
import torch_files
from fuzz_case import reader

from nas_jax import (
    architecture_json,
    counts,
    overrides,
    published,
    reference_config,
    run_folder,
    shipped,
    space,
    table_command,
    table_csv,
    table_import,
    table_risk,
    tables,
    text_file,
    torch_file,
    torch_import,
    trade_off,
)
from nas_jax.architecture import homogeneous
from nas_jax.guidelines import cutting, kinds, records, store
from nas_jax.search_config import parse_limit
from nas_jax.table_schema import PROVENANCE, VALIDATION, Entry

SPACE = space.mobile(small_run.EXPERIMENT.space)
TINY = homogeneous(SPACE, SPACE.candidates[0])
IMPORTED = {"device": "d", "runtime": "xla", "batch": 1, "dtype": "float32"}


def _texts(*texts):
    return lambda folder: [text.encode() for text in texts]


def _architectures(where):
    run = made_up_run.make_run(where / "run") / "architecture.json"
    cells = json.loads(architecture_json.to_json(published.get("proxyless_cifar")))
    cells["cells"] = cells["cells"][:2]
    return [run.read_bytes(), json.dumps(cells).encode()]


@reader("architecture", "a.json", "json", _architectures)
def _(where):
    found = run_folder.read_architecture(where / "a.json")
    assert architecture_json.from_json(architecture_json.to_json(found)) == found
    json.dumps(counts.describe(found))


@reader(
    "net.config",
    "net.config",
    "json",
    _texts(
        reference_config.to_json(TINY),
        reference_config.to_json(published.get("proxyless_gpu", 32)),
    ),
)
def _(where):
    found = torch_import.read_config(where / "net.config")
    name = found.name
    assert reference_config.from_json(reference_config.to_json(found), name) == found
    if len(found.blocks) < 5:
        torch_import.tensor_shapes(found)


def _torch(form):
    def make(folder):
        rng = np.random.default_rng(0)
        tensors = {
            name: rng.random(shape, np.float32)
            for name, shape in torch_import.tensor_shapes(TINY).items()
        }
        return [
            torch_files.state_dict(form, tensors),
            torch_files.state_dict(form, {"a": np.arange(6.0).reshape(2, 3)}),
            torch_files.write(form, {"epoch": 3, "rest": [1.5, ("x", None)]}, {}),
        ]

    return make


def _read_torch(folder):
    found = torch_import.read_state_dict(folder / "w.pth")
    torch_import.from_tensors(TINY, found, "w.pth")


for _form in torch_files.FORMATS:
    reader(f"PyTorch, {_form}", "w.pth", "bytes", _torch(_form))(_read_torch)


def _pickles(where):
    """The pickles inside of archives, whose checksum would stop everything."""
    contents = []
    for packed in _torch("zip")(where):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            contents.append(archive.read("archive/data.pkl"))
    storages = torch_files.Storages("zip")
    tensor = storages.tensor(np.arange(6.0).reshape(2, 3))
    return [*contents[1:], torch_files.pickled({"a": tensor, "b": [tensor, (1, "x")]})]


@reader("PyTorch, pickle in a zip", "data.pkl", "bytes", _pickles)
def _(where):
    numbers = np.arange(6.0)
    packed = torch_files.zipped(None, {"0": numbers})
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["archive/data.pkl"] = (where / "data.pkl").read_bytes()
    with zipfile.ZipFile(where / "w.pth", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    torch_file.load(where / "w.pth")


def _table():
    parts = tables.required_parts(SPACE)
    entries = {
        part.key: Entry(0.1 + index / 10, 0.01, 0.1, 0.09, 0.11, 5)
        for index, part in enumerate(parts)
    }
    names = {str: "made up", int: 1}
    facts = {key: names[kind] for key, kind in PROVENANCE.items()}
    facts["method"] = "operations"
    said = {key: 1.0 for key in VALIDATION}
    said |= {"networks": 3, "mean_ms": 2.0}
    return tables.LatencyTable(entries, facts, 0.05, said)


def _tables(folder):
    tables.save(_table(), folder / "one.json")
    imported = {"method": "imported", "runtime_version": None}
    facts = dataclasses.replace(
        _table(), provenance=_table().provenance | imported, validation=None
    )
    tables.save(facts, folder / "two.json")
    return [(folder / name).read_bytes() for name in ("one.json", "two.json")]


@reader("table, own", "t.json", "json", _tables)
def _(where):
    with contextlib.redirect_stdout(io.StringIO()):
        for action in ("show", "validate"):
            options = SimpleNamespace(
                action=action, file=where / "t.json", experiment=None
            )
            table_command.run(options, [], [])
    table = tables.load(where / "t.json")
    table_csv.write(table)
    for z in (0.0, 1.0):
        tables.costs(table, SPACE, z=z)
    table_risk.line(table_risk.within(table, TINY, 1.0))


def _dialect(dialect):
    def read(folder):
        text = text_file.read(folder / "t")
        facts = IMPORTED | {"input_size": 8}
        table = table_import.read(text, dialect, "ms", facts, "t")
        out = folder / "out.json"
        out.unlink(missing_ok=True)
        tables.save(table, out)
        assert tables.load(out) == table
        list(map(table_import.is_foreign, table.entries))

    return read


_REFERENCE = """\
Conv-input:224x224x3-output:112x112x32:
  count: 58
  mean: 3.5
  var: 0.02
expanded_conv-input:112x112x16-output:56x56x24-expand:6-kernel:3-stride:2-idskip:0:
  count: 7
  mean: 8.3
  var: 0.1
Logits-input:7x7x1280-output:1000:
  mean: 0.9
"""
_OFA = """\
112x112x16-56x56x24-expand:96-kernel:3-stride:2-idskip:0-se:0-hs:0:
  count: 7
  mean: 8.3
  std: 0.1
7x7x96-7x7x96-expand:288-kernel:5-stride:1-idskip:1-se:1-hs:1:
  mean: 0.5
"""
_CSV = """\
# a comment
fixed,0.01
"stem 8x8x1->8x8x8 s1",0.5
56x56x24-56x56x24-expand:3-kernel:5-stride:1,3.25
"""
reader("table, reference", "t", "fields", _texts(_REFERENCE))(_dialect("reference"))
reader("table, OFA", "t", "fields", _texts(_OFA))(_dialect("ofa"))
reader("table, CSV", "t", "fields", _texts(_CSV, table_csv.write(_table())))(
    _dialect("csv")
)


def _words(where):
    return (where / "words").read_bytes().decode("utf-8", "surrogateescape").split("\n")


_DIGITS = shipped.load_experiment("digits_cpu")


@reader(
    "overrides",
    "words",
    "fields",
    _texts(
        "--seed\n3\n--search.target-ms\n0.2\n--space.stage-widths\n16\n24\n40",
        "--data.flip\n--search.limits\nmacs:0.6x\nparams:15000\n--latency.batch=4",
        "--space.cells\n2\n3\n3\n--search.prune-below\n0.01\n--data.path\nNone",
        "--data.mean\n0.5\n--data.std\n0.25\n--search.lr\n0.1\n--train.batch\n8",
    ),
    share=0.1,
)
def _(where):
    words = _words(where)
    # tyro prints the help and leaves
    if not {"--help", "-h"} & set(words):
        space.build(overrides.apply(_DIGITS, words, "nas_jax search").space)


@reader("targets", "words", "fields", _texts("0.3,0.45,0.6", "0.25ms,0.3ms", "1e-1"))
def _(where):
    targets = _words(where)[0].split(",")
    for one in trade_off.experiments(_DIGITS, targets):
        assert 0 < (one.search.target_ms or one.search.target_ratio) < np.inf


@reader("limits", "words", "fields", _texts("macs:0.6x\nparams:5e4\nlatency:80:t.json"))
def _(where):
    search = dataclasses.replace(_DIGITS.search, limits=tuple(_words(where)))
    for text in search.limits:
        assert 0 < parse_limit(text).amount < np.inf


def _records(where):
    found = [guideline_records.record("t", "f", rung) for rung in range(3)]
    store.write(where / "all.json", found)
    store.write(where / "one.json", found[:1])
    return [(where / name).read_bytes() for name in ("all.json", "one.json")]


@reader("guideline records", "r.json", "json", _records)
def _(where):
    found = store.read(where / "r.json")
    for number, record in enumerate(found):
        records.check(record, f"record {number}")
    _known(found)


def _known(found):
    """What every answer begins with."""
    for kind in kinds.grouped(found):
        kinds.needed(kind, 0.01)
        kinds.distance(kind.descriptors, kind.descriptors)
    for record in found:
        records.depth(record), records.width(record)


def _resealed(where):
    """The digest no longer stands in the way of what else is wrong."""
    return [_records(where)[1]]


@reader("guideline records, sealed", "r.json", "json", _resealed)
def _(where):
    found = store.read(where / "r.json")
    for record in found:
        if isinstance(record, dict):
            with contextlib.suppress(ValueError, TypeError):
                record["digest"] = records.digest(record)
        records.check(record, "record")
    _known(found)


def _databases(where):
    found = [guideline_records.record("t", "f", rung) for rung in range(2)]
    store.add(where / "a.sqlite", found)
    return [(where / "a.sqlite").read_bytes()]


@reader("guideline database", "db.sqlite", "bytes", _databases)
def _(where):
    _known(store.stored(where / "db.sqlite", wait_s=0.1))


@reader(
    "recommendation",
    "r.json",
    "json",
    _texts('{"size": {"params_high": 9000, "params": 1}, "basis": "records"}'),
)
def _(where):
    cutting.cut(small_run.EXPERIMENT, where / "r.json")
