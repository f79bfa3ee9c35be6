"""What is said of a loop: a bar on a terminal, lines elsewhere."""

import time

import pytest

from nas_jax.cli.terminal import EVERY_S, Terminal


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
        clock[0] += 20
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
