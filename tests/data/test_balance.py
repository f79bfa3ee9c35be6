"""Classes of very different sizes: which, how many pictures, from what ratio on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_jax.data import balance


@pytest.mark.parametrize(
    ("counts", "uneven"),
    [
        ([200, 20], True),
        ([60, 20], False),
        ([61, 20], True),
        ([5, 5, 0, 5], False),
        ([5, 0, 1], True),
        ([0, 0], False),
        ([], False),
        ([1300] * 999 + [400], True),
    ],
)
def test_more_than_three_times_the_smallest_is_uneven(counts, uneven):
    assert balance.is_uneven(counts) == uneven
    labels = np.repeat(np.arange(len(counts)), np.array(counts, int))
    names = [f"class {label}" for label in range(len(counts))]
    assert len(balance.notes(labels, names)) == uneven


def test_the_line_names_the_classes_and_what_a_constant_answer_gets():
    labels = np.repeat([1, 0], [200, 20])
    assert balance.notes(labels, ("dog", "cat")) == (
        "uneven classes: 200 of 220 pictures are of 'cat', but 20 of 'dog'; whoever "
        "always answers 'cat' is right on 90.9%: read the balanced accuracy, and add "
        "pictures of the small classes or try --train.class-weights balanced",
    )


def test_of_many_small_classes_the_smallest_are_named_and_the_rest_counted():
    counts = [100, *range(30, 20, -1), 40]
    labels = np.repeat(np.arange(len(counts)), counts)
    names = ["big", *"abcdefghij", "half"]
    (line,) = balance.notes(labels, names)
    assert "21 of 'j', 22 of 'i', 23 of 'h', 24 of 'g', 25 of 'f' and 5 more" in line
    assert "half" not in line and line.count("\n") == 0


@given(st.lists(st.integers(0, 6), min_size=1), st.permutations(range(7)))
def test_it_does_not_matter_how_the_labels_are_numbered(labels, order):
    before, after = np.array(labels), np.array(order)[labels]
    names = "abcdefg"
    renamed = [names[order.index(label)] for label in range(7)]
    told = [len(balance.notes(before, names)), len(balance.notes(after, renamed))]
    assert told[0] == told[1]
