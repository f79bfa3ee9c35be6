"""The folder `export/`: a network in several formats, compared with JAX and timed.

    export/NAME.onnx, NAME.stablehlo, NAME.tflite   the network
    export/labels.txt, preprocessing.json           see `companions`
    export/result.json                              see `export`

A file whose logits are not JAX's is not written.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_jax.config import files, provenance
from nas_jax.data import companions
from nas_jax.export import digest, formats, onnx, stablehlo
from nas_jax.export import source as sources
from nas_jax.export.formats import FORMATS
from nas_jax.export.runner import Runner
from nas_jax.export.source import Given, Source
from nas_jax.export.stablehlo import PIECE, PLATFORMS
from nas_jax.latency import tables
from nas_jax.latency.measurement import timing
from nas_jax.networks import counts
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import writer
from nas_jax.spaces import architecture_json
from nas_jax.training.progress import Progress

_FACTS: dict[str, dict[str, Any]] = {
    "onnx": {"opset": writer.OPSET},
    "onnx-int8": {"opset": writer.OPSET},
    "stablehlo": {"platforms": PLATFORMS},
}


def export(
    folder: Path,
    names: Sequence[str],
    *,
    network: str | None = None,
    given: Given | None = None,
    converter: str | None = None,
    watch: Progress | None = None,
) -> dict[str, Any]:
    """Writes a trained network into `folder/export` and returns what result.json says.

    `networks` by name, each {architecture, params, macs, predicted_ms and the table's
    `predicted_for` (None without a table), formats by name: {file, bytes, `inputs` and
    their number, max_abs_difference of the logits from JAX, `same_top1` and `top1` of
    the images (see `proof`), runtime, threads, batch, measured_ms}}. All formats are
    timed interleaved. Entries of earlier exports of other networks or formats stay,
    each with its own `provenance`.

    Args:
      folder: a run folder, or that of a network alone (`import`).
      names: of the formats.
      network, given: see `source.read`.
      converter: the Python that LiteRT files are written with.
      watch: shows the progress.

    Raises:
      ValueError: as `source.read` and `formats.encoders`; for an operation that a
        format cannot hold; for a file whose logits are not JAX's. Nothing is written
        then.
    """
    watch = watch or Progress()
    encoders = formats.encoders(list(names), converter)
    source = sources.read(folder, network, given or Given())
    for note in source.notes:
        watch.line(note)
    expected = _logits(source.model, source.images)
    contents, runners, entries = {}, {}, {}
    for name, encode in encoders.items():
        watch.phase(f"{source.name}: {name}")
        contents[name] = encode(source)
        runners[name] = FORMATS[name].decode(contents[name], f"{name} as written")
        found = runners[name].run(source.images)
        entries[name] = {
            "file": f"{source.name}{FORMATS[name].suffix}",
            "bytes": len(contents[name]),
            "inputs": source.origin,
            "images": len(source.images),
            **proof(name, found, expected, source.labels),
            **_FACTS.get(name, {}),
        }
    watch.phase(f"timing: {', '.join(runners)}")
    for name, measured in _times(source, runners, watch).items():
        entries[name] |= measured | {"provenance": provenance.record()}
    out = folder / "export"
    result = _merged(out / "result.json", source, entries)
    out.mkdir(exist_ok=True)
    for name, content in contents.items():
        files.write(out / entries[name]["file"], content)
        if FORMATS[name].needs_digest:
            digest.write(out / entries[name]["file"], content)
    companions.write(out, source.companions, source.companions_of)
    files.write_json(out / "result.json", result)
    return result


def write(model: Model, path: str | os.PathLike[str]) -> Path:
    """One file of a network, ONNX or StableHLO by the end of its name; returns it.

    Compared with JAX on drawn inputs first. `export` writes the other formats, too, and
    what an application needs besides. Raises `ValueError` as `export`.
    """
    path = Path(path)
    name = path.suffix[1:]
    if name not in ("onnx", "stablehlo"):
        raise ValueError(
            f"{path}: expected a name that ends in .onnx or .stablehlo; 'nas_jax "
            "export' writes LiteRT"
        )
    images = sources.drawn(model.architecture.input_shape)
    content = (onnx if name == "onnx" else stablehlo).encode(model)
    runner = FORMATS[name].decode(content, f"{path} as written")
    difference(name, runner.run(images), _logits(model, images))
    files.write(path, content)
    if FORMATS[name].needs_digest:
        digest.write(path, content)
    return path


def _logits(model: Model, images: np.ndarray) -> np.ndarray:
    """JAX's logits, of as many images at a time as `stablehlo` takes."""
    pieces = np.split(images, range(PIECE, len(images), PIECE))
    return np.concatenate([np.asarray(model(piece)) for piece in pieces])


def proof(
    name: str, found: np.ndarray, expected: np.ndarray, labels: np.ndarray | None
) -> dict[str, Any]:
    """How near a file's logits `[N classes]` are to JAX's, and what it costs.

    `same_top1` is the share of images whose largest logit is the same one; `top1` and
    `top1_of_jax` the accuracy of both, None where there are no labels. Raises
    `ValueError` as `difference`.
    """
    guesses, true = found.argmax(axis=1), expected.argmax(axis=1)

    def accuracy(guesses: np.ndarray) -> float | None:
        return None if labels is None else float((guesses == labels).mean())

    return {
        "max_abs_difference": difference(name, found, expected),
        "same_top1": float((guesses == true).mean()),
        "top1": accuracy(guesses),
        "top1_of_jax": accuracy(true),
    }


def difference(name: str, found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of a logit from JAX's.

    Raises `ValueError` above the bound of the format: `bound * max(1, |logit| / 10)`;
    without one if it is not finite.
    """
    largest = float(np.abs(found - expected).max())
    bound = FORMATS[name].bound
    if bound is None:
        bound = float(np.finfo(np.float32).max)
    else:
        bound *= max(1.0, float(np.abs(expected).max()) / 10)
    if not largest <= bound:  # a NaN neither
        raise ValueError(
            f"{name}: expected logits within {bound:.1e} of JAX's, got a difference of "
            f"{largest:.1e}; nothing is written, please report it"
        )
    return largest


def _times(
    source: Source, runners: dict[str, Runner], watch: Progress
) -> dict[str, dict[str, Any]]:
    """Milliseconds of one inference in each runtime, and how it was called."""
    config = source.config
    batches = {name: one.batch or config.batch for name, one in runners.items()}
    times = timing.time_calls(
        {name: one.call(batches[name]) for name, one in runners.items()},
        timing.Protocol(config.repeats, config.loop_ms, timing.SPREAD_S),
        watch.steps,
    )
    entries = {}
    for name, runner in runners.items():
        q25, median, q75 = timing.quartiles(times[name])
        entries[name] = {
            "measured_ms": {"median": median, "q25": q25, "q75": q75},
            "runtime": runner.runtime,
            "threads": runner.threads,
            "batch": batches[name],
        }
    return entries


def _merged(path: Path, source: Source, entries: dict[str, Any]) -> dict[str, Any]:
    """result.json with the new entries, those of other formats and networks kept."""
    architecture = source.model.architecture
    size = counts.describe(architecture)
    networks = networks_of(path)
    described = json.loads(architecture_json.to_json(architecture))
    before = networks.get(source.name, {})
    same = before.get("architecture") == described
    networks[source.name] = {
        "architecture": described,
        "params": size["params"],
        "macs": size["macs"],
        **_predicted(source),
        "formats": (before["formats"] if same else {}) | entries,
    }
    return {"networks": networks}


def networks_of(path: Path) -> dict[str, Any]:
    """`networks` of an earlier result.json, {} without one; `ValueError` if damaged."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = files.read_object(path)["networks"]
        for one in found.values():
            dict(one["formats"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected what an earlier export wrote, got {error!r}; remove it"
        ) from error
    return found


def _predicted(source: Source) -> dict[str, Any]:
    table = source.table
    if table is None:
        return {"predicted_ms": None, "predicted_for": None}
    keys = ("device", "runtime", "runtime_version", "threads", "batch")
    return {
        "predicted_ms": tables.predict_ms(table, source.model.architecture),
        "predicted_for": {key: table.provenance[key] for key in keys},
    }
