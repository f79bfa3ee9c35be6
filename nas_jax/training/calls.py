"""Jitted functions and what they will be called with, so that both can be looked at.

A process hands these to the `compile` it was given before it takes its first step. The
edges compile them ahead and time that; here nothing is done, and JAX
compiles at the first call.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A jitted function, arguments as it will be given, and what sets their size.

    `knob` names the fields of the configuration that the size of the batch follows.
    """

    function: Any
    arguments: tuple[Any, ...]
    knob: str


Compile = Callable[[Mapping[str, Call]], dict[str, Callable[..., Any]]]
"""From calls by name to functions that take arguments of the same shapes."""


def on_first_call(calls: Mapping[str, Call]) -> dict[str, Callable[..., Any]]:
    """The functions as they are."""
    return {name: call.function for name, call in calls.items()}
