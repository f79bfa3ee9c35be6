"""What a task is like, in numbers: sizes of its data, and two measured difficulties."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from nas_jax.checks import require


@dataclass(frozen=True)
class Descriptors:
    """A task in numbers; `balance` is the rarest class over the commonest.

    Raises `ValueError` naming the field that is out of range.
    """

    input_size: int
    channels: int
    classes: int
    images_per_class: float
    balance: float
    linear_accuracy: float | None
    tiny_accuracy: float | None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("input_size", 4, 4096),
            ("channels", 1, 1024),
            ("classes", 2, 10**6),
        ):
            value = getattr(self, name)
            fits = type(value) is int and low <= value <= high
            require(fits, name, f"an integer from {low} to {high}", value)
        per_class = self.images_per_class
        fits = _is_number(per_class) and 1 <= per_class <= 10**9
        require(fits, "images_per_class", "a number from 1 to 1e9", per_class)
        fits = _is_number(self.balance) and 0 < self.balance <= 1
        require(fits, "balance", "a number above 0, at most 1", self.balance)
        for name in ("linear_accuracy", "tiny_accuracy"):
            value = getattr(self, name)
            fits = value is None or (_is_number(value) and 0 <= value <= 1)
            require(fits, name, "a fraction from 0 to 1, or none", value)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)
