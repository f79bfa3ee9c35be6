"""The verb `measure`: a latency table of a space, on a runtime, from parts or networks.

Rounds are kept beside the table that is to come, `TABLE.json.rounds`; after an
interruption the same command goes on from there.
"""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_jax import files, overrides, process, shipped
from nas_jax.config import Experiment

RUNTIMES = ("onnxruntime", "litert", "xla", "phone")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb is told besides the fields of the experiment."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="table to write, JSON")
    add("--runtime", choices=RUNTIMES, default="onnxruntime")
    add("--networks", type=int, default=0, help="whole networks to fit the table to")
    add("--held-out", type=int, default=0, help="whole networks to validate it with")
    add("--also", nargs="+", default=[], metavar="NAME", help="published networks")
    add("--max-seconds", type=float, help="stop then; the same command goes on")
    add("--record", type=Path, metavar="FILE", help="write all models' numbers, JSON")
    add("--plot", type=Path, metavar="FILE", help="draw predicted against measured")
    add("--converter", metavar="PYTHON", help="of an environment with litert-converter")


def run(options: argparse.Namespace, rest: list[str], words: Sequence[str]) -> int:
    """Raises `ValueError` for flags that do not fit and for what a device refuses."""
    experiment = overrides.apply(
        shipped.load_experiment(options.experiment), rest, "nas_jax measure"
    )
    _check(options)
    process.prepare(cache=not options.no_cache)
    if options.runtime == "phone":
        return _phone(options, experiment)
    from nas_jax import provenance, space, tables, terminal
    from nas_jax.measure import networks, operations, runtimes
    from nas_jax.measure.journal import Journal

    searched, config = space.build(experiment.space), experiment.latency
    device = runtimes.open_device(options.runtime, config, options.converter)
    parts = _parts(searched, options.also)
    whole = options.networks + options.held_out
    facts = {
        "runtime": device.runtime,
        "runtime_version": device.version,
        "device": device.name,
        **dataclasses.asdict(config),
        "parts": _digest([part.key for part in parts]),
        "networks": whole,
        "seed": experiment.seed,
    }
    path = options.out.with_name(options.out.name + ".rounds")
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, facts, options.max_seconds)
    watch = terminal.Terminal()
    table = operations.measure_table(
        device, parts, searched.input_shape, config, journal, watch.steps
    )
    if whole:
        drawn = networks.draw(table, searched, whole, experiment.seed)
        measured = networks.measure(device, drawn, config, journal, watch.steps)
        table, record = networks.validate(
            table, drawn, measured, options.held_out, experiment.seed
        )
        record |= {"provenance": table.provenance, **provenance.record()}
        if options.record is not None:
            options.record.write_text(json.dumps(record, indent=1) + "\n")
        if options.plot is not None:
            from nas_jax.measure import scatter

            scatter.plot(record, options.plot)
        print(terminal.aligned(networks.table_of(record)))
    tables.save(table, options.out)
    journal.remove()
    print(f"{len(table.entries)} entries: {options.out}")
    print(tables.validation_line(table.validation))
    return 0


def _check(options: argparse.Namespace) -> None:
    for flag, path in (
        ("--out", options.out),
        ("--record", options.record),
        ("--plot", options.plot),
    ):
        files.require_new(flag, path)
    whole = options.networks, options.held_out
    if min(whole) < 0 or (options.held_out < 10 and any(whole)):
        raise ValueError(
            f"--networks {whole[0]} --held-out {whole[1]}: expected 10 or more held "
            "out, so that the fit can be judged"
        )
    if (options.record or options.plot) and not any(whole):
        raise ValueError(
            "--record, --plot: expected --held-out as well, which measures what they "
            "show"
        )
    if options.max_seconds is not None and options.max_seconds <= 0:
        raise ValueError(
            f"--max-seconds: expected a number above 0, got {options.max_seconds:g}"
        )


def _parts(searched: Any, also: Sequence[str]) -> list[Any]:
    """The parts of a space and of published networks, none twice."""
    from nas_jax import published, tables

    parts = tables.required_parts(searched)
    for name in also:
        one = published.get(name, searched.stem.input_size)
        parts += [part for part in one.parts if not tables.is_free(part)]
    return list({part.key: part for part in parts}.values())


def _digest(keys: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]


def _phone(options: argparse.Namespace, experiment: Experiment) -> int:
    """Writes the phone's folder; with its outputs there, the table."""
    from nas_jax import space, tables
    from nas_jax.measure import litert_graph, phone
    from nas_jax.measure.litert import Models

    if options.networks or options.held_out:
        raise ValueError("--runtime phone: expected no --networks and no --held-out")
    folder = options.out.with_suffix(".phone")
    if folder.exists():
        table = phone.read(folder)
        tables.save(table, options.out)
        print(f"{len(table.entries)} entries: {options.out}")
        return 0
    searched = space.build(experiment.space)
    converter = litert_graph.Converter(options.converter)
    models = Models(experiment.latency.batch, converter)
    parts = _parts(searched, options.also)
    size = searched.stem.input_size
    phone.prepare(folder, parts, size, experiment.latency, models)
    converter.close()
    print(
        f"{len(parts)} models: {folder}; connect the phone, run "
        f"{folder / 'measure.sh'}, then this command again"
    )
    return 0
