"""Fashion-MNIST: the part that comes with the package, and the whole set."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas_jax.config.data import DataConfig
from nas_jax.data import fashion_mnist, idx, splits
from tests.data import idx_files

ROOT = Path(__file__).resolve().parents[2]
WHOLE = Path("/usr/share/datasets/fashion-mnist")
MOST_BYTES = 5_000_000
CONFIG = DataConfig(
    name="fashion_mnist",
    train_weights=None,
    train_alphas=1500,
    valid=1000,
    test=None,
    mean=(0.286,),
    std=(0.352,),
)


@pytest.fixture(scope="module")
def part():
    return fashion_mnist.load(CONFIG)


def test_part_has_equally_many_of_every_class(part):
    assert part.train.images.shape == (7500, 28, 28, 1)
    assert part.test.images.shape == (2500, 28, 28, 1)
    assert np.bincount(part.train.labels).tolist() == [750] * 10
    assert np.bincount(part.test.labels).tolist() == [250] * 10
    assert part.train.label_names[::9] == ("T-shirt/top", "Ankle boot")
    assert len(part.notes) == 1


def test_part_is_of_pictures_that_differ(part):
    every = np.concatenate([part.train.images, part.test.images])
    assert len(np.unique(every.reshape(len(every), -1), axis=0)) == len(every)
    # trousers are narrower than bags, as in the whole set
    widths = (part.train.images[..., 0] > 0).any(axis=1).sum(axis=1)
    assert widths[part.train.labels == 1].mean() < widths[part.train.labels == 8].mean()


def test_part_is_small_and_has_its_licence_and_origin():
    files = {path.name: path for path in fashion_mnist.PART.iterdir()}
    assert sum(path.stat().st_size for path in files.values()) <= MOST_BYTES
    assert "Zalando" in files["LICENCE"].read_text()
    assert "Permission is hereby granted" in files["LICENCE"].read_text()
    assert "fashion_mnist_part.py" in files["ORIGIN.md"].read_text()
    # no time and no name: the same bytes whenever it is made
    packed = [path.read_bytes() for path in files.values() if path.suffix == ".gz"]
    assert [content[3:8] for content in packed] == [bytes(5)] * 4


def test_splits_are_drawn_as_of_any_set(part):
    found = splits.load(CONFIG, (28, 28, 1), 10, 0)
    sizes = {name: len(split.labels) for name, split in found.splits.items()}
    assert list(sizes.values()) == [5000, 1500, 1000, 2500]
    assert found.label_names == part.train.label_names


def test_whole_set_has_its_names_from_the_package(tmp_path):
    idx_files.write_set(tmp_path)
    data = fashion_mnist.load(DataConfig(name="fashion_mnist", path=str(tmp_path)))
    assert (len(data.train), data.train.label_names[9]) == (40, "Ankle boot")
    idx_files.write(tmp_path / "train-labels-idx1-ubyte.gz", idx_files.labels(40, 11))
    with pytest.raises(ValueError, match=r"3, 4 and 5 more of labels\.txt, got 10 of"):
        fashion_mnist.load(DataConfig(name="fashion_mnist", path=str(tmp_path)))


def made(whole, out):
    """What the maker script makes of a whole set."""
    spec = importlib.util.spec_from_file_location(
        "part", ROOT / "tools" / "fashion_mnist_part.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(whole, out)
    return {path.name: idx.read(path) for path in sorted(out.iterdir())}


def test_maker_draws_the_same_images_of_every_class_each_time(tmp_path):
    for split, count in (("train", 800), ("t10k", 300)):
        pair = idx_files.images(2 * count, (2, 2)), idx_files.labels(2 * count, 2)
        for kind, values in zip(("images", "labels"), pair, strict=True):
            name = f"{split}-{kind}-idx{values.ndim}-ubyte.gz"
            idx_files.write(tmp_path / "whole" / name, values)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = made(tmp_path / "whole", tmp_path / name)
        assert [len(one) for one in found.values()] == [500, 500, 1500, 1500]
        assert np.bincount(found["train-labels-idx1-ubyte.gz"]).tolist() == [750, 750]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_part_is_what_the_maker_makes_of_the_whole_set(tmp_path):
    for name, values in made(WHOLE, tmp_path).items():
        np.testing.assert_array_equal(idx.read(fashion_mnist.PART / name), values)


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_whole_set_is_that_of_its_paper():
    data = fashion_mnist.load(DataConfig(name="fashion_mnist", path=str(WHOLE)))
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    light = data.train.images / 255
    assert (round(light.mean(), 3), round(light.std(), 3)) == (0.286, 0.353)


def test_example_pictures_are_a_folder_of_a_folder_per_class(part, tmp_path):
    names = fashion_mnist.write_pictures(tmp_path / "pictures", 30)
    assert len(names) == 10 and "T-shirt or top" in names and "Bag" in names
    written = sorted((tmp_path / "pictures").glob("*/*.png"))
    assert sorted(int(one.stem) for one in written) == [*range(30)]
    for one in written:
        place = int(one.stem)
        name = part.train.label_names[part.train.labels[place]]
        assert one.parent.name == name.replace("/", " or ")
        with Image.open(one) as picture:
            assert (np.asarray(picture) == part.train.images[place, ..., 0]).all()
    for count in (0, 7501):
        with pytest.raises(ValueError, match=f"expected 1 to 7500, got {count}"):
            fashion_mnist.write_pictures(tmp_path / "more", count)
