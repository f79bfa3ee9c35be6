"""Records of guidelines, alone and in a database, and what is recommended by them."""

import contextlib

from fuzz.case import reader, texts
from nas_jax.guidelines import cutting, kinds, records, store
from tests import small_run
from tests.guidelines import made_up_records


def _records(where):
    found = [made_up_records.record("t", "f", rung) for rung in range(3)]
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
    found = [made_up_records.record("t", "f", rung) for rung in range(2)]
    store.add(where / "a.sqlite", found)
    return [(where / "a.sqlite").read_bytes()]


@reader("guideline database", "db.sqlite", "bytes", _databases)
def _(where):
    _known(store.stored(where / "db.sqlite", wait_s=0.1))


@reader(
    "recommendation",
    "r.json",
    "json",
    texts('{"size": {"params_high": 9000, "params": 1}, "basis": "records"}'),
)
def _(where):
    cutting.cut(small_run.EXPERIMENT, where / "r.json")
