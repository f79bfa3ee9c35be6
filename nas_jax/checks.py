"""Refusing a value in one line."""

import dataclasses
import math
import types
import typing
from typing import Any

LARGEST = 10**6
"""No network has a width, a side or a number of classes above it."""
WIDEST_KERNEL = 99
MOST_LAYERS = 2000
"""Blocks of a network, open operations of tree cells among them; the paper's has 648.
"""
SEEDS = 2**32
"""Seeds are below this, as NumPy's and scikit-learn's are."""
_EXACT = 2**53
"""Beyond, a float knows no single integers any more."""


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises `ValueError` with name, expectation and finding unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got!r:.200}")


def reason(error: BaseException) -> str:
    """The first line of an error, at most 200 characters; its kind if it says nothing.

    >>> reason(OSError("no space\\nleft")), reason(MemoryError())
    ('no space', 'MemoryError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def require_types(config: Any, prefix: str = "") -> None:
    """Raises `ValueError` if a field of a dataclass is not what its annotation says.

    Python checks none, and a text where a number belongs would fail far from where it
    was written. An integer may stand for a float, a bool for no number.
    """
    for name, kind in typing.get_type_hints(type(config)).items():
        value = getattr(config, name)
        require(has_type(value, kind), f"{prefix}{name}", _words(kind), value)


def _words(kind: Any) -> str:
    choices, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin is typing.Literal:
        return f"one of {', '.join(choices)}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, choices))
    if origin is tuple:
        return f"a tuple of {_words(choices[0])}"
    return "None" if kind is type(None) else str(kind.__name__)


def has_type(value: Any, kind: Any) -> bool:
    """Whether a value is of a class, a union, a tuple of one kind or a literal.

    >>> has_type((1, 2), tuple[int, ...]), has_type(True, int), has_type(1, float)
    (True, False, True)
    """
    choices, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin is typing.Literal:
        return isinstance(value, str) and value in choices
    if origin in (typing.Union, types.UnionType):
        return any(has_type(value, one) for one in choices)
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(x, choices[0]) for x in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def require_numbers(config: Any, prefix: str = "") -> None:
    """Raises `ValueError` if a number of a dataclass is not finite.

    Or an integer beyond 2^53, of which floats know no single ones. Fields at any depth
    and every member of a sequence are looked at.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            require_numbers(value, f"{name}.")
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int):
                require(abs(one) <= _EXACT, name, "an integer to 2^53", one)
            elif isinstance(one, float):
                require(math.isfinite(one), name, "a finite number", one)
