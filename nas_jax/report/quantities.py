"""Quantities as the report writes them: the digits that matter, unit, interval."""

import math

NBSP = "\u00a0"
ABSENT = "–"
Z_95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


def wilson(accuracy: float, images: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share of correct images.

    With p the share, n the images and z = 1.96 it is
    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z·se it stays inside
    [0, 1] and keeps a width at p = 1 (Wilson, 1927).

    >>> low, high = wilson(0.5, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    if images < 1 or not 0 <= accuracy <= 1:
        raise ValueError(
            "wilson: expected an accuracy in [0, 1] of at least one image, got "
            f"{accuracy} of {images}"
        )
    square = Z_95**2 / images
    centre = accuracy + square / 2
    spread = Z_95 * math.sqrt(accuracy * (1 - accuracy) / images + square / 4 / images)
    low, high = (centre - spread) / (1 + square), (centre + spread) / (1 + square)
    # at p = 0 or 1 the bound is exact on paper, and off by a rounding error here
    return max(0.0, min(low, accuracy)), min(1.0, max(high, accuracy))


def quotient(above: float | None, below: float | None) -> float | None:
    """Their quotient, None if one is not known."""
    return above / below if above is not None and below else None


def percent(share: float | None, digits: int = 1) -> str:
    """
    >>> [percent(0.9731, digits).replace(NBSP, " ") for digits in (1, 0)]
    ['97.3 %', '97 %']
    """
    return ABSENT if share is None else f"{100 * share:.{digits}f}{NBSP}%"


def digits_for(value: float) -> int:
    """Decimals that show three digits from 1 upwards, three decimals below."""
    steps = ((100, 0), (10, 1), (1, 2), (0.1, 3), (0.01, 4))
    return next((digits for bound, digits in steps if abs(value) >= bound), 5)


def decimals(value: float) -> str:
    """
    >>> [decimals(value) for value in (123.4, 12.34, 1.234, 0.1234, 0.01234, 0.001234)]
    ['123', '12.3', '1.23', '0.123', '0.0123', '0.00123']
    """
    return f"{value:.{digits_for(value)}f}"


def fixed(value: float | None, digits: int) -> str:
    """A number with so many decimals, if there is one."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """
    >>> milliseconds(0.8125).replace(NBSP, " ")
    '0.812 ms'
    """
    return ABSENT if value is None else f"{decimals(value)}{NBSP}ms"


def ratio(value: float | None) -> str:
    """
    >>> ratio(1.876).replace(NBSP, " ")
    '1.88 ×'
    """
    return ABSENT if value is None else f"{value:.2f}{NBSP}×"


def count(value: int | None) -> str:
    """
    >>> [count(value).replace(NBSP, " ") for value in (640, 12_345, 4_081_793)]
    ['640', '12.3 k', '4.08 M']
    """
    if value is None:
        return ABSENT
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{decimals(value / size)}{NBSP}{unit}"
    return str(value)


def size(value: int | None) -> str:
    """
    >>> [size(value).replace(NBSP, " ") for value in (640, 12_345, 4_081_793)]
    ['640 B', '12.3 KB', '4.08 MB']
    """
    if value is None:
        return ABSENT
    for unit, each in (("MB", 10**6), ("KB", 10**3)):
        if value >= each:
            return f"{decimals(value / each)}{NBSP}{unit}"
    return f"{value}{NBSP}B"


def duration(seconds: float) -> str:
    """
    >>> [duration(value).replace(NBSP, " ") for value in (3.21, 75, 7384)]
    ['3.2 s', '1 min 15 s', '2 h 3 min']
    """
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    return f"{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min"
