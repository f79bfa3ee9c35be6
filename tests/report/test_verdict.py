"""Who won, in a sentence."""

import pytest

from nas_jax.report import verdict
from nas_jax.report.verdict import Known


def known(accuracy, ms=2.0, images=1000):
    return Known(accuracy, images, ms)


@pytest.mark.parametrize(
    ("networks", "line"),
    [
        # 1.96 sqrt((0.9 0.1 + 0.85 0.15) / 1000) = 2.89 points
        (
            {"random_1": known(0.85), "baseline": known(0.99, ms=4.0)},
            "Best of 2 networks no slower: 5.0 ± 2.9 points ahead of random_1.",
        ),
        (
            {"random_1": known(0.85), "scaled": known(0.91, ms=2.09)},
            "No clear winner: 1.0 points behind scaled, the best of 2 that are no "
            "slower, but chance alone makes up to 2.6.",
        ),
        (
            {"random_1": known(0.89)},
            "No clear winner: 1.0 points ahead of random_1, the one that is no slower, "
            "but chance alone makes up to 2.7.",
        ),
        (
            {"random_1": known(0.97)},
            "Not the best: random_1, which is no slower and was not searched for, is "
            "7.0 ± 2.1 points ahead; take that one.",
        ),
        # a better one that the device has no room for is no rival
        (
            {
                "random_1": known(0.85),
                "baseline": Known(0.99, 1000, 2.0, keeps_limits=False),
                "scaled": Known(0.8, 1000, 2.0, keeps_limits=True),
            },
            "Best of 3 networks no slower: 5.0 ± 2.9 points ahead of random_1. Beyond "
            "the limits, so not counted: baseline.",
        ),
        ({"baseline": known(0.99, ms=2.2)}, None),
        ({"random_1": known(None)}, None),
        ({"random_1": Known(0.9, 1000, None)}, None),
        ({}, None),
    ],
)
def test_who_won(networks, line):
    assert verdict.sentence({"searched": known(0.9)} | networks) == line


def test_nothing_is_said_of_a_network_without_images_or_time():
    others = {"random_1": known(0.5)}
    assert verdict.sentence(others) is None
    assert verdict.sentence(others | {"searched": Known(0.9, None, 2.0)}) is None
    assert verdict.sentence(others | {"searched": Known(0.9, 10, None)}) is None


def test_the_numbers_of_a_result_file():
    networks = {
        name: {
            "test_accuracy": accuracy,
            "test_images": 1000,
            "measured_ms": {"median": 2.0},
        }
        for name, accuracy in (("searched", 0.9), ("random_1", 0.85))
    }
    assert "5.0 ± 2.9 points ahead of random_1" in verdict.of_result(networks)
    assert verdict.of_result({"searched": {"params": 3}}) is None
