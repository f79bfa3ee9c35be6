"""The scores of a network on its test images, as a whole and class by class.

Where most images are of one class, who always answers that class has a high accuracy.
So the share of that class stands beside it, and the balanced accuracy, the mean of the
classes' own accuracies, which of a constant answer is 1 / classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Interval
from typing_extensions import TypedDict

from nas_jax.config.checks import require
from nas_jax.data import balance

MOST_CLASSES = 100
"""Of a confusion matrix that is written out; the largest confusions always are."""
CONFUSIONS = 20
"""Pairs of classes that are listed, those with the most images."""
HARDLY = 0.9
"""A network with more than this share of the mistakes of a constant answer is hardly
better than that."""

_Count = Annotated[int, Ge(0)]
_Share = Annotated[float, Interval(ge=0, le=1)]


class ClassScore(TypedDict):
    """The score of one class; None where no image says anything about it."""

    images: _Count
    """Of the class, in the test."""
    accuracy: _Share | None
    """Share of its images that are called so: its recall."""
    precision: _Share | None
    """Share of what is called so that is of it."""


class Confusion(TypedDict):
    """So many images of one class that were taken for another."""

    true: str
    guessed: str
    images: _Count


@dataclass(frozen=True)
class Scores:
    """The scores of one network; None where nothing is known."""

    test_accuracy: _Share | None = None
    """Share of all images that are right."""
    test_images: _Count | None = None
    balanced_accuracy: _Share | None = None
    """Mean accuracy of the classes that have images."""
    majority_share: _Share | None = None
    """Share of the largest class: the accuracy of a constant answer."""
    per_class: dict[str, ClassScore] = field(default_factory=dict)
    """By the name of the label, in the order of the labels."""
    confusion: tuple[tuple[_Count, ...], ...] | None = None
    """Images by true class (rows) and guessed class (columns), in the order of
    `per_class`; None for more than `MOST_CLASSES`."""
    largest_confusions: tuple[Confusion, ...] = ()
    """At most `CONFUSIONS`, the largest first."""

    def __post_init__(self) -> None:
        """What is read from a file hangs together as what `of_guesses` gives."""
        for name in ("test_accuracy", "balanced_accuracy", "majority_share"):
            is_there = getattr(self, name) is not None or not self.per_class
            require(is_there, name, "a number beside per_class", None)
        for name, one in self.per_class.items():
            require(
                (one["accuracy"] is None) == (one["images"] == 0),
                f"per_class.{name}",
                "an accuracy, or null where there are no images",
                one,
            )
        if self.confusion is not None:
            classes = len(self.per_class)
            lengths = {len(self.confusion), *map(len, self.confusion)}
            require(
                lengths == {classes},
                "confusion",
                f"a row and a column for each of the {classes} classes of per_class",
                sorted(lengths),
            )
        for pair in self.largest_confusions:
            require(
                {pair["true"], pair["guessed"]} <= self.per_class.keys(),
                "largest_confusions",
                "classes of per_class",
                pair,
            )

    @property
    def is_uneven(self) -> bool:
        """Whether the classes of the test images are."""
        return balance.is_uneven(one["images"] for one in self.per_class.values())

    @property
    def is_hardly_better(self) -> bool:
        """Whether a constant answer is about as good, by either accuracy."""
        accuracy, balanced = self.test_accuracy, self.balanced_accuracy
        filled = sum(one["images"] > 0 for one in self.per_class.values())
        if accuracy is None or balanced is None or not filled:
            return False
        constant = self.majority_share or 0.0
        return 1 - accuracy >= HARDLY * (1 - constant) and 1 - balanced >= HARDLY * (
            1 - 1 / filled
        )


@dataclass(frozen=True)
class Reported(Scores):
    """The scores of a network in `result.json`, in float32 and, if it ships so, 8 bits.

    In 8 bits the accuracy alone is known.
    """

    test_accuracy_int8: _Share | None = None

    @property
    def shipped_accuracy(self) -> float | None:
        """The test accuracy by which networks are compared."""
        accuracy: float | None = shipped(vars(self))
        return accuracy


def shipped(network: Mapping[str, Any]) -> Any:
    """The accuracy that counts of a network of `result.json`: in 8 bits, if it has one.

    None of a network that was not tested.

    >>> shipped({"test_accuracy": 0.9}), shipped(
    ...     {"test_accuracy": 0.9, "test_accuracy_int8": 0.8}
    ... )
    (0.9, 0.8)
    """
    in_8_bits = network.get("test_accuracy_int8")
    return network.get("test_accuracy") if in_8_bits is None else in_8_bits


def of_guesses(guesses: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Scores:
    """The scores of guesses.

    Args:
      guesses: Int `[N]`, the class that the network takes each image for.
      labels: Int `[N]`, their classes.
      names: what the labels stand for, one for every class of the network. Classes
        of the same name get the number of their label.
    """
    classes, right = len(names), guesses == labels
    times = Counter(names)
    unique = [
        name if times[name] == 1 else f"{name} ({label})"
        for label, name in enumerate(names)
    ]
    images, hits, guessed = (
        np.bincount(some, minlength=classes)
        for some in (labels, labels[right], guesses)
    )
    filled = images > 0
    pairs = labels.astype(np.int64) * classes + guesses
    found, counts = np.unique(pairs, return_counts=True)
    confusion = None
    if classes <= MOST_CLASSES:
        matrix = np.zeros((classes, classes), int)
        matrix.flat[found] = counts
        confusion = tuple(map(tuple, matrix.tolist()))
    true, taken = np.divmod(found, classes)
    order = np.argsort(-counts, kind="stable")
    wrong = order[true[order] != taken[order]][:CONFUSIONS]
    return Scores(
        test_accuracy=float(right.mean()),
        test_images=len(labels),
        balanced_accuracy=float((hits[filled] / images[filled]).mean()),
        majority_share=float(images.max() / len(labels)),
        per_class={
            name: ClassScore(
                images=int(images[label]),
                accuracy=_share(hits[label], images[label]),
                precision=_share(hits[label], guessed[label]),
            )
            for label, name in enumerate(unique)
        },
        confusion=confusion,
        largest_confusions=tuple(
            Confusion(
                true=unique[true[place]],
                guessed=unique[taken[place]],
                images=int(counts[place]),
            )
            for place in wrong
        ),
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def is_balance_telling(networks: Mapping[str, Scores]) -> bool:
    """Whether balanced accuracies say what the accuracies do not, at a tenth of a %."""
    return any(
        one.is_uneven or f"{one.balanced_accuracy:.1%}" != f"{one.test_accuracy:.1%}"
        for one in networks.values()
        if one.balanced_accuracy is not None and one.test_accuracy is not None
    )


def remarks(networks: Mapping[str, Scores]) -> list[str]:
    """What a constant answer gets where classes are uneven, and who hardly gets more.

    A line each; the networks are of one test.
    """
    lines = []
    for one in [one for one in networks.values() if one.is_uneven][:1]:
        largest = max(one.per_class, key=lambda name: one.per_class[name]["images"])
        lines.append(
            f"the test images are uneven: a constant answer, always {largest!r}, would "
            f"get {one.majority_share:.1%}"
        )
    weak = {name: one for name, one in networks.items() if one.is_hardly_better}
    if weak:
        share = next(iter(weak.values())).majority_share
        listed = [f"{name} {one.test_accuracy:.1%}" for name, one in weak.items()]
        lines.append(
            f"hardly better than a constant answer, which would get {share:.1%}: "
            f"{', '.join(listed)}"
        )
    return lines
