"""Refusing a value in one line."""

import dataclasses
import math
from typing import Any

LARGEST = 10**6
"""Of a width, a side, a number of classes: no network has more."""
WIDEST_KERNEL = 99
MOST_LAYERS = 2000
"""Blocks of a network, open operations of tree cells among them; the paper's has 648.
"""
SEEDS = 2**32
"""Seeds are below this, as NumPy's and scikit-learn's are."""
_EXACT = 2**53
"""Above, a float knows no single integers any more."""


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises `ValueError` with name, expectation and finding unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r:.200}")


def require_numbers(config: Any, prefix: str = "") -> None:
    """Raises `ValueError` if a field, at any depth, is not finite or beyond 2^53.

    `config` is a dataclass; of sequences every member is looked at.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            require_numbers(value, f"{name}.")
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int | float):
                fits = isinstance(one, int) or math.isfinite(one)
                require(fits and abs(one) <= _EXACT, name, "a number to 2^53", one)
