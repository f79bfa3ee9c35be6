"""Splits are disjoint, by class, and a function of the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

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


# --- any remainder, any counts --------------------------------------------------------


@pytest.mark.parametrize("left", range(10))
def test_so_many_images_may_be_left_over(left):
    """Scikit-learn wants none or one of every class."""
    sizes = SIZES | {"train_weights": 450 - left}
    chosen = partition.four(LABELS, sizes, 0, "small")
    assert {name: len(one) for name, one in chosen.items()} == sizes
    assert len(set(np.concatenate(list(chosen.values())))) == 600 - left


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_every_class_is_in_every_split_for_any_counts(data):
    counts = data.draw(st.lists(st.integers(4, 30), min_size=2, max_size=6))
    classes, images = len(counts), sum(counts)
    sizes = {}
    for later, split in zip((3, 2, 1, 0), partition.SPLITS, strict=True):
        most = images - sum(sizes.values()) - later * classes
        sizes[split] = data.draw(st.integers(classes, most))
    seed = data.draw(st.integers(0, 99))
    labels = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(classes), counts)
    )
    chosen = partition.four(labels, sizes, seed, "any")
    assert {name: len(one) for name, one in chosen.items()} == sizes
    assert len(set(np.concatenate(list(chosen.values())))) == sum(sizes.values())
    for one in chosen.values():
        assert set(labels[one]) == set(range(classes))


def by_scikit_learn(labels, sizes, seed):
    rest = np.arange(len(labels))
    for size in sizes:
        if size == len(rest):
            yield rest
            return
        taken, rest = train_test_split(
            rest, train_size=size, stratify=labels[rest], random_state=seed
        )
        yield taken


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 999), left=st.integers(10, 100))
def test_where_scikit_learn_divides_its_indices_are_taken(seed, left):
    sizes = [450 - left, 90, 10, 50]
    expected = by_scikit_learn(LABELS, sizes, seed)
    found = partition.in_proportion(LABELS, sizes, seed)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rare_class_is_not_left_out_of_a_small_split():
    """In proportion it would be: 2 % of 10 images."""
    labels = np.array([0] * 196 + [1] * 4)
    chosen = partition.four(labels, dict.fromkeys(partition.SPLITS, 10), 0, "rare")
    assert [np.sum(labels[one]) for one in chosen.values()] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            (50, 3),
            "small: class 'dog': expected at least 4 images, .* got 3; add images",
        ),
        (
            (2, 50),
            "small: class 'cat': expected at least 4 images, .* got 2; add images",
        ),
    ],
)
def test_the_class_with_too_few_images_is_named(counts, message):
    labels = np.repeat([0, 1], counts)
    sizes = dict.fromkeys(partition.SPLITS, 5)
    with pytest.raises(ValueError, match=message):
        partition.four(labels, sizes, 0, "small", ("cat", "dog"))
    with pytest.raises(ValueError, match=r"class '(cat|dog)': expected more than "):
        partition.three(labels, sizes | {"valid": 6}, 0, "small", ("cat", "dog"))


# --- the rest -------------------------------------------------------------------------


@pytest.mark.parametrize("split", partition.SPLITS)
def test_one_split_takes_what_the_others_leave(split):
    sizes = partition.resolved(SIZES | {split: None}, 600, "small")
    assert sizes == SIZES | {split: 600 - 550 + SIZES[split]}
    assert sum(sizes.values()) == 600


def test_the_rest_of_a_set_of_its_own_is_all_of_it():
    assert partition.resolved({"test": None}, 7, "mine, test") == {"test": 7}
    assert partition.resolved(SIZES, 9, "mine") == SIZES


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"train_weights": None, "valid": None},
            r"^mine: expected one split that takes the rest of 600 images, got "
            "data.train_weights = None and data.valid = None; give the others a number",
        ),
        (
            {"train_weights": None, "test": 500},
            r"^mine: expected images for data.train_weights, which takes the rest, got "
            r"none: the other splits ask for 600 of 600; lower data.\*$",
        ),
        ({"test": None, "train_weights": 700}, "data.test, .* ask for 800 of 600"),
    ],
)
def test_a_rest_that_cannot_be_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        partition.resolved(SIZES | sizes, 600, "mine")
