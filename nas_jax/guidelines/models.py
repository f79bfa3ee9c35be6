"""Two regressions over kinds of tasks: the size that suffices, and the accuracy.

Both are linear in the logarithms of what describes a task, with a ridge, because there
are dozens of tasks and not thousands. How wrong they are is taken from families that
they have not seen: each family is predicted by a fit to all others, and the quantiles
of those errors are the intervals. Neighbouring tasks of one family would leak.
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

    `errors` are truth minus prediction, over `families` families.
    """

    predict: Callable[[Float[np.ndarray, "D"]], float]
    errors: Float[np.ndarray, "N"]
    families: int

    def interval(self, row: Float[np.ndarray, "D"], chance: float) -> Interval:
        """The middle `chance` of what the errors leave open.

        A new task is of a new family, one more beside those seen, so the share of the
        errors is `chance (F + 1) / F`, as for conformal intervals of F observations
        (Vovk, Gammerman, Shafer 2005).
        """
        middle = self.predict(row)
        share = min(1.0, chance * (self.families + 1) / self.families)
        low, high = np.quantile(self.errors, [(1 - share) / 2, (1 + share) / 2])
        return Interval(middle + float(low), middle, middle + float(high))


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
    return Model(ridge(x, y), errors, len(set(families)))


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
    in a share `chance` of them; the largest error if none does.
    """
    needs = np.array([math.log2(kinds.needed(kind, tolerance)) for kind in known])
    predicted = needs - size.errors

    def suffices(added: float) -> bool:
        hits = []
        for kind, value in zip(known, predicted, strict=True):
            larger = (p for p in kind.points if math.log2(p.params) >= value + added)
            hits.append(kind.suffices(next(larger, kind.largest), tolerance))
        return bool(np.sum(hits) >= chance * (len(hits) + 1))

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
