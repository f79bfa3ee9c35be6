"""Splits are disjoint, by class, and a function of the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.data import partition

LABELS = np.repeat(np.arange(10), 60)
SIZES = {"train_weights": 400, "train_alphas": 90, "valid": 10, "test": 50}


def test_the_papers_split_holds_50_images_of_every_class_out():
    """ImageNet in small: classes of 73 to 130 images."""
    labels = np.repeat(np.arange(20), np.linspace(73, 130, 20).astype(int))
    sizes = {"train_weights": len(labels) - 1000, "train_alphas": 800, "valid": 200}
    chosen = partition.three(labels, sizes | {"test": 1}, 0, "small")
    assert np.bincount(labels[chosen["train_alphas"]]).tolist() == [40] * 20
    assert np.bincount(labels[chosen["valid"]]).tolist() == [10] * 20
    every = np.concatenate(list(chosen.values()))
    assert sorted(every) == list(range(len(labels)))


@settings(deadline=None, max_examples=30)
@given(
    counts=st.lists(st.integers(12, 40), min_size=2, max_size=6),
    share=st.integers(1, 4),
    extra=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_held_out_sets_are_disjoint_and_level(counts, share, extra, seed):
    labels = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(counts)), counts)
    )
    sizes = [share * len(counts) + extra, len(counts)]
    one, two = partition.held_out(labels, sizes, seed)
    assert (len(one), len(two)) == tuple(sizes)
    assert len(set(one) | set(two)) == sum(sizes)
    for chosen in (one, two):
        assert np.ptp(np.bincount(labels[chosen], minlength=len(counts))) <= 1


def test_weights_that_want_less_than_the_rest_get_a_part_in_proportion():
    sizes = SIZES | {"train_weights": 250}
    chosen = partition.three(LABELS, sizes, 0, "small")
    assert np.bincount(LABELS[chosen["train_weights"]]).tolist() == [25] * 10
    sets = [set(indices) for indices in chosen.values()]
    assert len(set.union(*sets)) == 350


@pytest.mark.parametrize("draw", [partition.three, partition.four])
def test_splits_are_a_function_of_the_seed(draw):
    one, same, other = (draw(LABELS, SIZES, seed, "small") for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert set(one[name]) != set(other[name])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train_weights": 550}, "small: the splits ask for 650 images .* has 600"),
        ({"valid": 9}, r"small: data.valid = 9 is fewer than one image per class"),
        ({"train_weights": 10, "train_alphas": 590, "valid": 0}, "fewer than one"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        partition.three(LABELS, SIZES | sizes, 0, "small")


def test_a_class_with_too_few_images_for_four_splits_is_refused():
    labels = np.array([0] * 100 + [1] * 2)
    sizes = dict.fromkeys(partition.SPLITS, 20)
    with pytest.raises(
        ValueError,
        match=r"small: class 1: expected at least 4 images, one for every split, got 2",
    ):
        partition.four(labels, sizes, 0, "small")


def test_a_class_that_would_be_held_out_whole_is_refused():
    labels = np.array([0] * 100 + [1] * 20)
    sizes = {"train_weights": 70, "train_alphas": 38, "valid": 2}
    with pytest.raises(ValueError, match=r"small: class 1: expected more than 20 "):
        partition.three(labels, sizes, 0, "small")


def test_only_classes_that_have_images_want_one_in_every_split():
    """A part of ImageNet: numbers of the whole, images of two classes."""
    labels = np.repeat([3, 700], 20)
    sizes = {"train_weights": 20, "train_alphas": 2, "valid": 2, "test": 2}
    chosen = partition.three(labels, sizes, 0, "part")
    chosen["test"] = partition.tested(labels, sizes["test"], 0, "part, test")
    for name in ("train_alphas", "valid", "test"):
        assert labels[chosen[name]].tolist() == [3, 700]
    with pytest.raises(
        ValueError, match=r"part, test: data.test = 1 is fewer .* \(2\)"
    ):
        partition.tested(labels, 1, 0, "part, test")
