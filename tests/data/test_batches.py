"""Order and augmentation are functions of (key, epoch) and (key, step) alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.base import stream
from nas_jax.data import batches

KEY = jax.random.key(0)
DATA = batches.Batch(np.arange(12.0).reshape(12, 1, 1, 1), np.arange(12))
shift = jax.jit(batches.shift, static_argnums=2)


def test_order_is_a_permutation_that_depends_on_key_name_and_epoch():
    orders = [
        batches.permutations(key, name, 12)(epoch)
        for key, name, epoch in (
            (KEY, "weights", 0),
            (KEY, "weights", 1),
            (KEY, "alphas", 0),
            (jax.random.key(1), "weights", 0),
        )
    ]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_order_does_not_depend_on_what_was_asked_before():
    order = batches.permutations(KEY, "weights", 12)
    first, second = order(0).copy(), order(1).copy()
    np.testing.assert_array_equal(order(0), first)
    np.testing.assert_array_equal(batches.permutations(KEY, "weights", 12)(1), second)


def labels(steps, size=4, data=DATA):
    order = batches.permutations(KEY, "weights", len(data.labels))
    return [batches.batch_at(data, order, size, step).labels.tolist() for step in steps]


def test_every_image_comes_once_per_pass():
    for epoch in range(3):
        seen = labels(range(3 * epoch, 3 * epoch + 3))
        assert sorted(itertools.chain(*seen)) == list(range(12))
    assert labels(range(3)) != labels(range(3, 6))


def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one():
    assert labels([7]) == [labels(range(8))[7]]


def test_images_and_labels_stay_together():
    order = batches.permutations(KEY, "weights", 12)
    batch = batches.batch_at(DATA, order, 5, 3)
    assert batch.images.shape == (5, 1, 1, 1)
    np.testing.assert_array_equal(batch.images[:, 0, 0, 0], batch.labels)


def test_batches_are_full_when_the_size_does_not_divide_the_data():
    """The rest of a pass is left out of it, without repetition."""
    seen = labels(range(4), size=5)
    assert [len(batch) for batch in seen] == [5, 5, 5, 5]
    assert len(set(seen[0] + seen[1])) == len(set(seen[2] + seen[3])) == 10


def numbered(batch=64, side=5):
    """Every pixel of every image has its own value."""
    shape = (batch, side, side, 2)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_shift_moves_by_whole_pixels_within_the_range_and_repeats_the_edge():
    images, pixels = numbered(), 2
    moved = np.asarray(shift(KEY, images, pixels))
    assert (moved.shape, moved.dtype) == (images.shape, images.dtype)
    seen = set()
    for before, after in zip(images, moved, strict=True):
        matches = []
        for down in range(-pixels, pixels + 1):
            for right in range(-pixels, pixels + 1):
                rows = np.clip(np.arange(5) + down, 0, 4)
                columns = np.clip(np.arange(5) + right, 0, 4)
                if (before[rows][:, columns] == after).all():
                    matches.append((down, right))
        assert len(matches) == 1
        seen.update(matches)
    # both ends of the range in both directions, and the two independent of each other
    assert {down for down, _ in seen} == {right for _, right in seen} == {*range(-2, 3)}
    assert len(seen) > 12


def test_shift_is_a_function_of_the_key():
    images = numbered(8)
    first, again = shift(KEY, images, 2), shift(KEY, images, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != shift(jax.random.key(1), images, 2)).any()


def test_shift_by_0_is_the_identity():
    images = numbered(2)
    assert batches.shift(KEY, images, 0) is images


@pytest.mark.parametrize("value", [-3.0, 0.25])
def test_shift_of_a_flat_image_changes_nothing(value):
    images = np.full((8, 5, 5, 2), value, np.float32)
    np.testing.assert_array_equal(shift(KEY, images, 2), images)


def test_streams_and_steps_have_keys_of_their_own():
    keys = [
        stream(key, name, step)
        for key in (KEY, jax.random.key(1))
        for name in ("path", "pair")
        for step in (0, 1)
    ]
    data = np.asarray(jnp.stack([jax.random.key_data(key) for key in keys]))
    assert len(np.unique(data, axis=0)) == len(keys)
    again = jax.random.key_data(stream(KEY, "path", jnp.array(1)))
    np.testing.assert_array_equal(again, data[1])


# --- as a split ----------------------------------------------------------------------


def test_processes_read_equal_parts_of_every_batch():
    order = batches.permutations(KEY, "weights", 12)
    for step in range(4):
        whole = batches.batch_at(DATA, order, 6, step)
        parts = [
            batches.batch_at(DATA, order, 6, step, batches.Shard(process, 3))
            for process in range(3)
        ]
        assert [len(part.labels) for part in parts] == [2, 2, 2]
        np.testing.assert_array_equal(
            np.concatenate([part.labels for part in parts]), whole.labels
        )


def test_pieces_are_all_images_in_their_order():
    found = list(batches.pieces(DATA, 5))
    assert [len(piece.labels) for piece in found] == [5, 5, 2]
    np.testing.assert_array_equal(
        np.concatenate([piece.images for piece in found]), DATA.images
    )


def test_joined_batches_have_the_images_of_both():
    other = batches.Batch(DATA.images[:2] + 50, np.array([7, 8]))
    both = DATA.joined(other)
    assert both.labels.tolist() == [*range(12), 7, 8]
    np.testing.assert_array_equal(both.images[12:], other.images)
    assert both.evaluated() is both
    assert both.image_shape == (1, 1, 1)


def test_a_shift_without_the_edge_brings_zeros_in():
    images = np.full((64, 5, 5, 2), 9, np.uint8)
    moved = np.asarray(batches.shift(KEY, images, 2, is_edge_repeated=False))
    assert moved.dtype == np.uint8
    assert set(np.unique(moved)) == {0, 9}
    for image in moved:
        rows, columns = np.nonzero(image[..., 0])
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1) >= 9


def test_images_of_a_sorted_split_are_of_all_classes():
    split = batches.Batch(np.zeros((300, 8, 8, 1)), np.repeat(np.arange(10), 30))
    assert np.bincount(batches.spread(split, 50).labels).tolist() == [5] * 10
    assert len(batches.spread(split, 1000).labels) == 300
