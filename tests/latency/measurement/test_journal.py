import json

import pytest

from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import Protocol, time_groups

FACTS = {"batch": 8, "seed": 0}
QUICK = Protocol(repeats=3, loop_ms=1e-9, spread_s=0.0, passes=1)


def groups(*names, build=lambda name: {name: lambda: None}):
    return {name: lambda name=name: build(name) for name in names}


def test_what_was_measured_is_not_measured_again(tmp_path):
    path, built = tmp_path / "t.rounds", []

    def build(name):
        built.append(name)
        if name == "c" and built.count("c") == 1:
            raise RuntimeError("unplugged")
        return {f"{name}1": lambda: None, f"{name}2": lambda: None}

    with pytest.raises(ValueError) as caught:
        time_groups(groups("a", "b", "c", build=build), Journal(path, FACTS), QUICK)
    assert str(caught.value) == (
        "the device failed after 6 rounds (RuntimeError: unplugged); they are kept in "
        f"{str(path)!r} and the same command goes on from there"
    )
    first = path.read_text()
    times = time_groups(groups("a", "b", "c", build=build), Journal(path, FACTS), QUICK)
    assert built == ["a", "b", "c", "c"]
    assert path.read_text().startswith(first)
    assert {name: len(found) for name, found in times.items()} == dict.fromkeys(
        ("a1", "a2", "b1", "b2", "c1", "c2"), 3
    )
    kept = [json.loads(line) for line in first.splitlines()[1:]]
    assert times["a1"].tolist() == [one["ms"]["a1"] for one in kept[:3]]


def test_a_device_that_fails_within_a_round_loses_that_round_only(tmp_path):
    path, calls = tmp_path / "t.rounds", []

    def fail():
        calls.append(None)
        # warm-up and loop count take 4 calls, a round takes 2
        if len(calls) == 7:
            raise OSError("gone")

    build = {"a": lambda: {"x": fail}}
    with pytest.raises(ValueError, match=r"failed after 1 rounds \(OSError: gone\)"):
        time_groups(build, Journal(path, FACTS), QUICK)
    assert len(Journal(path, FACTS).rounds("a")) == 1
    assert len(time_groups(build, Journal(path, FACTS), QUICK)["x"]) == 3


def test_time_that_is_over_keeps_the_round_that_was_made(tmp_path):
    path = tmp_path / "t.rounds"
    with pytest.raises(ValueError, match=r"--max-seconds 1e-09: .* got 1 rounds; they"):
        time_groups(groups("a"), Journal(path, FACTS, 1e-9), QUICK)
    assert len(Journal(path, FACTS).rounds("a")) == 1


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "t.rounds"
    Journal(path, FACTS).keep("a", {"x": 1.5})
    whole = path.read_text()
    path.write_text(whole + '{"group": "a", "ms": {"x": 1.')
    journal = Journal(path, FACTS)
    assert journal.rounds("a") == [{"x": 1.5}]
    journal.keep("b", {"y": 2.5})
    assert path.read_text() == whole + '{"group": "b", "ms": {"y": 2.5}}\n'


def test_a_first_line_that_was_cut_off_begins_anew(tmp_path):
    path = tmp_path / "t.rounds"
    path.write_text('{"batch": ')
    assert Journal(path, FACTS).rounds("a") == []
    assert json.loads(path.read_text()) == FACTS


def test_rounds_of_another_measurement_are_refused(tmp_path):
    path = tmp_path / "t.rounds"
    Journal(path, FACTS)
    with pytest.raises(ValueError, match=r"was begun with batch = 8, got 1; measure"):
        Journal(path, {"batch": 1, "seed": 0})
    with pytest.raises(ValueError, match=r"was begun with threads = None, got 2; meas"):
        Journal(path, {**FACTS, "threads": 2})


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "t.rounds"
    Journal(path, FACTS).keep("a", {"x": 1.5})
    path.write_text(path.read_text().replace('"group"', "group"))
    with pytest.raises(ValueError, match=r"t.rounds, line 2: expected JSON, .* remove"):
        Journal(path, FACTS)


@pytest.mark.parametrize("ms", ["x", {"x": "1"}, {"x": -1.0}, {"x": float("nan")}])
def test_a_round_that_is_none_is_named(tmp_path, ms):
    path = tmp_path / "t.rounds"
    Journal(path, FACTS).keep("a", ms)
    with pytest.raises(ValueError, match=r"t.rounds, line 2, ms.*: expected .* got"):
        Journal(path, FACTS)


def test_progress_counts_what_is_left(tmp_path):
    path, shown = tmp_path / "t.rounds", []

    def progress(rounds, total, desc):
        shown.append(total)
        return rounds

    journal = Journal(path, FACTS)
    time_groups(groups("a"), journal, QUICK, progress)
    time_groups(groups("a", "b"), journal, QUICK, progress)
    assert shown == [3, 3]
    journal.remove()
    assert not path.exists()
