"""Who won: the searched network against those that a user could have taken instead.

Rivals are the networks that are no slower as measured and keep the limits. A difference
counts where the 95 % interval of two shares of N test images each leaves 0 out,

    (p - q) +- 1.96 sqrt((p (1 - p) + q (1 - q)) / N),

which says nothing of how a second training of the same network would differ.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from nas_jax.report.quantities import Z_95
from nas_jax.training import scores

SLOWER = 0.05
"""Share of the searched network's latency by which a rival may be slower."""


class Scored(Protocol):
    """What is known of a network, as the report's `NetworkResult`."""

    @property
    def shipped_accuracy(self) -> float | None: ...
    @property
    def test_images(self) -> int | None: ...
    @property
    def measured_ms(self) -> float | None: ...
    @property
    def keeps_limits(self) -> bool | None: ...


class Known(NamedTuple):
    """A network as `result.json` states it."""

    shipped_accuracy: float | None
    """In 8 bits where it was tested so."""
    test_images: int | None
    measured_ms: float | None
    keeps_limits: bool | None = None


def of_result(networks: Mapping[str, Any]) -> str | None:
    """As `sentence`, of the `networks` of `result.json`."""
    return sentence(
        {
            name: Known(
                scores.shipped(one),
                one.get("test_images"),
                (one.get("measured_ms") or {}).get("median"),
                one.get("keeps_limits"),
            )
            for name, one in networks.items()
        }
    )


def sentence(networks: Mapping[str, Scored], name: str = "searched") -> str | None:
    """The best rival, by how much, and whether that is more than chance.

    None without a rival.

    >>> networks = {"searched": Known(0.9, 1000, 2.0), "random_1": Known(0.85, 1000, 2)}
    >>> sentence(networks)
    'Best of 2 networks no slower: 5.0 ± 2.9 points ahead of random_1.'
    """
    searched = networks.get(name)
    if searched is None or searched.measured_ms is None:
        return None
    most = searched.measured_ms * (1 + SLOWER)
    fast = {
        other: one
        for other, one in networks.items()
        if other != name
        and one.measured_ms is not None
        and one.measured_ms <= most
        and one.shipped_accuracy is not None
    }
    rivals = {
        other: one for other, one in fast.items() if one.keeps_limits is not False
    }
    ours = searched.shipped_accuracy
    if not rivals or ours is None or not searched.test_images:
        return None
    told = _against(rivals, ours, searched.test_images)
    if others := [other for other in fast if other not in rivals]:
        told += f" Beyond the limits, so not counted: {', '.join(others)}."
    return told


def _against(rivals: Mapping[str, Scored], ours: float, images: int) -> str:
    best = max(rivals, key=lambda one: rivals[one].shipped_accuracy or 0.0)
    theirs = rivals[best].shipped_accuracy or 0.0
    variances = sum(share * (1 - share) for share in (ours, theirs))
    error = Z_95 * math.sqrt(variances / images)
    points, off = 100 * abs(ours - theirs), 100 * error
    amount, count = f"{points:.1f} ± {off:.1f} points", 1 + len(rivals)
    if points <= off:
        which = "the one that is"
        if len(rivals) > 1:
            which = f"the best of {len(rivals)} that are"
        side = "ahead of" if ours >= theirs else "behind"
        return (
            f"No clear winner: {points:.1f} points {side} {best}, {which} no slower, "
            f"but chance alone makes up to {off:.1f}."
        )
    if ours > theirs:
        return f"Best of {count} networks no slower: {amount} ahead of {best}."
    return (
        f"Not the best: {best}, which is no slower and was not searched for, is "
        f"{amount} ahead; take that one."
    )
