"""Refusing a value in one line."""


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises `ValueError` with name, expectation and finding unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r}")
