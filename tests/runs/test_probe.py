"""Flips and crops are left out where they do harm, and stay where none can be seen."""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image, ImageDraw

from nas_jax.config import (
    DataConfig,
    Experiment,
    SearchConfig,
    SpaceConfig,
    TrainConfig,
    recipes,
)
from nas_jax.runs import probe, setup
from nas_jax.training import loop
from nas_jax.training.progress import Progress

SPACE = SpaceConfig(
    name="probed",
    input_size=16,
    input_channels=1,
    classes=2,
    stem_channels=8,
    stem_stride=2,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(1,),
    strides=(2,),
    candidates=("mb3_k3", "mb6_k3"),
    head_channels=16,
)


def arrow(numbers, is_left):
    """A triangle that points to a side, somewhere, on a dark ground."""
    picture = Image.new("L", (20, 20), int(numbers.integers(0, 60)))
    x, y = (int(place) for place in numbers.integers(2, 8, 2))
    tip, back = (x, x + 9) if is_left else (x + 9, x)
    ink = int(numbers.integers(180, 256))
    ImageDraw.Draw(picture).polygon([(tip, y + 5), (back, y), (back, y + 10)], fill=ink)
    return picture


def ring(numbers, is_round):
    """A disc or a square, which look the same in a mirror."""
    picture = Image.new("L", (20, 20), int(numbers.integers(0, 60)))
    x, y = (int(place) for place in numbers.integers(1, 9, 2))
    drawing, box = ImageDraw.Draw(picture), (x, y, x + 10, y + 10)
    ink = int(numbers.integers(180, 256))
    (drawing.ellipse if is_round else drawing.rectangle)(box, fill=ink)
    return picture


def corner(numbers, is_first):
    """A dot in one of two opposite corners: a crop moves it, a mirror does not mix."""
    picture = Image.new("L", (20, 20), int(numbers.integers(0, 60)))
    up = 2 if is_first else 13
    x, y = int(numbers.integers(1, 14)), up + int(numbers.integers(0, 3))
    box = (x, y, x + 3, y + 3)
    ImageDraw.Draw(picture).ellipse(box, fill=int(numbers.integers(180, 256)))
    return picture


def written(root, drawn, count=150):
    numbers = np.random.default_rng(0)
    for name in ("one", "other"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            drawn(numbers, name == "one").save(root / name / f"{number}.png")
    return root


def experiment(path, **data):
    given = {"flip": True, "crop_area": 1.0, "shift_pixels": 0} | data
    config = DataConfig(
        name="folder",
        path=str(path),
        train_weights=None,
        train_alphas=40,
        valid=100,
        test=20,
        mean=(0.3,),
        std=(0.3,),
        geometry="square",
        **given,
    )
    return Experiment(
        "probed",
        space=SPACE,
        data=config,
        search=SearchConfig(batch=16, arch_batch=16),
        train=TrainConfig(batch=16),
    )


def test_flips_are_left_out_where_left_and_right_are_the_classes(tmp_path):
    given = experiment(written(tmp_path / "arrows", arrow))
    found = probe.augmentation(given, Progress(), steps=100)
    assert found.data == dataclasses.replace(given.data, flip=False)
    (note,) = found.notes
    assert note.startswith("flips do harm here: left out (loss of a small network ")


@pytest.mark.slow
def test_flips_stay_where_they_do_no_harm(tmp_path):
    given = experiment(written(tmp_path / "shapes", ring))
    found = probe.augmentation(given, Progress(), steps=100)
    assert found.data == given.data
    assert found.notes[0].startswith(
        "flips stay: no harm beyond chance (loss of a small network "
    )


@pytest.mark.slow
def test_crops_are_left_out_where_the_place_is_the_class(tmp_path):
    given = experiment(written(tmp_path / "corners", corner), flip=False, crop_area=0.1)
    found = probe.augmentation(given, Progress(), steps=100)
    assert found.data == dataclasses.replace(given.data, crop_area=1.0, shift_pixels=1)
    assert found.notes[0].startswith("crops do harm here: left out")


def test_nothing_to_leave_out_costs_nothing():
    given = experiment("nowhere", flip=False)
    assert probe.augmentation(given, Progress()) == probe.Probed(given.data, ())


@pytest.mark.slow
def test_it_is_a_function_of_the_experiment(tmp_path):
    given = experiment(written(tmp_path / "arrows", arrow, 100))
    assert probe.augmentation(given, Progress(), 20) == probe.augmentation(
        given, Progress(), 20
    )


def test_losses_of_images_have_the_mean_that_is_the_loss(tmp_path):
    given = experiment(written(tmp_path / "arrows", arrow, 100))
    loaded = setup.load(given)
    recipe = dataclasses.replace(loaded.recipe, config=recipes.small_data(1, 16))
    network = probe._small_network(loaded.space)
    state = loop.init(jax.random.key(0), network, recipe)
    model = loop.trained(network, state, recipe.devices)
    valid = loaded.splits["valid"].evaluated()
    each = loop.image_losses(model, valid, 30)
    assert each.shape == (100,)
    assert each.mean() == pytest.approx(loop.loss(model, valid), rel=1e-5)
