"""What a measurement leaves: its journal, and the results of a phone."""

import dataclasses
import json

import numpy as np

from fuzz.case import reader
from fuzz.networks import SPACE
from nas_jax.latency import schema, tables
from nas_jax.latency.measure import journal
from nas_jax.latency.runtimes import phone

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
    schema.check(
        {
            **dataclasses.asdict(phone.read(where / "phone")),
            "format": schema.FORMAT,
            "version": schema.VERSION,
        },
        "phone",
    )


reader("phone, parts", "phone/parts.json", "json", _phone)(_read_phone)


def _output(where):
    _phone(where)
    return [_SUMMARY.encode()]


reader("phone, output", "phone/results/000.1.txt", "fields", _output)(_read_phone)
