"""Latency tables in all dialects."""

import dataclasses

from fuzz.case import reader, texts
from fuzz.networks import SPACE, TINY
from nas_jax.cli import table as table_verbs
from nas_jax.config import files
from nas_jax.latency import dialects, risk, tables
from nas_jax.latency.tables import PROVENANCE, Entry, Validation

IMPORTED = {"device": "d", "runtime": "xla", "batch": 1, "dtype": "float32"}


def _table():
    parts = tables.required_parts(SPACE)
    entries = {
        part.key: Entry(0.1 + index / 10, 0.01, 0.1, 0.09, 0.11, 5)
        for index, part in enumerate(parts)
    }
    names = {str: "made up", int: 1}
    facts = {key: names[kind] for key, kind in PROVENANCE.items()}
    facts["method"] = "operations"
    said = {key: 1.0 for key in Validation.__annotations__}
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
    for verb in (table_verbs.show, table_verbs.validate):
        verb(where / "t.json")
    table = tables.load(where / "t.json")
    dialects.write_csv(table)
    for z in (0.0, 1.0):
        tables.costs(table, SPACE, z=z)
    risk.within(table, TINY, 1.0)


def _dialect(dialect):
    def read(folder):
        text = files.read_text(folder / "t")
        facts = IMPORTED | {"input_size": 8}
        table, _ = dialects.read(text, dialect, "ms", facts, "t")
        out = folder / "out.json"
        out.unlink(missing_ok=True)
        tables.save(table, out)
        assert tables.load(out) == table
        list(map(dialects.is_foreign, table.entries))

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
_GROUPS = """\
blocks:
  ? 112x112x16-56x56x24-expand:6-kernel:3-stride:2
  : &one {mean: 8.3, min: 8}
  skip: *one
head: {Conv_1-input:7x7x320-output:7x7x1280: 3.5}
"""
_SPREADSHEET = """\
Op;Latency (ms);n;macs
56x56x24-56x56x24-expand:3-kernel:5-stride:1;3,25;8;1
skip;0;8;0
"""
reader("table, reference", "t", "fields", texts(_REFERENCE, _GROUPS))(
    _dialect("reference")
)
reader("table, OFA", "t", "fields", texts(_OFA))(_dialect("ofa"))
reader(
    "table, CSV", "t", "fields", texts(_CSV, _SPREADSHEET, dialects.write_csv(_table()))
)(_dialect("csv"))
