"""The verbs `export` and `predict`: a network as files, and what such a file says."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_jax.cli import terminal
from nas_jax.cli.terminal import Answer
from nas_jax.training import host


@dataclass(frozen=True)
class Imported:
    """What an imported network needs to be told; a run knows it."""

    preprocessing: str | None = None
    """imagenet, or a preprocessing.json"""
    labels: Path | None = None
    """file with a label a line; without it the classes' numbers"""
    images: tuple[Path, ...] = ()
    """pictures to compare logits on"""
    table: Path | None = None
    """latency table that predicts it"""
    calibration: tuple[Path, ...] = ()
    """for 8-bit files: pictures, or folders of them"""


A_RUN = Imported()


def export(
    folder: Path,
    imported: Imported = A_RUN,
    *,
    format: tuple[str, ...],
    network: str | None = None,
    data__path: Path | None = None,
    converter: str | None = None,
) -> Answer:
    """A trained network as files for the runtimes that ship it.

    Args:
      folder: a run, or what import wrote
      format: of onnx, onnx-int8, stablehlo, litert, litert-int8; with commas
      network: of a run's trained networks (default: the derived one)
      data__path: where the run's data lie, if they were moved
      converter: Python of an environment with litert-converter
    """
    host.prepare()
    from nas_jax.export import export_folder, source

    result = export_folder.export(
        folder,
        list(format),
        network=network,
        given=source.Given(
            imported.preprocessing,
            imported.labels,
            imported.images,
            imported.table,
            imported.calibration,
            data__path,
        ),
        converter=converter,
        watch=terminal.Terminal(),
    )
    lines = []
    for name, found in result["networks"].items():
        lines.append(f"{name}: {found['macs']:,} MACs, {found['params']:,} params")
        lines.append(terminal.aligned(table_of(found["formats"])))
        lines.append(_prediction(found))
    lines.append(f"written: {folder / 'export'}")
    return Answer(result, "\n".join(lines))


def table_of(formats: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per file, as text."""
    header = (
        *("file", "bytes", "largest difference", "as JAX", "top-1"),
        *("measured ms [q25, q75]", ""),
    )
    rows: list[tuple[str, ...]] = [header]
    for found in formats.values():
        # unknown without labels, or of a file that an older version wrote
        shares = [found.get(key) for key in ("same_top1", "top1")]
        rows.append(
            (
                found["file"],
                f"{found['bytes']:,}",
                f"{found['max_abs_difference']:.1e} on {found['images']} "
                f"{found['inputs']}",
                *("-" if share is None else f"{share:.2%}" for share in shares),
                terminal.timing(found["measured_ms"]),
                f"{found['runtime']}, batch {found['batch']}, "
                f"{found['threads']} thread(s)",
            )
        )
    return rows


def _prediction(network: dict[str, Any]) -> str:
    about = network["predicted_for"]
    if about is None:
        return "predicted: no latency table"
    return (
        f"predicted: {network['predicted_ms']:.4f} ms ({about['runtime']} "
        f"{about['runtime_version']}, batch {about['batch']}, {about['threads']} "
        f"thread(s), {about['device']})"
    )


def predict(
    model: Path, images: tuple[Path, ...], *, top: int = 5, json_lines: bool = False
) -> Answer:
    """What an exported model sees in pictures.

    Args:
      model: file that export wrote, or a run
      images: pictures, folders of them, patterns such as 'new/0?.jpg'
      top: guesses per picture
      json_lines: a JSON object per picture, a line each
    """
    host.prepare()
    from nas_jax.export import predict as prediction

    files, notes = prediction.files_of(images)
    progress = terminal.Terminal()
    for note in notes:
        progress.line(note)
    if not files:
        raise ValueError(
            f"predict {' '.join(map(str, images))}: expected pictures, found none"
        )
    found: list[dict[str, Any]] = []
    lines = []
    seen = prediction.predict(model, files, top)
    for one in progress.steps(seen, total=len(files), desc="predict"):
        if one.error is not None:
            progress.line(one.error)
            found.append({"image": one.image, "error": one.error})
            continue
        listed = [guess._asdict() for guess in one.guesses]
        found.append({"image": one.image, "guesses": listed})
        lines.append(one.image)
        lines += [f"  {each.probability:6.1%}  {each.label}" for each in one.guesses]
    wrong = sum("error" in one for one in found)
    if wrong and len(found) > 1:
        progress.line(f"{wrong} of {len(found)} pictures could not be read")
    if json_lines:
        lines = [json.dumps(one) for one in found]
    return Answer({"pictures": found}, "\n".join(lines), code=1 if wrong else 0)
