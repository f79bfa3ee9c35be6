"""Ranges of numbers as types, and the refusal of a value in one line."""

from typing import Annotated

from annotated_types import Interval

EXACT = 2**53
"""Counts stay below: beyond, a float no longer holds every integer."""
Count = Annotated[int, Interval(ge=1, lt=EXACT)]
Natural = Annotated[int, Interval(ge=0, lt=EXACT)]
Positive = Annotated[float, Interval(gt=0)]
NotNegative = Annotated[float, Interval(ge=0, lt=EXACT)]
Amount = Annotated[float, Interval(gt=0, lt=EXACT)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]

LARGEST = 10**6
"""No network has a width, a side or a number of classes above it."""
WIDEST_KERNEL = 99
MOST_LAYERS = 2000
"""Blocks of a network, with the open operations of tree cells; the paper's has 648."""
SEEDS = 2**32
"""Seeds are below this, as NumPy's and scikit-learn's are."""


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
