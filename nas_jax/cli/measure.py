"""The verb `measure`: a latency table of a space, on a runtime, from parts or networks.

Rounds are written to `TABLE.json.rounds`; after an interruption the same command
resumes from there.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas_jax.cli import terminal
from nas_jax.cli.flags import UNCHANGED, Fields
from nas_jax.cli.terminal import Answer
from nas_jax.config import files, overrides
from nas_jax.config.experiment import Experiment
from nas_jax.training import host

Runtime = Literal[
    "onnxruntime", "onnxruntime-int8", "litert", "litert-int8", "xla", "phone"
]


@dataclass(frozen=True)
class Options:
    """What is measured, and where."""

    out: Path
    """table to write, JSON"""
    runtime: Runtime | None = None
    """what runs the networks (default: latency.runtime of the experiment)"""
    networks: int = 0
    """whole networks to fit the table to"""
    held_out: int = 0
    """whole networks to validate it with"""
    also: tuple[str, ...] = ()
    """published networks whose parts are measured as well, with commas"""
    max_seconds: float | None = None
    """stop then; the same command resumes"""
    record: Path | None = None
    """file to write all models' numbers to, JSON"""
    plot: Path | None = None
    """picture to draw: predicted against measured"""
    converter: str | None = None
    """Python of an environment with litert-converter"""
    no_cache: bool = False
    """compile again"""

    def check(self) -> None:
        """Raises `ValueError` for flags that do not fit."""
        files.require_new("--out", self.out)
        files.require_new("--record", self.record)
        files.require_new("--plot", self.plot)
        whole = self.networks, self.held_out
        if min(whole) < 0 or (self.held_out < 10 and any(whole)):
            raise ValueError(
                f"--networks {whole[0]} --held-out {whole[1]}: expected 10 or more "
                "held out, so that the fit can be judged"
            )
        if (self.record or self.plot) and not any(whole):
            raise ValueError(
                "--record, --plot: expected --held-out as well, which measures what "
                "they show"
            )
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(
                f"--max-seconds: expected a number above 0, got {self.max_seconds:g}"
            )
        if self.runtime == "phone" and any(whole):
            raise ValueError(
                "--runtime phone: expected no --networks and no --held-out"
            )


def measure(experiment: str, options: Options, fields: Fields = UNCHANGED) -> Answer:
    """The latency table of an experiment's space, measured on this machine.

    Args:
      experiment: one of `nas_jax list`, or a .py file
    """
    config = overrides.load(experiment, fields)
    options.check()
    runtime = options.runtime or config.latency.runtime
    terminal.tell_fields(fields)
    host.prepare(cache=not options.no_cache)
    from nas_jax.latency import tables
    from nas_jax.networks.parts import require_onnx
    from nas_jax.spaces import builders, elastic, published

    searched = builders.build(config.space)
    if runtime != "xla":  # all others are given ONNX
        for op in searched.candidates:
            require_onnx(op)
    parts = tables.required_parts(elastic.whole(config.space))
    for name in options.also:
        network = published.get(name, searched.stem.input_size)
        parts += [part for part in network.parts if not tables.is_free(part)]
    parts = list({part.key: part for part in parts}.values())
    if runtime == "phone":
        return _on_phone(config, options, searched, parts)
    return _on_this_machine(config, options, runtime, searched, parts)


def _on_this_machine(
    config: Experiment, options: Options, runtime: str, searched: Any, parts: Any
) -> Answer:
    from nas_jax.config import provenance
    from nas_jax.latency import runtimes, tables
    from nas_jax.latency.measurement import operations, reference
    from nas_jax.latency.measurement import whole_networks as networks
    from nas_jax.latency.measurement.journal import Journal

    device = runtimes.open_device(runtime, config.latency, options.converter)
    watch = terminal.Terminal()
    if runtime == "onnxruntime-int8":
        from nas_jax.latency.runtimes import onnx_int8

        for note in onnx_int8.notes(parts):
            watch.line(note)
    keys = "\n".join(part.key for part in parts)
    one = "\n".join(part.key for part in reference.of(searched).parts)
    whole = options.networks + options.held_out
    settings = {
        **dataclasses.asdict(config.latency),
        "runtime": device.runtime,
        "runtime_version": device.version,
        "device": device.name,
        "parts": hashlib.sha256(keys.encode()).hexdigest()[:16],
        "networks": whole,
        "reference": hashlib.sha256(one.encode()).hexdigest()[:16],
        "seed": config.seed,
    }
    path = options.out.with_name(options.out.name + ".rounds")
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, settings, options.max_seconds)
    table = operations.measure_table(
        device, searched, parts=parts, journal=journal, progress=watch.steps
    )
    lines, record = [], None
    if whole:
        drawn = networks.draw(table, searched, whole, config.seed)
        assert table.reference is not None  # measured with it
        measured, reference_ms = networks.measure_beside(
            device, drawn, table.reference.network, journal, watch.steps
        )
        lines.append(reference.line(reference.pace(table, reference_ms)))
        table, record = networks.validate(
            table, drawn, measured, options.held_out, config.seed, reference_ms
        )
        record |= {"provenance": table.provenance, **provenance.record()}
        if options.record is not None:
            options.record.write_text(json.dumps(record, indent=1) + "\n")
        if options.plot is not None:
            networks.plot(record).savefig(options.plot, dpi=150)
        lines.append(terminal.aligned(networks.table_of(record)))
    tables.save(table, options.out)
    journal.remove()
    return _written(options.out, table, lines)


def _written(out: Path, table: Any, lines: list[str]) -> Answer:
    from nas_jax.latency import tables

    answer = {
        "file": str(out),
        "entries": len(table.entries),
        "validation": table.validation,
        "provenance": dict(table.provenance),
    }
    lines.append(f"{len(table.entries)} entries: {out}")
    lines.append(tables.reference_line(table))
    lines.append(tables.validation_line(table.validation))
    return Answer(answer, "\n".join(lines))


def _on_phone(
    config: Experiment, options: Options, searched: Any, parts: Any
) -> Answer:
    """Writes the phone's folder; with its outputs there, the table."""
    from nas_jax.latency import tables
    from nas_jax.latency.runtimes import phone
    from nas_jax.latency.runtimes.litert import Models
    from nas_jax.latency.runtimes.litert_environment import Converter

    folder = options.out.with_suffix(".phone")
    if folder.exists():
        table = phone.read(folder)
        tables.save(table, options.out)
        return _written(options.out, table, [])
    converter = Converter(options.converter)
    models = Models(config.latency.batch, converter)
    size = searched.stem.input_size
    phone.prepare(folder, parts, size, config.latency, models)
    converter.close()
    text = (
        f"{len(parts)} models: {folder}; connect the phone, run "
        f"{folder / 'measure.sh'}, then this command again"
    )
    return Answer({"folder": str(folder), "models": len(parts)}, text)
