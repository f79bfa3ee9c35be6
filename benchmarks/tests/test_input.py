"""`benchmarks input`: every figure on small sizes, and what the figures are made of."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import command as bench_command
from benchmarks import input as bench_input
from benchmarks.settings import InputConfig
from nas_jax.config import provenance

SMALL = InputConfig(
    photographs=2, input_size=16, batch=4, cifar_batch=4, rounds=2, quarter_steps=1
)


def test_photographs_have_the_size_of_imagenets_and_differ():
    one, same, other = (bench_input.photograph(seed) for seed in (0, 0, 1))
    assert one == same != other
    with Image.open(io.BytesIO(one)) as picture:
        assert (picture.format, picture.size, picture.mode) == (
            "JPEG",
            (500, 375),
            "RGB",
        )
    assert 60_000 < len(one) < 120_000


def test_ours_is_the_references_picture_resampled_once():
    content = bench_input.photograph(0)
    ours, theirs, decoded = (
        way(content, (224, 224, 3), np.random.default_rng(5)).astype(float)
        for way in (
            bench_input._as_here,
            bench_input._as_reference,
            bench_input._decoded,
        )
    )
    assert np.abs(ours - theirs).mean() < 1
    assert decoded.shape == (375, 500, 3)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    file = tmp_path_factory.mktemp("bench") / "input.json"
    small = [
        *("--photographs", "2", "--input-size", "16", "--batch", "4"),
        *("--cifar-batch", "4", "--rounds", "2", "--quarter-steps", "1"),
    ]
    assert bench_command.main(["input", "--json", str(file), *small]) == 0
    return json.loads(file.read_text())


def test_figures_are_what_the_times_make_of_them(found):
    ms = {name: times["min"] for name, times in found["ms_per_image"].items()}
    assert set(ms) == {"decoder", "reference", "cut", "jitter", "cifar"}
    for name, value in ms.items():
        assert found[f"{name}_images_per_second"] == pytest.approx(1e3 / value)
    whole = ms["cut"] + ms["jitter"] * provenance.cores()
    assert found["input_over_decoder"] == pytest.approx(whole / ms["decoder"])
    assert found["input_over_reference"] == pytest.approx(whole / ms["reference"])
    memory = found["epoch_resident_bytes"]
    assert len(memory) == 4
    assert min(memory) > 50e6  # an interpreter with JAX
    assert found["epoch_memory_growth"] == memory[3] / memory[0]
    assert found["config"] == vars(SMALL)


def test_table_says_which_goals_are_met(found):
    made_up = found | {
        "cifar_images_per_second": 29_999.0,
        "input_over_decoder": 1.1,
        "epoch_memory_growth": None,
    }
    rows = {row[0]: row[1:] for row in bench_input.table(made_up)}
    assert rows["cifar_images_per_second"] == ("29,999", ">= 30,000", "missed")
    assert rows["input_over_decoder"] == ("1.100", "<= 1.1", "met")
    assert rows["epoch_memory_growth"] == ("not known here", "<= 1.05", "")
    assert rows["input_over_reference"][1:] == ("", "")


@pytest.mark.parametrize("name", ["photographs", "batch", "quarter_steps"])
def test_sizes_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected a positive integer, got 0"):
        InputConfig(**{name: 0})
