"""The formats that a network can leave in, by name and by the end of a file's name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nas_jax.checkpoint import Model
from nas_jax.export import litert, onnx, stablehlo
from nas_jax.export.runner import Runner
from nas_jax.measure.litert import require as require_litert
from nas_jax.measure.litert_graph import Converter


class Format(NamedTuple):
    """How a file's name ends, how it is read, how near its logits have to be to JAX's.

    `bound` is the largest difference of a logit, for logits up to 10; above it grows
    with them, as float32 does. StableHLO is the same program, but XLA may round it
    otherwise where it stands among others: by a few units in the last place.
    """

    suffix: str
    decode: Callable[[bytes, str], Runner]
    bound: float


FORMATS = {
    "onnx": Format(".onnx", onnx.decode, 1e-4),
    "stablehlo": Format(".stablehlo", stablehlo.decode, 1e-5),
    "litert": Format(".tflite", litert.decode, 1e-4),
}
Encode = Callable[[Model], bytes]


def encoders(names: list[str], converter: str | None) -> dict[str, Encode]:
    """What writes each format; `converter` is the Python that LiteRT is written with.

    Raises `ValueError` for an unknown format or one named twice, and for a missing
    runtime or converter with what installs it.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or len(set(names)) < len(names) or not names:
        raise ValueError(
            f"--format: expected different ones of {', '.join(FORMATS)}, got "
            f"{', '.join(names) or 'none'}"
        )
    if converter is not None and "litert" not in names:
        raise ValueError("--converter: expected with --format litert only")
    found: dict[str, Encode] = {"onnx": onnx.encode, "stablehlo": stablehlo.encode}
    if "litert" in names:
        require_litert()  # the file is compared before it is written
        process = Converter(converter)
        found["litert"] = lambda model: litert.encode(model, process)
    return {name: found[name] for name in names}


def read(path: Path) -> Runner:
    """The model in a file; `ValueError` if the file is none, or its runtime missing."""
    for one in FORMATS.values():
        if path.suffix == one.suffix:
            break
    else:
        suffixes = ", ".join(one.suffix for one in FORMATS.values())
        raise ValueError(f"{path}: expected a model file ({suffixes})")
    if not path.is_file():
        raise ValueError(f"{path}: expected a model file, found none")
    return one.decode(path.read_bytes(), str(path))
