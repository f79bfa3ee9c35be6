"""A trained network, called as a user calls it."""

import dataclasses

import numpy as np
import pytest

from nas_jax.config import SpaceConfig
from nas_jax.networks.checkpoint import Model
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.builders import mobile
from nas_jax.spaces.operations import OpSpec
from tests.drawn import drawn


@pytest.fixture(scope="module")
def model() -> Model:
    config = dataclasses.replace(
        SpaceConfig(name="small", input_size=16, input_channels=3, classes=5),
        stage_widths=(16,),
        cells=(1,),
        strides=(2,),
    )
    return drawn(from_ops(mobile(config), [OpSpec.parse("mb3_k3")], "net"))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            "new.jpg",
            "images: expected an array of normalised images, got 'new.jpg'; files of "
            "pictures: nas_jax predict RUN PICTURES",
        ),
        (
            np.zeros((16, 16, 3), np.float32),
            "images: expected shape [batch, 16, 16, 3] (height, width, channels), got "
            "[16, 16, 3]",
        ),
        (
            np.zeros((1, 16, 16, 3), np.uint8),
            "images: expected normalised images, whose values are floats, got uint8; "
            "nas_jax predict reads pictures as training did",
        ),
    ],
)
def test_what_are_no_normalised_images_is_refused(model, images, message):
    with pytest.raises(ValueError) as caught:
        model(images)
    assert str(caught.value) == message


def test_floats_of_the_right_shape_are_taken(model):
    assert model(np.zeros((2, 16, 16, 3), np.float32)).shape == (2, 5)
