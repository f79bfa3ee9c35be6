"""The pace of a machine, by a network that is timed in two sessions."""

import dataclasses
import json
import math

import numpy as np
import pytest

from nas_jax.config import LatencyConfig
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations, reference, timing, whole_networks
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.measurement.timing import Device
from nas_jax.spaces import architecture, architecture_json, builders
from tests import small_run

SPACE = builders.mobile(small_run.EXPERIMENT.space)
CONFIG = LatencyConfig(batch=4, repeats=3, loop_ms=0.1)
BASE = architecture.hand_designed(SPACE)
HERE = {"device": "a board", "runtime": "made up", "threads": 1, "batch": 4}


def device(network=None):
    return Device(
        name="a board",
        runtime="made up",
        version="1",
        config=CONFIG,
        part=lambda part: lambda: None,
        network=network or (lambda network: lambda: None),
        copy=lambda shape: lambda: None,
    )


def table(measured_ms=2.0, one=BASE, **provenance):
    document = json.loads(architecture_json.to_json(one))
    then = tables.Reference(document, measured_ms)
    return tables.LatencyTable({}, HERE | provenance, reference=then)


def test_reference_is_the_hand_designed_network_or_that_of_first_candidates():
    assert reference.of(SPACE) == BASE
    config = dataclasses.replace(small_run.EXPERIMENT.space, candidates=("mb3_k3",))
    without = builders.mobile(config)
    assert [block.op.name for block in reference.of(without).blocks] == ["mb3_k3"] * 2


def test_pace_by_hand():
    pace = reference.pace(table(2.0), np.array([2.0, 2.4]))
    assert pace.factor == pytest.approx(1.1)
    # logs that differ by log 1.2: sd log 1.2 / sqrt 2, of their mean that over sqrt 2
    assert pace.sd == pytest.approx(math.log(1.2) / 2)
    assert (pace.reference_ms, pace.table_ms) == (pytest.approx(2.2), 2.0)
    assert reference.pace(table(2.0), np.array([2.0])).sd == 0.0


def test_common_deviation_by_hand():
    found = reference.common_sd(table(2.0), np.array([2.0 * math.e, 2.0]))
    assert found == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("times", [[], [math.nan, 1.0], [math.inf], [0.0], [-1.0]])
def test_times_that_are_none_give_no_pace(times):
    with pytest.raises(ValueError, match=r"expected times .* above 0, got .*; measure"):
        reference.pace(table(), np.array(times))


def test_a_table_without_a_reference_gives_no_pace():
    without = dataclasses.replace(table(), reference=None)
    with pytest.raises(ValueError, match="expected a table with a reference network"):
        reference.pace(without, np.ones(4))
    assert reference.why_none(without, device()) == (
        "the table has no reference network, as those of older versions"
    )


def test_a_pace_is_of_the_same_machine_in_the_same_conditions():
    assert reference.why_none(table(), device()) is None
    assert reference.why_none(table(batch=8), device()) == (
        "the table is of batch 8, networks are timed with 4"
    )
    assert "device a phone" in reference.why_none(table(device="a phone"), device())
    other = architecture.from_path(SPACE, [0, 0], "other")
    assert "is another than" in reference.why_none(table(), device(), other)


def test_a_reference_that_cannot_be_built_is_told():
    broken = dataclasses.replace(table(), reference=tables.Reference({"name": "x"}, 1))
    why = reference.why_none(broken, device())
    assert why.startswith("the table's reference network cannot be built (")


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1.16, "this machine is 16 % slower than when the table was measured"),
        (0.9, "this machine is 10 % faster than when the table was measured"),
        (1.004, "this machine is as fast as when the table was measured"),
    ],
)
def test_pace_in_words(factor, text):
    pace = reference.Pace(factor, 0.01, 2.0 * factor, 2.0)
    assert reference.line(pace).startswith(text)
    assert "(reference network: 2 ms then, " in reference.line(pace)


@pytest.fixture
def made_up_times(monkeypatch):
    """Calls that take what they say; every round is alike."""

    protocols = []

    def rounds(calls, protocol):
        protocols.append(protocol)
        for _ in range(protocol.repeats):
            yield {name: call.ms for name, call in calls.items()}

    monkeypatch.setattr(timing, "rounds", rounds)
    return protocols


class Call:
    def __init__(self, ms):
        self.ms = ms


def test_reference_is_timed_among_the_parts_of_a_table(made_up_times, tmp_path):
    took = iter([1.0, 2.0, 3.0, 6.0])
    made_up = dataclasses.replace(
        device(lambda network: Call(next(took))),
        part=lambda part: Call(5.0),
        copy=lambda shape: Call(0.1),
    )
    found = operations.measure_table(made_up, SPACE)
    assert found.reference.measured_ms == 3.0
    assert found.reference.network == BASE
    tables.save(found, tmp_path / "table.json")
    assert tables.load(tmp_path / "table.json") == found


def test_networks_are_timed_beside_the_reference(made_up_times):
    """20 networks make two groups: two buildings of the reference in each."""
    protocols = made_up_times
    made_up = device(lambda one: Call(7.0 if one == BASE else 5.0))
    networks = [
        dataclasses.replace(architecture.from_path(SPACE, [0, 0], "one"), name=f"n{k}")
        for k in range(20)
    ]
    journal = Journal(None, {})
    times, beside = whole_networks.measure_beside(made_up, networks, BASE, journal)
    assert times.tolist() == [5.0] * 20 and beside.tolist() == [7.0] * 4
    for group in range(2):
        names = set(journal.rounds(f"networks {group}")[0])
        assert {f"reference {group}", f"reference {group + 2}"} <= names
    protocols.clear()
    whole_networks.measure_beside(made_up, networks, BASE, Journal(None, {}), None, 6.0)
    # as a table's
    assert protocols == [timing.Protocol(3, 0.1, 6.0)] * 2
    alone = whole_networks.measure(made_up, networks, Journal(None, {}))
    assert alone.tolist() == [5.0] * 20
