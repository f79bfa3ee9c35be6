"""The digest that lies beside a StableHLO file.

export/NAME.stablehlo.sha256   of that file alone, as `sha256sum --check` takes it
"""

import hashlib
from pathlib import Path

from nas_jax.config import files
from nas_jax.data import companions


def write(model: Path, content: bytes) -> None:
    """Writes the SHA-256 of a model's content beside the model."""
    file, line = _digest(model, content)
    files.write(file, line)


def require(model: Path, content: bytes) -> None:
    """Raises `ValueError` unless the content is what was written."""
    file, line = _digest(model, content)
    if companions.text(file) != line:
        raise ValueError(
            f"{model}: expected the file that {file.name} was written with, got other "
            "bytes; copy both, or export the network again"
        )


def _digest(model: Path, content: bytes) -> tuple[Path, str]:
    line = f"{hashlib.sha256(content).hexdigest()}  {model.name}\n"
    return model.with_name(f"{model.name}.sha256"), line
