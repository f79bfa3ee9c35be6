"""Letters are what their labels say, in equal proportion, the same at every call."""

import numpy as np
import pytest

from benchmarks import glyphs

CLEAN = glyphs.Distortion(size=(0.9, 0.9), degrees=0, shift=0, noise=0)


def test_images_are_normalised_and_letters_in_equal_proportion():
    images, labels = glyphs.draw(3 * 26 + 5, 16, seed=0)
    assert images.shape == (83, 16, 16, 1)
    assert (images.dtype, labels.dtype) == (np.float32, np.int32)
    assert abs(images.mean()) < 1e-5
    assert images.std() == pytest.approx(1, abs=1e-5)
    counts = np.bincount(labels, minlength=26)
    assert set(counts) == {3, 4}


def test_the_seed_alone_decides():
    one, same, other = (glyphs.draw(52, 16, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.images, same.images)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert np.abs(one.images - other.images).max() > 1


def test_a_clean_letter_is_nearest_to_one_of_its_kind():
    """Fifteen faces, no distortion: a letter's nearest neighbour has its label."""
    known, asked = (glyphs.draw(26 * 60, 16, seed, CLEAN) for seed in (0, 1))
    gaps = ((asked.images[:200, None] - known.images[None]) ** 2).sum((2, 3, 4))
    assert (known.labels[gaps.argmin(axis=1)] == asked.labels[:200]).mean() > 0.98


def test_ink_lies_where_the_letter_was_moved():
    """An I without noise: its ink is one column in the middle of the image."""
    images, labels = glyphs.draw(26 * 20, 16, 0, CLEAN)
    bars = images[labels == glyphs.LETTERS.index("I"), ..., 0]
    ink = bars - bars.min()
    columns = (ink.sum(axis=1) * (np.arange(16) + 0.5)).sum(axis=1) / ink.sum((1, 2))
    np.testing.assert_allclose(columns, 8, atol=1.0)
    moved = glyphs.draw(26 * 20, 16, 0, CLEAN._replace(shift=0.2)).images
    assert np.abs(moved - images).max() > 1


def test_noise_degrees_and_size_change_the_images():
    plain = glyphs.draw(52, 16, 0, CLEAN).images
    for change in ({"noise": 0.2}, {"degrees": 30.0}, {"size": (0.5, 0.5)}):
        changed = glyphs.draw(52, 16, 0, CLEAN._replace(**change)).images
        assert np.abs(changed - plain).mean() > 0.05, change


def test_faces_differ():
    drawn = [glyphs._letter("A", face, 14, 0, np.zeros(2), 16) for face in glyphs.FACES]
    flat = np.stack(drawn).reshape(len(drawn), -1)
    gaps = np.abs(flat[:, None] - flat[None]).max(axis=2)
    assert (gaps + np.eye(len(drawn)) > 0.1).all()


@pytest.mark.parametrize(
    ("images", "side", "message"),
    [
        (25, 16, "glyphs: images: expected at least 26, got 25"),
        (26, 7, "glyphs: input_size: expected at least 8, got 7"),
    ],
)
def test_too_few_images_or_pixels_are_refused(images, side, message):
    with pytest.raises(ValueError, match=message):
        glyphs.draw(images, side, 0)
