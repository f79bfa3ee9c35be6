"""Two regressions over kinds of tasks: the size that suffices, and the accuracy.

Both are linear in the logarithms of what describes a task, with a ridge, because there
are dozens of tasks and not thousands. A family of tasks is a source of pictures. How
wrong the regressions are is taken from sources that they have not seen: each is
predicted by a fit to all others. Neighbouring tasks of one source would leak.

A new task is of a new source, one more beside the F that are known, and all sources
weigh the same however many tasks they have. So a chance of c on it needs a share
c (F + 1) / F on those known, and F sources support a chance of F / (F + 1) at most:
conformal prediction with groups (Lee, Barber, Willett 2023, arXiv 2306.06342). There
the fit is apart from the errors; here each error is of its own fit, which promises less
(the jackknife+: Barber, Candes, Ramdas, Tibshirani 2021).
"""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nas_jax.guidelines import kinds
from nas_jax.guidelines.kinds import Kind
from nas_jax.guidelines.records import Descriptors

_RIDGE = 1.0


class Interval(NamedTuple):
    """A prediction with the bounds of its interval."""

    low: float
    middle: float
    high: float


class Model(NamedTuple):
    """What a regression says for a row of features, and its errors on unseen families.

    `errors` are truth minus prediction, each of one of `families`.
    """

    predict: Callable[[Float[np.ndarray, "D"]], float]
    errors: Float[np.ndarray, "N"]
    families: tuple[str, ...]

    def interval(self, row: Float[np.ndarray, "D"], chance: float) -> Interval:
        """The prediction, and as much to either side as covers with this chance.

        That is the smallest error, of either sign, that the needed share of the errors
        does not exceed; beyond the chance that is supported, the largest.
        """
        middle = self.predict(row)
        weights = even(self.families)
        sizes = np.abs(self.errors)
        order = np.argsort(sizes)
        share = np.cumsum(weights[order])
        place = int(np.searchsorted(share, needed_share(chance, self.families) - 1e-9))
        reach = float(sizes[order][min(place, len(sizes) - 1)])
        return Interval(middle - reach, middle, middle + reach)


def supported(chance: float, families: Sequence[str]) -> float:
    """A chance, or the largest that so many families support.

    >>> supported(0.9, "abcd"), supported(0.6, "abcd")
    (0.8, 0.6)
    """
    count = len(set(families))
    return min(chance, count / (count + 1))


def needed_share(chance: float, families: Sequence[str]) -> float:
    """What share of what is known has to do, for a chance on a new family.

    >>> round(needed_share(0.6, "abcd"), 4)
    0.75
    """
    count = len(set(families))
    return supported(chance, families) * (count + 1) / count


def even(families: Sequence[str]) -> Float[np.ndarray, "N"]:
    """Weights that sum to 1, the same for every family.

    >>> even("abbb").round(4).tolist()
    [0.5, 0.1667, 0.1667, 0.1667]
    """
    names = list(families)
    _, own, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return 1 / sizes[own] / len(sizes)


def ridge(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N"]
) -> Callable[[Float[np.ndarray, "D"]], float]:
    """Ridge regression on standardised features; the mean is not shrunk."""
    centre, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    z = (x - centre) / spread
    gram = z.T @ z + _RIDGE * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, z.T @ (y - y.mean()))
    mean = float(y.mean())
    return lambda row: mean + float(((row - centre) / spread) @ weights)


def fitted(
    x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "N"], families: Sequence[str]
) -> Model:
    """A ridge regression, and its errors with one family left out at a time.

    Raises:
      ValueError: for fewer than two families.
    """
    groups = np.array(families)
    if len(set(families)) < 2:
        raise ValueError("regression: expected at least two families of tasks, got one")
    errors = np.empty(len(y))
    for family in sorted(set(families)):
        held = groups == family
        predict = ridge(x[~held], y[~held])
        errors[held] = [
            truth - predict(row) for row, truth in zip(x[held], y[held], strict=True)
        ]
    return Model(ridge(x, y), errors, tuple(families))


def features(task: Descriptors, difficulties: Sequence[str]) -> list[float]:
    """What describes a task, as a row: sizes in log2, difficulties as log-odds."""
    sizes = (task.input_size, task.channels, task.classes, task.images_per_class)
    return [
        *map(math.log2, sizes),
        *(log_odds(getattr(task, name), 1000) for name in difficulties),
    ]


def stated(task: Descriptors) -> list[str]:
    """The difficulties that a task states."""
    names = ("linear_accuracy", "tiny_accuracy")
    return [name for name in names if getattr(task, name) is not None]


def log_odds(share: float, images: int) -> float:
    """log(p / (1 - p)), half an image away from 0 and 1."""
    correct = share * images
    return math.log((correct + 0.5) / (images - correct + 0.5))


def from_log_odds(value: float) -> float:
    """The share of these log-odds."""
    return 1 / (1 + math.exp(-value))


def with_size(row: list[float], params: float) -> Float[np.ndarray, "D"]:
    """A task's row, log2 of the parameters, its square, and their products."""
    size = math.log2(params)
    return np.array([*row, size, size**2, *(size * value for value in row)])


def size_model(
    known: Sequence[Kind], difficulties: Sequence[str], tolerance: float
) -> Model:
    """log2 of the parameters that suffice, over tasks."""
    x = np.array([features(kind.descriptors, difficulties) for kind in known])
    y = np.array([math.log2(kinds.needed(kind, tolerance)) for kind in known])
    return fitted(x, y, [kind.family for kind in known])


def margin(
    known: Sequence[Kind], size: Model, tolerance: float, chance: float
) -> float:
    """What to add to predicted sizes (log2) so that they suffice with this chance.

    Networks come in steps, so the next larger one is taken and often does more than was
    asked. The margin is therefore the smallest with which that network, chosen for each
    known kind without its family, reaches the largest one's accuracy less `tolerance`
    in the needed share of them; the largest error if none does.
    """
    needs = np.array([math.log2(kinds.needed(kind, tolerance)) for kind in known])
    predicted = needs - size.errors
    weights = even([kind.family for kind in known])
    share = needed_share(chance, [kind.family for kind in known])

    def suffices(added: float) -> bool:
        hits = []
        for kind, value in zip(known, predicted, strict=True):
            larger = (p for p in kind.points if math.log2(p.params) >= value + added)
            hits.append(kind.suffices(next(larger, kind.largest), tolerance))
        return bool(weights @ np.array(hits) >= share - 1e-9)

    candidates = np.sort(size.errors)
    # more is enough where less was, but for a larger network that came out worse
    place = bisect.bisect_left(candidates, True, key=suffices)
    return float(candidates[min(place, len(candidates) - 1)])


def accuracy_model(known: Sequence[Kind], difficulties: Sequence[str]) -> Model:
    """Log-odds of the accuracy, over tasks and sizes."""
    rows = [features(kind.descriptors, difficulties) for kind in known]
    pairs = [
        (kind.family, row, point)
        for kind, row in zip(known, rows, strict=True)
        for point in kind.points
    ]
    x = np.array([with_size(row, point.params) for _, row, point in pairs])
    y = np.array([log_odds(one.accuracy, one.test_images) for _, _, one in pairs])
    return fitted(x, y, [family for family, _, _ in pairs])
