"""The formats that a network can leave in, by name and by the end of a file's name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nas_jax.config import on_disk
from nas_jax.config.naming import near
from nas_jax.export import digest, litert, onnx, stablehlo
from nas_jax.export.runner import Runner
from nas_jax.export.source import Source
from nas_jax.latency.runtimes.litert import require as require_litert
from nas_jax.latency.runtimes.litert_environment import Converter


class Format(NamedTuple):
    """How a file's name ends, how it is read, how near its logits have to be to JAX's.

    `bound` is the largest difference of a logit, for logits up to 10; above it grows
    with them, as float32 does. StableHLO is the same program, but XLA may round it
    otherwise where it stands among others: by a few units in the last place. 8-bit
    files have no bound: what they lose is said instead.
    """

    suffix: str
    decode: Callable[[bytes, str], Runner]
    bound: float | None
    needs_digest: bool = False
    """Damaged StableHLO can end the process: XLA trusts that a compiler wrote it."""


FORMATS = {
    "onnx": Format(".onnx", onnx.decode, 1e-4),
    "onnx-int8": Format("_int8.onnx", onnx.decode, None),
    "stablehlo": Format(".stablehlo", stablehlo.decode, 1e-5, needs_digest=True),
    "litert": Format(".tflite", litert.decode, 1e-4),
    "litert-int8": Format("_int8.tflite", litert.decode, None),
}
ENDS = ", ".join(sorted({Path(f"x{one.suffix}").suffix for one in FORMATS.values()}))
"""Of the names of model files."""
ALIASES = {"tflite": "litert (writes .tflite)", "lite": "litert (writes .tflite)"}
"""What people call a format, and what it is called here."""
Encode = Callable[[Source], bytes]
_LITERT = ("litert", "litert-int8")


def encoders(names: list[str], converter: str | None) -> dict[str, Encode]:
    """What writes each format; `converter` is the Python that LiteRT is written with.

    Raises `ValueError` for an unknown format or one named twice, and for a missing
    runtime or converter with what installs it.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or len(set(names)) < len(names) or not names:
        known = {name: name for name in FORMATS} | ALIASES
        hints = [meant_as for name in unknown for meant_as in near(name, known)]
        hint = f"; did you mean {known[hints[0]]}?" if hints else ""
        raise ValueError(
            f"--format: expected some of {', '.join(FORMATS)}, each once, got "
            f"{', '.join(names) or 'none'}{hint}"
        )
    is_litert = any(name in _LITERT for name in names)
    if converter is not None and not is_litert:
        raise ValueError("--converter: expected with --format litert only")
    found: dict[str, Encode] = {
        "onnx": lambda source: onnx.encode(source.model),
        "onnx-int8": lambda source: onnx.encode_int8(
            source.model, calibration("onnx-int8", source)
        ),
        "stablehlo": lambda source: stablehlo.encode(source.model),
    }
    if is_litert:
        require_litert()  # the file is compared before it is written
        process = Converter(converter)
        found["litert"] = lambda source: litert.encode(source.model, process)
        found["litert-int8"] = lambda source: litert.encode_int8(
            source.model, process, calibration("litert-int8", source)
        )
    return {name: found[name] for name in names}


def calibration(name: str, source: Source) -> Float[np.ndarray, "N H W C"]:
    """The images that give an 8-bit file its ranges; `ValueError` without any."""
    images = source.calibration()
    if images is None:
        raise ValueError(
            f"{name}: expected pictures that give the ranges of the activations, as "
            "the training images of a run do, got none; give --calibration"
        )
    return images


def of_file(path: Path) -> Format | None:
    """The format that a name says, if it is that of a model that we write."""
    named = (one for one in FORMATS.values() if path.name.endswith(one.suffix))
    return next(named, None)


def read(path: Path) -> Runner:
    """The model in a file; `ValueError` if the file is none, or its runtime missing."""
    one = of_file(path)
    if one is None or not path.is_file():
        raise ValueError(
            f"{path}: expected a model file ({ENDS}), {on_disk.found_at(path)}"
            f"{on_disk.meant_beside(path)}"
        )
    content = path.read_bytes()
    if one.needs_digest:
        digest.require(path, content)
    return one.decode(content, str(path))
