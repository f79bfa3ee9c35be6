"""What a command is told to write is new: nothing is written over."""

from pathlib import Path


def require(flag: str, path: Path | None) -> None:
    """Raises `ValueError` if the file that `flag` names exists; None is no file."""
    if path is not None and path.exists():
        raise ValueError(
            f"{flag} {path}: expected a new file, this one exists; choose another name"
        )
