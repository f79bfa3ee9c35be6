"""Pictures read ahead by threads: batches depend on (seed, epoch, image) alone."""

import functools

import jax
import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import batches, preprocessing, splits
from tests.data.picture_files import write_class

KEY = jax.random.key(0)
SHAPE = (16, 16, 3)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("cat", "dog")):
        write_class(root / name, 15, seed=100 * seed)
    sizes = {"train_weights": 14, "train_alphas": 6, "valid": 4, "test": 6}
    return DataConfig(name="folder", path=str(root), **sizes)


@pytest.fixture(scope="module")
def load(config):
    return functools.cache(lambda seed=0: splits.load(config, SHAPE, 2, seed)[0])


def batch(split, step, size=4, shard=batches.WHOLE):
    order = order_of(len(split.labels))
    return batches.batch_at(split, order, size, step, shard)


@functools.cache
def order_of(images):
    return batches.permutations(KEY, "order", images)


def equal(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_batch_for_training_has_bytes_a_batch_as_evaluated_is_normalised(load):
    train, valid = load()["train_weights"], load()["valid"]
    assert train.image_shape == valid.image_shape == SHAPE
    images, labels = batch(train, 0)
    assert (images.shape, images.dtype) == ((4, *SHAPE), np.uint8)
    assert (labels.shape, labels.dtype) == ((4,), np.int32)
    images, _ = valid.take(np.arange(4))
    assert (images.shape, images.dtype) == ((4, *SHAPE), np.float32)


def test_evaluated_pictures_are_the_normalised_centres_in_the_order_asked_for(
    load, config
):
    valid = load()["valid"]
    found = valid.take(np.array([2, 0]))
    for image, label, index in zip(*found, (2, 0), strict=True):
        item = valid.source[int(valid.indices[index])]
        assert label == item.label == valid.labels[index]
        expected = preprocessing.of(config, 16)(item)
        np.testing.assert_array_equal(image, expected)


def test_in_bytes_they_are_the_same_pixels_not_yet_normalised(load, config):
    alphas, some = load()["train_alphas"], np.array([3, 0, 5])
    travel = alphas.in_bytes()
    images, labels = travel.take(some)
    assert images.dtype == np.uint8
    expected = alphas.take(some)
    prepare = preprocessing.of(config, 16)
    np.testing.assert_array_equal(prepare.normalised(images), expected.images)
    np.testing.assert_array_equal(labels, expected.labels)
    assert equal(travel.evaluated().take(some), expected)
    assert equal(batch(travel, 2), batch(alphas.in_bytes(), 2))


def test_any_step_can_be_asked_for_at_any_time(load):
    """What was read ahead changes nothing: the step is the cursor."""
    split, other = load()["train_weights"], load()["train_weights"].evaluated()
    running = [batch(split, step) for step in range(8)]
    assert not equal(running[0], batch(other, 0))
    for step in (5, 6, 2, 7, 0):
        assert equal(batch(split, step), running[step])
    again = splits.load(split.config, SHAPE, 2, 0)[0]["train_weights"]
    assert equal(batch(again, 4), running[4])


def test_every_picture_comes_once_per_epoch_and_is_cut_anew(load):
    """14 images in batches of 7: epochs of two steps."""
    split = load()["train_weights"]
    order = order_of(14)
    for epoch in (0, 1, 2):
        seen = np.concatenate([batch(split, 2 * epoch + i, 7).labels for i in (0, 1)])
        np.testing.assert_array_equal(seen, split.labels[order(epoch)])
    one, two = (split.take(np.arange(14), epoch).images for epoch in (0, 1))
    assert (one != two).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(one, split.take(np.arange(14), 0).images)
    place = int(np.flatnonzero(order(1) == 3)[0])
    np.testing.assert_array_equal(
        batch(split, 2 + place // 7, 7).images[place % 7], two[3]
    )


def test_another_seed_cuts_and_divides_otherwise(load):
    one, two = load(0)["train_weights"], load(1)["train_weights"]
    assert set(one.indices) != set(two.indices)
    common = sorted(set(one.indices) & set(two.indices))
    places = [np.flatnonzero(s.indices == common[0]) for s in (one, two)]
    images = [s.take(p).images for s, p in zip((one, two), places, strict=True)]
    assert (images[0] != images[1]).any()


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_read_parts_that_make_the_whole_batch(load, processes):
    split = load()["train_weights"]
    for step in (0, 3):
        whole = batch(split, step)
        shards = [batches.Shard(process, processes) for process in range(processes)]
        parts = [batch(split, step, shard=shard) for shard in shards]
        joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        assert equal(whole, joined)


def test_a_batch_that_processes_cannot_share_is_refused(load):
    for shard in (batches.Shard(0, 3), batches.Shard(2, 2), batches.Shard(-1, 2)):
        with pytest.raises(ValueError, match=r"a batch that . processes share"):
            batch(load()["train_weights"], 0, shard=shard)


def test_joined_splits_have_the_images_of_both_in_the_form_of_the_first(load):
    weights, alphas = load()["train_weights"], load()["train_alphas"]
    both = weights.joined(alphas)
    np.testing.assert_array_equal(
        both.labels, np.concatenate([weights.labels, alphas.labels])
    )
    assert both.take(np.arange(3)).images.dtype == np.uint8
    evaluated = both.evaluated().take(np.arange(14, 20))
    assert equal(evaluated, alphas.take(np.arange(6)))


def test_pieces_are_all_images_in_their_order(load):
    split = load()["test"]
    found = list(batches.pieces(split, 4))
    assert [len(one.labels) for one in found] == [4, 2]
    images = np.concatenate([one.images for one in found])
    np.testing.assert_array_equal(images, split.take(np.arange(6)).images)


def test_a_picture_that_broke_after_the_start_is_named(config, load, tmp_path):
    for name in ("cat", "dog"):
        write_class(tmp_path / name, 15)
    there = DataConfig(**{**vars(config), "path": str(tmp_path)})
    split = splits.load(there, SHAPE, 2, 0)[0]["train_weights"]
    for path in tmp_path.glob("*/*.jpg"):
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=rf"{tmp_path}/.*.jpg: expected"):
        batch(split, 0)
