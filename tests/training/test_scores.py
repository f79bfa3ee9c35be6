"""Scores against counts by hand and scikit-learn; what is said of them."""

import json
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from nas_jax.config.from_json import from_json
from nas_jax.data.batches import Batch
from nas_jax.training import loop, scores
from nas_jax.training.scores import Scores

SHARES = ("test_accuracy", "balanced_accuracy", "majority_share")
ONE = {"a": {"images": 1, "accuracy": 1.0, "precision": 1.0}}


class MadeUp:
    """A model whose images say in their first pixel what it takes them for."""

    def __init__(self, classes):
        self.classes = classes

    def __call__(self, images):
        return np.eye(self.classes)[images[:, 0, 0, 0].astype(int)]


def split(guesses, labels):
    images = np.zeros((len(labels), 2, 2, 1), np.float32)
    images[:, 0, 0, 0] = guesses
    return Batch(images, np.array(labels, np.int32))


def of_counts(matrix, names=None):
    """The scores of guesses with this confusion matrix, through a model."""
    labels, guesses = np.nonzero(np.array(matrix) + 1)
    labels, guesses = (np.repeat(some, np.ravel(matrix)) for some in (labels, guesses))
    found = loop.guesses(MadeUp(len(matrix)), split(guesses, labels), batch=7)
    names = names or [f"class {label}" for label in range(len(matrix))]
    return scores.of_guesses(found, labels, names)


def test_three_classes_by_hand():
    found = of_counts([[6, 2, 0], [1, 3, 0], [0, 4, 4]], ["ant", "bee", "cow"])
    assert asdict(found) == {
        "test_accuracy": 13 / 20,
        "test_images": 20,
        "balanced_accuracy": pytest.approx((3 / 4 + 3 / 4 + 1 / 2) / 3),
        "majority_share": 8 / 20,
        "per_class": {
            "ant": {"images": 8, "accuracy": 3 / 4, "precision": 6 / 7},
            "bee": {"images": 4, "accuracy": 3 / 4, "precision": 3 / 9},
            "cow": {"images": 8, "accuracy": 1 / 2, "precision": 1.0},
        },
        "confusion": ((6, 2, 0), (1, 3, 0), (0, 4, 4)),
        "largest_confusions": (
            {"true": "cow", "guessed": "bee", "images": 4},
            {"true": "ant", "guessed": "bee", "images": 2},
            {"true": "bee", "guessed": "ant", "images": 1},
        ),
    }


def test_a_constant_answer_on_200_and_20_reads_91_percent_and_is_half_right():
    found = of_counts([[200, 0], [20, 0]], ["cat", "dog"])
    assert found.test_accuracy == found.majority_share == pytest.approx(10 / 11)
    assert found.balanced_accuracy == 0.5
    assert found.per_class["dog"] == {"images": 20, "accuracy": 0, "precision": None}
    assert found.is_uneven and found.is_hardly_better
    assert scores.remarks({"searched": found}) == [
        "the test images are uneven: a constant answer, always 'cat', would get 90.9%",
        "hardly better than a constant answer, which would get 90.9%: searched 90.9%",
    ]


def test_a_class_without_test_images_has_no_accuracy_and_counts_in_no_mean():
    found = of_counts([[3, 0, 1], [0, 0, 0], [0, 2, 2]])
    assert found.balanced_accuracy == pytest.approx((3 / 4 + 2 / 4) / 2)
    empty = {"images": 0, "accuracy": None, "precision": 0.0}
    assert found.per_class["class 1"] == empty
    assert not found.is_uneven
    assert json.loads(json.dumps(asdict(found)))["per_class"]["class 1"] == empty


def test_a_test_of_one_class_alone_proves_nothing():
    found = of_counts([[5, 0], [0, 0]])
    assert (found.test_accuracy, found.balanced_accuracy) == (1, 1)
    assert found.is_hardly_better


@pytest.mark.parametrize("classes", [2, 100, 101, 150])
def test_matrix_is_written_up_to_a_hundred_classes(classes):
    matrix = np.diag(np.full(classes, 3))
    matrix[0, 1], matrix[1, 0] = 9, 2
    found = of_counts(matrix)
    assert (found.confusion is None) == (classes > 100)
    assert [one["images"] for one in found.largest_confusions] == [9, 2]
    assert found.largest_confusions[0]["guessed"] == "class 1"
    assert len(found.per_class) == classes
    expected = (3 / 12 + 3 / 5 + classes - 2) / classes
    assert found.balanced_accuracy == pytest.approx(expected)


def test_of_many_confusions_the_largest_are_listed_and_ties_keep_their_order():
    matrix = np.ones((30, 30), int)
    matrix[7, 3] = 2
    listed = of_counts(matrix).largest_confusions
    assert len(listed) == scores.CONFUSIONS
    assert listed[0] == {"true": "class 7", "guessed": "class 3", "images": 2}
    assert [one["guessed"] for one in listed[1:3]] == ["class 1", "class 2"]


def test_classes_of_one_name_are_kept_apart():
    """As `crane` and `maillot` among the thousand names of ImageNet."""
    found = of_counts(np.diag([1, 2, 3]), ["crane", "bus", "crane"])
    images = {name: one["images"] for name, one in found.per_class.items()}
    assert images == {"crane (0)": 1, "bus": 2, "crane (2)": 3}


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_as_scikit_learn_has_them(data):
    classes = data.draw(st.integers(2, 12))
    labels = st.lists(st.integers(0, classes - 1), min_size=1, max_size=40)
    true = np.array(data.draw(labels))
    some = st.lists(st.integers(0, classes - 1), min_size=len(true), max_size=len(true))
    guesses = np.array(data.draw(some))
    found = scores.of_guesses(guesses, true, [str(k) for k in range(classes)])
    every, nan = np.arange(classes), np.nan
    with warnings.catch_warnings():
        # of many classes for few images, and of guesses that no image is of
        warnings.simplefilter("ignore")
        balanced = metrics.balanced_accuracy_score(true, guesses)
        precision, recall, _, images = metrics.precision_recall_fscore_support(
            true, guesses, labels=every, zero_division=nan
        )
        matrix = metrics.confusion_matrix(true, guesses, labels=every)
    assert found.test_accuracy == np.mean(true == guesses)
    assert found.balanced_accuracy == pytest.approx(balanced)
    ours = [list(one.values()) for one in found.per_class.values()]
    theirs = np.array([images, recall, precision]).T
    np.testing.assert_allclose(np.array(ours, float), theirs)
    np.testing.assert_array_equal(found.confusion, matrix)
    assert from_json(Scores, asdict(found)) == found
    if found.test_accuracy == 1 and found.majority_share < 1:
        assert not found.is_hardly_better


def test_accuracy_is_that_of_the_guesses():
    labels = np.arange(9) % 3
    images = split(np.where(np.arange(9) < 4, labels, 0), labels)
    # four as they are, and two of the rest happen to be of class 0
    assert loop.accuracy(MadeUp(3), images, batch=4) == (4 + 1) / 9


@pytest.mark.parametrize(
    ("matrix", "hardly"),
    [
        ([[200, 0], [20, 0]], True),
        ([[199, 1], [18, 2]], True),  # 19 mistakes of 20
        ([[195, 5], [10, 10]], False),
        ([[170, 30], [2, 18]], False),  # less accurate, but it finds the dogs
        ([[50, 50], [50, 50]], True),
        ([[50, 50], [39, 61]], False),
        ([[10, 0], [0, 10]], False),
    ],
)
def test_hardly_better_is_nine_tenths_of_the_mistakes_by_either_accuracy(
    matrix, hardly
):
    assert of_counts(matrix).is_hardly_better == hardly


def test_balance_tells_something_where_the_two_differ():
    even, uneven = of_counts([[5, 1], [1, 5]]), of_counts([[4, 0], [1, 0]])
    assert not scores.is_balance_telling({"a": even})
    for share in SHARES:  # alone, as no version writes it
        assert not scores.is_balance_telling({"a": Scores(**{share: 0.5})})
    assert scores.is_balance_telling({"a": even, "b": uneven})
    # evenly filled to 3 : 1, and still two numbers
    assert scores.is_balance_telling({"a": of_counts([[3, 0], [1, 1]])})
    assert scores.remarks({"a": even, "b": Scores(test_accuracy=0.5)}) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"balanced_accuracy": 1.5}, "balanced_accuracy: expected at most 1, got 1.5"),
        ({"majority_share": "most"}, "majority_share: expected a number, got 'most'"),
        ({"per_class": [1]}, "per_class: expected an object, got .1."),
        ({"per_class": {"a": {}}}, "per_class.a.images: expected a value, got none"),
        ({"confusion": [[1]]}, "confusion: expected a row and a column for each of "),
        ({"confusion": [[-1]]}, "confusion.0.0: expected at least 0, got -1"),
        ({"largest_confusions": [{"true": 3}]}, "largest_confusions.0.true: expected"),
        (
            {"largest_confusions": [{"true": "a", "guessed": "b", "images": 1}]},
            "largest_confusions: expected classes of per_class, got .'true': 'a'",
        ),
        (
            {"per_class": ONE},
            "test_accuracy: expected a number beside per_class",
        ),
        (
            dict.fromkeys(SHARES, 1) | {"per_class": {"a": ONE["a"] | {"images": 0}}},
            "per_class.a: expected an accuracy, or null where there are no images, got",
        ),
        (
            dict.fromkeys(SHARES, 1) | {"per_class": ONE, "confusion": [[1, 0]]},
            "each of the 1 classes of per_class, got .1, 2.",
        ),
    ],
)
def test_scores_that_are_none_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        from_json(Scores, wrong)
