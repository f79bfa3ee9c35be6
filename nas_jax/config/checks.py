"""Ranges of numbers as types, and the refusal of a value in one line."""

import dataclasses
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

Count = Annotated[int, Ge(1)]
Natural = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]

LARGEST = 10**6
"""No network has a width, a side or a number of classes above it."""
WIDEST_KERNEL = 99
MOST_LAYERS = 2000
"""Blocks of a network, with the open operations of tree cells; the paper's has 648."""
SEEDS = 2**32
"""Seeds are below this, as NumPy's and scikit-learn's are."""
_EXACT = 2**53
"""The largest integer up to which a float holds each one."""


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises `ValueError` with these three unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r:.200}")


def reason(error: BaseException) -> str:
    """The first line of an error, at most 200 characters; its kind if it says nothing.

    >>> reason(OSError("no space\\nleft")), reason(MemoryError())
    ('no space', 'MemoryError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def is_exhausted(error: BaseException) -> bool:
    """Whether a device, or the main memory, had no room left."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def require_exact(config: Any, prefix: str = "") -> None:
    """Raises `ValueError` for an integer beyond 2^53, at any depth of a dataclass."""
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            require_exact(value, f"{name}.")
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int):
                require(abs(one) <= _EXACT, name, "an integer to 2^53", one)
