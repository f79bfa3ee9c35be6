"""The verbs `export` and `predict`: a network as files, and what such a file says."""

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
    """for litert-int8: pictures, or folders of them"""


A_RUN = Imported()


def export(
    folder: Path,
    imported: Imported = A_RUN,
    *,
    format: tuple[str, ...],
    network: str | None = None,
    converter: str | None = None,
) -> Answer:
    """A trained network as files for the runtimes that ship it.

    Args:
      folder: a run, or what import-torch wrote
      format: of onnx, stablehlo, litert, litert-int8; with commas
      network: of a run's trained networks (default: the derived one)
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


def predict(model: Path, images: tuple[Path, ...], *, top: int = 5) -> Answer:
    """What an exported model sees in pictures.

    Args:
      model: file that export wrote
      images: pictures
      top: guesses per picture
    """
    host.prepare()
    from nas_jax.export import predict as prediction

    found: list[dict[str, Any]] = []
    lines = []
    for image, guesses in zip(
        images, prediction.predict(model, images, top), strict=True
    ):
        seen = [guess._asdict() for guess in guesses]
        found.append({"image": str(image), "guesses": seen})
        lines.append(str(image))
        lines += [f"  {guess.probability:6.1%}  {guess.label}" for guess in guesses]
    return Answer({"pictures": found}, "\n".join(lines))
