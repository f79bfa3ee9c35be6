"""Files of text and of JSON, read; what cannot be is a line that names the file."""

from pathlib import Path
from typing import Any

from nas_jax import json_text


def read(path: str | Path, advice: str = "") -> str:
    """The text of a file; `ValueError` if it cannot be read or is no UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text (UTF-8), got {error}{advice}"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{path}: cannot be read ({reason}){advice}") from error


def document(path: str | Path, advice: str = "") -> Any:
    """The JSON of a file; `ValueError` if it cannot be read or is none."""
    return json_text.parse(read(path, advice), str(path), advice)


def object_of(path: str | Path, advice: str = "") -> dict[str, Any]:
    """The JSON object of a file; `ValueError` if it cannot be read or is none."""
    return json_text.parse_object(read(path, advice), str(path), advice)
