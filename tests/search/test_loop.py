"""Looking at progress: every image counts once, in batches of one size."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.data.batches import Batch, Shard
from nas_jax.search import loop
from nas_jax.search.loop import Reached, Steps, watched_batches
from tests import whole_search

AT_ONCE = 10


@pytest.fixture(autouse=True, scope="module")
def in_tens():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "WATCHED", AT_ONCE)
        yield


def numbered(images):
    """A split whose images are their numbers, of three labels."""
    numbers = np.arange(images, dtype=np.float32)
    labels = (np.arange(images) % 3).astype(np.int32)
    return Batch(numbers.reshape(-1, 1, 1, 1), labels)


@settings(deadline=None)
@given(st.integers(1, 57))
def test_every_image_counts_once_in_batches_of_one_size(images):
    found = list(watched_batches(numbered(images)))
    assert {len(batch.labels) for batch in found} == {min(AT_ONCE, images)}
    counted = [
        int(number)
        for batch in found
        for number, label in zip(batch.images.ravel(), batch.labels, strict=True)
        if label == int(number) % 3
    ]
    assert counted == list(range(images))
    others = np.concatenate([batch.labels[batch.labels < 0] for batch in found])
    assert set(others) <= {-1} and found[-1].labels.dtype == np.int32


def test_a_multiple_is_cut_into_pieces_as_they_lie():
    split = numbered(30)
    for place, batch in enumerate(watched_batches(split)):
        piece = split.take(np.arange(10 * place, 10 * place + 10))
        np.testing.assert_array_equal(batch.images, piece.images)
        np.testing.assert_array_equal(batch.labels, piece.labels)


def test_processes_share_every_batch():
    split = numbered(34)
    halves = [list(watched_batches(split, Shard(one, 2))) for one in range(2)]
    for whole, *parts in zip(watched_batches(split), *halves, strict=True):
        joined = np.concatenate([part.labels for part in parts])
        np.testing.assert_array_equal(joined, whole.labels)
    with pytest.raises(ValueError, match=r"that 3 processes share evenly"):
        next(watched_batches(split, Shard(0, 3)))


@settings(deadline=None)
@given(st.integers(1, 57), st.integers(0, 9))
def test_accuracy_is_the_share_of_all_images_that_are_right(images, seed):
    split = numbered(images)
    answers = np.random.default_rng(seed).integers(0, 3, images)

    def validate(state, path, batch):
        told = answers[np.asarray(batch.images).ravel().astype(int)]
        return np.mean(told == np.asarray(batch.labels))

    reached = Reached(None, None, steps=Steps(None, None, validate))
    accuracy = reached.accuracy(split)(jnp.zeros(3, jnp.int32))
    assert accuracy == pytest.approx(np.mean(answers == split.labels))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"batch": 9},
            "search.batch: expected at most the 8 images of train_weights, got 9; "
            "lower it",
        ),
        (
            {"arch_batch": 9},
            "search.arch_batch: expected at most the 8 images of train_alphas, got 9; "
            "lower it",
        ),
    ],
)
def test_batch_that_its_split_does_not_fill_is_refused_at_once(fields, line):
    with pytest.raises(ValueError) as caught:
        whole_search.searched(**fields)
    assert str(caught.value) == line
