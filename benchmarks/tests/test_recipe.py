"""The recipe's bench on images of its own making."""

import gzip
import struct

import numpy as np
import pytest

from benchmarks import recipe
from benchmarks.settings import RecipeConfig, Setting
from nas_jax.config import recipes


def write(folder, part, count):
    """Files like Fashion-MNIST's; the class is the brightness."""
    labels = np.arange(count, dtype=np.uint8) % 10
    images = np.repeat(25 * labels, 28 * 28).astype(np.uint8)
    heads = struct.pack(">4i", 2051, count, 28, 28), struct.pack(">2i", 2049, count)
    names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
    for name, head, values in zip(names, heads, (images, labels), strict=True):
        (folder / name).write_bytes(gzip.compress(head + values.tobytes()))


def test_both_sides_train_and_are_compared_by_seed(tmp_path):
    pytest.importorskip("torch")
    write(tmp_path, "train", 40)
    write(tmp_path, "t10k", 20)
    config = RecipeConfig(
        folder=str(tmp_path), images=20, tuning_images=10, epochs=1, batch=10, seeds=2
    )
    found = recipe.run(config)
    assert [one["lr"] for one in found["tuning"]] == [0.1, 0.3, 4e-3, 1e-2]
    assert {len(values) for values in found["test"].values()} == {2}
    assert len(recipe.table(found)) == 1 + 4 + 2


def test_settings_are_every_rate_with_every_shift():
    config = RecipeConfig(sgd_rates=(0.1,), adamw_rates=(0.01,), shifts=(2, 4))
    assert config.settings() == [
        Setting("sgd", 0.1, shift_pixels=2),
        Setting("adamw", 0.01, shift_pixels=2),
        Setting("sgd", 0.1, shift_pixels=4),
        Setting("adamw", 0.01, shift_pixels=4),
    ]


def test_interval_is_students():
    """Gaps 0.1, 0.2, 0.3: sd 0.1, t of two degrees 4.303."""
    found = recipe.interval([0.5, 0.6, 0.7], [0.4, 0.4, 0.4])
    assert found["mean"] == pytest.approx(0.2)
    assert found["half_width"] == pytest.approx(4.30265 * 0.1 / 3**0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("gap", "noise", "verdict"),
    [
        (-0.0031, 0.0, "missed"),
        (-0.0029, 0.0, "met"),
        (0.01, 0.001, "met"),
        (0.0, 0.01, "open"),
        (-0.01, 0.01, "open"),
    ],
)
def test_table_says_whether_the_goal_is_met(gap, noise, verdict):
    peer = [0.8, 0.81, 0.79]
    shaken = zip(peer, (noise, -noise, 0.0), strict=True)
    ours = [one + gap + more for one, more in shaken]
    result = {
        "tuning": [],
        "test": {"peer": peer, "ours": ours},
        "over_peer": recipe.interval(ours, peer),
        "goal": recipe.GOAL,
    }
    assert recipe.table(result)[-1][-1] == verdict


def test_missing_files_are_named(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"expected .*idx"):
        recipe.run(RecipeConfig(folder=str(tmp_path)))


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 1},
        {"batch": 8000},
        {"epochs": 0},
        {"sgd_rates": (), "adamw_rates": ()},
    ],
)
def test_sizes_that_are_none_are_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        RecipeConfig(**changes)


@pytest.mark.parametrize("epochs", [1, 8, 300])
def test_small_data_warms_up_for_a_tenth_of_any_time(epochs):
    found = recipes.small_data(epochs, 64)
    assert (found.warmup_epochs, found.ema_epochs) == (epochs / 10, epochs / 20)


@pytest.mark.parametrize("batch", [16, 64, 256])
def test_rate_of_small_data_is_in_proportion_to_the_batch(batch):
    assert recipes.small_data(5, batch).lr == pytest.approx(0.3 * batch / 64)
