"""Tables fitted to whole networks that are made up, so that the truth is known."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import whole_networks
from nas_jax.latency.measurement.fit import counts_of, fit
from nas_jax.latency.measurement.sampling import split, spread
from nas_jax.latency.measurement.whole_networks import intervals, quality
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path, homogeneous
from nas_jax.spaces.operations import OpSpec

PAPER = builders.imagenet_mobile()
PHONE = tables.load(shipped.folder("latency_tables") / "pixel1_tflite.json")
COSTS, FIXED_MS = tables.costs(PHONE, PAPER)
ROWS = np.arange(len(COSTS))


def scaled(table, factors):
    entries = {
        key: dataclasses.replace(entry, mean_ms=entry.mean_ms * factor)
        for (key, entry), factor in zip(table.entries.items(), factors, strict=True)
    }
    return dataclasses.replace(table, entries=entries)


def paths_of(space, costs, count):
    """Those that `spread` draws, Int `[count L]`."""
    found = spread(np.random.default_rng(0), space, [(costs, FIXED_MS)], count)
    return np.array([path for _, path in found])


@pytest.fixture(scope="module")
def drawn():
    return whole_networks.draw(PHONE, PAPER, 180, seed=0)


def test_networks_are_spread_from_the_smallest_to_the_largest():
    paths = paths_of(PAPER, COSTS, 60)
    latencies = FIXED_MS + COSTS[ROWS, paths].sum(axis=1)
    assert paths.shape == (60, 21) and len({tuple(path) for path in paths}) == 60
    assert latencies[0] == pytest.approx(29.608776, abs=1e-5)
    assert latencies[-1] == pytest.approx(191.029871, abs=1e-5)
    assert latencies.std() / latencies.mean() > 0.3
    # no stretch without a network
    assert np.diff(np.sort(latencies)).max() < 0.1 * np.ptp(latencies)
    for path in paths:
        PAPER.check_path(path)


def test_space_with_too_few_networks_is_refused():
    small = dataclasses.replace(PAPER, layers=PAPER.layers[:1])
    with pytest.raises(ValueError, match="expected 2 to 6 networks to draw, got 7"):
        paths_of(small, COSTS[:1], 7)
    assert len(paths_of(small, COSTS[:1], 6)) == 6


def test_networks_of_several_shapes_are_spread_over_all_of_them():
    shapes = SimpleNamespace(
        name="two", shapes=(PAPER, PAPER), architectures=2 * PAPER.architectures
    )
    costs = [(COSTS, 0.0), (10 * COSTS, 5.0)]
    drawn = spread(np.random.default_rng(0), shapes, costs, 30)
    sums = [costs[k][1] + costs[k][0][ROWS, path].sum() for k, path in drawn]
    least = np.where(PAPER.mask, COSTS, np.inf).min(axis=1).sum()
    most = np.where(PAPER.mask, COSTS, -np.inf).max(axis=1).sum()
    # the first is the cheapest of the first shape, the last the dearest of the second
    assert (drawn[0][0], drawn[-1][0]) == (0, 1)
    assert sums[0] == pytest.approx(least) and sums[-1] == pytest.approx(5 + 10 * most)
    assert {shape for shape, _ in drawn} == {0, 1}
    for (shape, _), ms in zip(drawn, sums, strict=True):
        if ms > 1.1 * most:
            assert shape == 1


def test_pace_of_the_session_is_divided_out_of_a_validation(drawn):
    """All took 1.1 of the table in a session that was slower by 1.1."""
    measured = np.array([1.1 * tables.predict_ms(PHONE, one) for one in drawn[:20]])
    table = dataclasses.replace(PHONE, reference=tables.Reference({}, 2.0))
    beside = np.array([2.2, 2.2])
    chosen, record = whole_networks.validate(table, drawn[:20], measured, 20, 0, beside)
    assert record["pace"]["factor"] == pytest.approx(1.1)
    assert chosen.validation["log_ratio"] == pytest.approx(0, abs=1e-12)
    assert chosen.validation["log_ratio_sd"] == pytest.approx(0, abs=1e-12)
    # what all parts share moved by log 1.1
    assert chosen.validation["common_sd"] == pytest.approx(np.log(1.1))
    alone, _ = whole_networks.validate(PHONE, drawn[:20], measured, 20, seed=0)
    assert alone.validation["log_ratio"] == pytest.approx(np.log(1.1))
    assert "common_sd" not in alone.validation


@given(st.integers(2, 300), st.data())
def test_split_holds_out_evenly_with_both_ends(count, data):
    held = data.draw(st.integers(2, count))
    out = split(count, held)
    assert out.sum() == held and out[0] and out[-1]
    gaps = np.diff(np.flatnonzero(out))
    assert gaps.max() - gaps.min() <= 1


def test_quality_by_hand():
    predicted = np.array([10.4, 19.0, 33.0, 38.0])
    found = quality(predicted, np.array([10.0, 20.0, 30.0, 40.0]))
    # errors 0.4, -1, 3, -2: shares 4 %, 5 %, 10 %, 5 %
    assert found["within_5_percent"] == 0.75 and found["within_10_percent"] == 1.0
    assert found["rmse_ms"] == pytest.approx(np.sqrt((0.16 + 1 + 9 + 4) / 4))
    assert found["bias_ms"] == pytest.approx(0.1)
    assert found["mape"] == pytest.approx(0.06)
    assert (found["kendall_tau"], found["networks"]) == (1.0, 4)
    logs = np.log([10 / 10.4, 20 / 19, 30 / 33, 40 / 38])
    assert found["log_ratio"] == pytest.approx(logs.mean())
    assert found["log_ratio_sd"] == pytest.approx(logs.std(ddof=1))
    assert (found["mean_ms"], found["std_ms"]) == (25.0, pytest.approx(np.sqrt(125)))
    # one of six pairs the wrong way round
    swapped = quality(predicted[[0, 2, 1, 3]], np.array([10.0, 20.0, 30.0, 40.0]))
    assert swapped["kendall_tau"] == pytest.approx(4 / 6)


def test_what_a_common_factor_and_offset_explain_is_no_additivity_residual():
    measured = np.array([10.0, 20.0, 30.0])
    assert quality(2 * measured + 5, measured)["additivity_residual"] < 1e-12
    constant = quality(np.full(3, 7.0), measured)
    assert constant["kendall_tau"] is None
    assert constant["additivity_residual"] == pytest.approx(np.sqrt(200 / 3) / 20)


def test_intervals_surround_the_value_and_narrow_with_networks():
    rng = np.random.default_rng(0)
    measured = rng.uniform(10, 20, 400)
    predicted = measured + rng.normal(0, 1, 400)
    few = intervals(predicted[:40], measured[:40], rng)["rmse_ms"]
    many = intervals(predicted, measured, rng)["rmse_ms"]
    assert few[0] < 1 < few[1] and many[0] < 1 < many[1]
    assert many[1] - many[0] < 0.6 * (few[1] - few[0])


def test_counts_are_how_often_a_part_stands_in_a_network():
    network = homogeneous(PAPER, OpSpec.parse("mb3_k3"))
    keys = ["mb3_k3 14x14x96->14x14x96 s1 skip", PAPER.head.key, "elsewhere"]
    assert counts_of([network], keys).tolist() == [[3, 1, 0]]


def test_fit_of_exact_benchmarks_is_exact(drawn):
    measured = np.array([tables.predict_ms(PHONE, one) for one in drawn])
    found = fit(PHONE, drawn, measured, np.random.default_rng(0))
    for key, entry in found.entries.items():
        assert entry.mean_ms == pytest.approx(PHONE.entries[key].mean_ms, rel=1e-9)
    assert found.provenance["method"] == "networks"


def test_fit_finds_what_parts_cost_in_company(drawn):
    rng = np.random.default_rng(1)
    truth = scaled(PHONE, 1.3 * rng.uniform(0.7, 1.4, len(PHONE.entries)))
    measured = np.array([tables.predict_ms(truth, one) for one in drawn])
    measured *= 1 + 0.005 * rng.normal(size=len(measured))
    chosen, record = whole_networks.validate(PHONE, drawn, measured, 60, seed=2)
    models = record["models"]
    assert models["networks"]["within_5_percent"] == 1.0
    assert models["networks"]["kendall_tau"] > 0.97
    assert models["networks"]["rmse_ms"] < 0.2 * models["operations"]["rmse_ms"]
    assert models["networks"]["rmse_ms"] < 0.5 * models["macs"]["rmse_ms"]
    assert models["macs"]["rmse_ms"] < models["mean"]["rmse_ms"]
    assert models["mean"]["kendall_tau"] is None
    assert chosen.validation == models["networks"]
    assert sum(one["held_out"] for one in record["networks"]) == 60
    # an entry that many networks have is nearer to the truth than its benchmark
    key = "mb6_k7 14x14x96->14x14x96 s1 skip"
    off = abs(chosen.entries[key].mean_ms / truth.entries[key].mean_ms - 1)
    assert off < 0.05 < abs(PHONE.entries[key].mean_ms / truth.entries[key].mean_ms - 1)
    assert len(whole_networks.plot(record).axes) == 4
    assert len(whole_networks.table_of(record)) == 5


def test_parts_in_no_network_follow_the_common_factor(drawn):
    kept = drawn[::6]
    measured = np.array([2 * tables.predict_ms(PHONE, one) for one in kept])
    found = fit(PHONE, kept, measured, np.random.default_rng(0))
    # the first block's other kernels are in the table and in no network
    key = "mb1_k7 112x112x32->112x112x16 s1"
    assert found.entries[key].mean_ms == pytest.approx(2 * 10.878417, rel=1e-6)
    assert found.entries[key].count == PHONE.entries[key].count
    assert found.provenance["parts_in_no_network"] >= 2


def test_benchmarks_alone_are_validated_without_a_fit(drawn):
    measured = np.array([1.1 * tables.predict_ms(PHONE, one) for one in drawn[:20]])
    chosen, record = whole_networks.validate(PHONE, drawn[:20], measured, 20, seed=0)
    assert list(record["models"]) == ["operations"]
    assert chosen.entries == PHONE.entries
    assert chosen.validation["mape"] == pytest.approx(1 - 1 / 1.1)


def test_a_fit_keeps_the_reference(drawn):
    measured = np.array([tables.predict_ms(PHONE, one) for one in drawn])
    then = tables.Reference({}, 2.0)
    table = dataclasses.replace(PHONE, reference=then)
    assert fit(table, drawn, measured, np.random.default_rng(0)).reference == then


def test_fit_refuses_too_few_networks_and_impossible_times(drawn):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="expected 10 networks or more, got 9; raise"):
        fit(PHONE, drawn[:9], np.ones(9), rng)
    slow = dataclasses.replace(PHONE, fixed_ms=2.0)
    with pytest.raises(ValueError, match="networks above fixed_ms = 2 ms, got 1 ms"):
        fit(slow, drawn[:20], np.ones(20), rng)


def test_entries_stay_above_zero_whatever_is_measured():
    paths = paths_of(PAPER, COSTS, 40)
    ones = [from_path(PAPER, path, "one") for path in paths]
    noise = np.random.default_rng(3).uniform(1, 300, len(ones))
    found = fit(PHONE, ones, noise, np.random.default_rng(0))
    assert min(entry.mean_ms for entry in found.entries.values()) > 0
