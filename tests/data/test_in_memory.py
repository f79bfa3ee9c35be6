"""Images in memory through a search: bytes, splits by seed, one normalisation."""

import dataclasses

import jax
import numpy as np
import pytest

from nas_jax.config.data import DataConfig
from nas_jax.data import augment, batches, cifar, in_memory, preprocessing, splits
from nas_jax.data.source import Arrays, DataSet
from tests.data.picture_files import encoded

KEY = jax.random.key(0)
SIZES = {"train_weights": 60, "train_alphas": 20, "valid": 20, "test": 40}
NAMES = tuple("abcdefghij")
CONFIG = DataConfig(name="cifar10", path="given", **SIZES)


@pytest.fixture(scope="module")
def data():
    numbers = np.random.default_rng(0)

    def arrays(count):
        images = numbers.integers(0, 256, (count, 32, 32, 3), np.uint8)
        return Arrays(images, np.arange(count, dtype=np.int32) % 10, NAMES)

    return DataSet(arrays(100), arrays(40))


@pytest.fixture
def load(data, monkeypatch):
    monkeypatch.setattr(cifar, "load", lambda name, path: data)
    return lambda seed=0, config=CONFIG: splits.load(config, (32, 32, 3), 10, seed)[0]


def test_splits_share_the_bytes_and_hold_the_classes_level(load, data):
    found = load()
    assert {name: len(split.labels) for name, split in found.items()} == SIZES
    for name, split in found.items():
        assert split.source is (data.test if name == "test" else data.train)
        assert split.image_shape == (32, 32, 3)
        level = [SIZES[name] // 10] * 10
        assert np.bincount(split.labels).tolist() == level
    train = [found[name].indices for name in ("train_weights", "train_alphas", "valid")]
    assert sorted(np.concatenate(train)) == list(range(100))
    assert sorted(found["test"].indices) == list(range(40))


def test_another_seed_holds_other_images_out(load):
    one, same, other = (load(seed)["train_alphas"].indices for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)


def test_batches_have_the_images_of_their_numbers(load, data):
    found = load()
    order = batches.permutations(KEY, "order", 60)
    weights = batches.batch_at(found["train_weights"], order, 20, 4)
    chosen = found["train_weights"].indices[order(1)[20:40]]
    np.testing.assert_array_equal(weights.images, data.train.images[chosen])
    np.testing.assert_array_equal(weights.labels, data.train.labels[chosen])
    assert weights.images.dtype == np.uint8
    parts = [
        batches.batch_at(found["train_weights"], order, 20, 4, batches.Shard(i, 2))
        for i in range(2)
    ]
    np.testing.assert_array_equal(
        np.concatenate([part.images for part in parts]), weights.images
    )
    valid = found["valid"].take(np.array([3, 1]))
    expected = data.train.images[found["valid"].indices[[3, 1]]]
    prepare = preprocessing.of(CONFIG, 32)
    np.testing.assert_array_equal(valid.images, prepare.normalised(expected))
    assert valid.images.dtype == np.float32


def test_joined_splits_train_together_and_can_be_evaluated(load):
    found = load()
    both = found["train_weights"].joined(found["train_alphas"])
    assert len(both.labels) == 80
    assert both.take(np.arange(2)).images.dtype == np.uint8
    last = both.evaluated().take(np.arange(60, 80))
    alphas = found["train_alphas"].take(np.arange(20))
    np.testing.assert_array_equal(last.images, alphas.images)
    np.testing.assert_array_equal(last.labels, alphas.labels)


def test_more_classes_than_the_space_has_are_refused(data, monkeypatch):
    monkeypatch.setattr(cifar, "load", lambda name, path: data)
    with pytest.raises(ValueError, match=r"the 100 classes .* 10 \(a, b, c, d, e, "):
        splits.load(CONFIG, (32, 32, 3), 100, 0)


def test_a_test_split_larger_than_the_test_set_is_refused(load):
    larger = DataConfig(**vars(CONFIG) | {"test": 41})
    with pytest.raises(ValueError, match=r"cifar10, test: .* ask for 41 images"):
        load(config=larger)


@pytest.mark.parametrize("geometry", ["centre", "square", "whole"])
@pytest.mark.parametrize("stored", [(28, 28, 1), (30, 20, 3), (12, 12, 1)])
@pytest.mark.parametrize("shape", [(28, 28, 1), (24, 24, 1), (40, 40, 1), (32, 32, 3)])
def test_other_sizes_become_what_a_file_of_the_picture_does(
    geometry, stored, shape, tmp_path
):
    """Bit for bit, for training as for evaluation."""
    images = np.random.default_rng(0).integers(0, 256, (8, *stored), np.uint8)
    source = Arrays(images, np.arange(8, dtype=np.int32) % 2, ("a", "b"))
    level = (0.5,) * shape[-1]
    config = DataConfig(name="idx", geometry=geometry, mean=level, std=level)
    split = in_memory.InMemorySplit(
        source, in_memory.fitted(source, config, shape), np.array([6, 1, 3]), config
    )
    paths = [tmp_path / f"{number}.png" for number in split.indices]
    for path, number in zip(paths, split.indices, strict=True):
        path.write_bytes(encoded(images[number].squeeze(), "PNG"))
    prepare = preprocessing.of(config, shape[0])
    expected = preprocessing.read_images(paths, prepare)
    assert split.image_shape == shape
    np.testing.assert_array_equal(split.take(np.arange(3)).images, expected)
    training = dataclasses.replace(split, is_training=True)
    pixels = training.take(np.arange(3)).images
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(prepare.normalised(pixels), expected)


def test_images_of_the_size_of_the_network_are_not_copied(data):
    assert in_memory.fitted(data.train, CONFIG, (32, 32, 3)) is data.train.images


def test_images_that_all_splits_share_are_brought_to_size_once(load, data, monkeypatch):
    asked = []
    monkeypatch.setattr(
        in_memory, "fitted", lambda source, *_: asked.append(source) or source.images
    )
    found = load()
    assert asked == [data.train, data.test]
    assert found["valid"].images is found["train_weights"].images


def test_bytes_are_normalised_in_a_step_as_they_are_for_evaluation(load):
    alphas = load()["train_alphas"]
    some = np.arange(5)
    travel = alphas.in_bytes().take(some)
    assert travel.images.dtype == np.uint8
    normalise = jax.jit(augment.normalise_of(CONFIG))
    expected = alphas.take(some)
    np.testing.assert_allclose(normalise(travel.images), expected.images, atol=2e-6)
    np.testing.assert_array_equal(travel.labels, expected.labels)
    again = alphas.in_bytes().evaluated().take(some)
    np.testing.assert_array_equal(again.images, expected.images)
