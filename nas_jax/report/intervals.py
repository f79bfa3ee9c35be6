"""Confidence intervals, 95 % of them: of an accuracy measured on n images."""

import math

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
    return max(0.0, low), min(1.0, high)
