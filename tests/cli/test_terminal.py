"""What is said of a loop, and of networks side by side."""

import time
from dataclasses import asdict

import numpy as np
import pytest

from nas_jax.cli.terminal import EVERY_S, Terminal, comparison_table, how_timed
from nas_jax.config import LatencyConfig
from nas_jax.training import scores


@pytest.fixture
def clock(monkeypatch):
    """Seconds pass when a step is taken, 20 each."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_loop_without_a_terminal_says_how_far_it_is(clock, capsys):
    watch = Terminal()
    assert EVERY_S == 30
    for step in watch.steps(range(7), total=7, desc="search"):
        clock[0] += 20 if step else 300  # the first one compiles
        watch.note(valid=f"{step}0%")
    assert capsys.readouterr().err.splitlines() == [
        "  search: 2 of 7, valid 10%, about 01:40 left",
        "  search: 4 of 7, valid 30%, about 01:00 left",
        "  search: 6 of 7, valid 50%, about 00:20 left",
    ]


def test_a_short_loop_says_nothing(clock, capsys):
    watch = Terminal()
    assert list(watch.steps(range(3), total=3, desc="search")) == [0, 1, 2]
    watch.note(valid="9%")
    assert capsys.readouterr().err == ""


SIZE = {"params": 1000, "macs": 20000}
TIMES = {"measured_ms": {"median": 0.5, "q25": 0.4, "q75": 0.6}}


def network(hits, counts=(200, 20)):
    """So many right of each class; the others are taken for the other class."""
    labels = np.repeat([0, 1], counts)
    is_right = np.concatenate(
        [np.arange(count) < right for count, right in zip(counts, hits, strict=True)]
    )
    guesses = np.where(is_right, labels, 1 - labels)
    return asdict(scores.of_guesses(guesses, labels, ["cat", "dog"])) | SIZE | TIMES


def test_networks_have_their_balanced_accuracy_where_classes_are_uneven():
    table = comparison_table(
        {"searched": network((190, 10)), "weak": network((200, 0))}
    )
    header, first, second, *rest = table.splitlines()
    assert header.split()[:4] == ["network", "test", "acc.", "balanced"]
    assert first.split()[:3] == ["searched", "90.9%", "72.5%"]
    assert second.split()[:3] == ["weak", "90.9%", "50.0%"]
    assert rest == [
        "the test images are uneven: a constant answer, always 'cat', would get 90.9%",
        "hardly better than a constant answer, which would get 90.9%: weak 90.9%",
    ]


def test_networks_of_even_classes_have_one_accuracy():
    (header, row) = comparison_table({"a": network((9, 9), (10, 10))}).splitlines()
    assert "balanced" not in header and row.split()[:3] == ["a", "90.0%", "1,000"]


def test_older_results_have_no_balanced_accuracy():
    old = {"test_accuracy": 0.9, "test_images": 10} | SIZE | TIMES
    (header, _) = comparison_table({"a": old}).splitlines()
    assert "balanced" not in header
    _, row, *_ = comparison_table({"a": old, "b": network((200, 0))}).splitlines()
    assert row.split()[:3] == ["a", "90.0%", "-"]


def test_a_comparison_says_what_its_numbers_are_of():
    assert how_timed(LatencyConfig(batch=16, threads=2)) == (
        "ms per call of 16 images, 2 thread(s); meas./pred. is of the fastest rounds, "
        "at the table's pace"
    )
