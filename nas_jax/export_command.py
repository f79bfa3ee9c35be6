"""The verbs `export` and `predict`: a network as files, and what such a file says."""

import argparse
import json
from pathlib import Path
from typing import Any

from nas_jax import process

FORMATS = ("onnx", "stablehlo", "litert", "litert-int8")


def flags(parser: argparse.ArgumentParser) -> None:
    """What the verb `export` is told."""
    add = parser.add_argument
    known = ", ".join(FORMATS)
    add("folder", metavar="RUN", type=Path, help="run, or what import-torch wrote")
    add("--format", required=True, metavar="FORMATS", help=f"of {known}; with commas")
    add("--network", help="of a run's trained networks (default: the derived one)")
    add(
        "--preprocessing",
        metavar="FILE",
        help="of an imported network: imagenet, or a preprocessing.json",
    )
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="of an imported network: a label a line (default: the classes' numbers)",
    )
    add(
        "--images",
        nargs="+",
        default=(),
        type=Path,
        metavar="IMAGE",
        help="of an imported network: pictures to compare logits on",
    )
    add("--table", type=Path, help="of an imported network: table that predicts it")
    add(
        "--calibration",
        nargs="+",
        default=(),
        type=Path,
        metavar="IMAGE",
        help="of an imported network, for litert-int8: pictures, or folders of them",
    )
    add("--converter", metavar="PYTHON", help="of an environment with litert-converter")
    add("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    """Raises `ValueError` as `export.writing.export`."""
    process.prepare()
    from nas_jax import terminal
    from nas_jax.export import source, writing

    given = source.Given(
        options.preprocessing,
        options.labels,
        tuple(options.images),
        options.table,
        tuple(options.calibration),
    )
    names = [name.strip() for name in options.format.split(",")]
    result = writing.export(
        options.folder,
        names,
        network=options.network,
        given=given,
        converter=options.converter,
        watch=terminal.Terminal(),
    )
    if options.json:
        print(json.dumps(result))
        return 0
    for name, network in result["networks"].items():
        print(f"{name}: {network['macs']:,} MACs, {network['params']:,} params")
        print(terminal.aligned(table_of(network["formats"])))
        print(_prediction(network))
    print(f"written: {options.folder / 'export'}")
    return 0


def table_of(formats: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per file, as text."""
    header = (
        *("file", "bytes", "largest difference", "as JAX", "top-1"),
        *("measured ms [q25, q75]", ""),
    )
    rows: list[tuple[str, ...]] = [header]
    for found in formats.values():
        ms = found["measured_ms"]
        rows.append(
            (
                found["file"],
                f"{found['bytes']:,}",
                f"{found['max_abs_difference']:.1e} on {found['images']} "
                f"{found['inputs']}",
                *(_share(found.get(key)) for key in ("same_top1", "top1")),
                f"{ms['median']:.4f} [{ms['q25']:.4f}, {ms['q75']:.4f}]",
                f"{found['runtime']}, batch {found['batch']}, "
                f"{found['threads']} thread(s)",
            )
        )
    return rows


def _share(share: float | None) -> str:
    """Unknown without labels, or of a file that an older version wrote."""
    return "-" if share is None else f"{share:.2%}"


def _prediction(network: dict[str, Any]) -> str:
    about = network["predicted_for"]
    if about is None:
        return "predicted: no latency table"
    return (
        f"predicted: {network['predicted_ms']:.4f} ms ({about['runtime']} "
        f"{about['runtime_version']}, batch {about['batch']}, {about['threads']} "
        f"thread(s), {about['device']})"
    )


def predict_flags(parser: argparse.ArgumentParser) -> None:
    """What the verb `predict` is told."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="file that export wrote")
    add("images", metavar="IMAGE", nargs="+", type=Path, help="picture")
    add("--top", type=int, default=5, help="guesses per picture")
    add("--json", action="store_true", help="print JSON")


def run_predict(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    """Raises `ValueError` as `export.prediction.predict`."""
    process.prepare()
    from nas_jax.export import prediction

    found = prediction.predict(options.model, options.images, options.top)
    named = list(zip(map(str, options.images), found, strict=True))
    if options.json:
        document = [
            {"image": name, "guesses": [guess._asdict() for guess in guesses]}
            for name, guesses in named
        ]
        print(json.dumps(document))
        return 0
    for name, guesses in named:
        print(name)
        for guess in guesses:
            print(f"  {guess.probability:6.1%}  {guess.label}")
    return 0
