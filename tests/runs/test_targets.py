"""Target and limits, resolved to costs and checked before anything is compiled."""

import numpy as np
import pytest

from nas_jax.config import SearchConfig, SpaceConfig
from nas_jax.latency import tables
from nas_jax.networks import counts
from nas_jax.runs import targets
from nas_jax.spaces import builders
from nas_jax.spaces.operations import Block

SPACE = builders.mobile(
    SpaceConfig(
        name="toy",
        input_size=8,
        stem_channels=8,
        first_block_channels=None,
        stage_widths=(16,),
        cells=(2,),
        strides=(1,),
        candidates=("mb3_k3", "mb6_k3", "zero"),
        head_channels=32,
    )
)


def made_up(other_ms, expansion_6_ms):
    """A table in which only the blocks `mb6_k3` take another time."""
    entries = {}
    for part in tables.required_parts(SPACE):
        is_larger = isinstance(part, Block) and part.op.expansion == 6
        time_ms = expansion_6_ms if is_larger else other_ms
        entries[part.key] = tables.Entry(time_ms, *[0.0] * 4, 2)
    # a batch at which milliseconds are no impossible speed for parts so small
    kinds = {str: "made up", int: 100}
    provenance = {key: kinds[kind] for key, kind in tables.PROVENANCE.items()}
    provenance["method"] = "operations"
    return tables.LatencyTable(entries, provenance)


TABLE = made_up(2.0, 4.0)
FIXED = 6.0  # stem, head, classifier


def resolve(config, table=TABLE):
    return targets.resolve(config, SPACE, table, origin="the table")


def test_target_comes_first_and_limits_are_shares_of_the_hand_designed_network():
    config = SearchConfig(target_ms=11.0, limits=("macs:0.75x", "params:100000"))
    aim = resolve(config)
    found = aim.limits
    assert [limit.name for limit in found] == ["latency", *config.limits]
    baseline = [layer.block(SPACE.candidates[1]) for layer in SPACE.layers]
    macs = sum(map(counts.macs, [*SPACE.fixed_parts, *baseline]))
    assert [limit.target for limit in found] == pytest.approx(
        [11.0, 0.75 * macs, 100_000]
    )
    np.testing.assert_array_equal(found[0].costs, [[2, 4, 0], [2, 4, 0]])
    assert found[0].fixed == FIXED
    assert aim.costs.costs.shape == (3, 2, 3)
    np.testing.assert_allclose(aim.values, [11.0, 0.75 * macs, 100_000])


def test_a_target_that_leaves_little_choice_is_told():
    """Two layers of 2, 4 and, the second, 0 ms: 8 to 14 ms, in all 6 networks."""
    aim = resolve(SearchConfig(target_ms=12.0))
    assert aim.warnings == (
        "few networks to choose among: of 6 networks 5 keep the target, 2 spend 98% of "
        "it or more; another target, or a space of more layers or candidates, leaves a "
        "search more to find",
    )


def test_a_target_that_leaves_a_choice_is_not(monkeypatch):
    monkeypatch.setattr(targets, "FEW", 2)
    assert resolve(SearchConfig(target_ms=12.0)).warnings == ()


def test_a_target_that_the_limits_forbid_to_spend_is_told(tmp_path, monkeypatch):
    """Two `mb3_k3` take 10 ms here and 5 there, with one `mb6_k3` 12 here, 7 there."""
    monkeypatch.setattr(targets, "FEW", 0)
    tables.save(made_up(1.0, 3.0), tmp_path / "other.json")
    text = f"latency:5.5:{tmp_path / 'other.json'}"
    aim = resolve(SearchConfig(target_ms=12.0, limits=(text,)))
    assert aim.warnings == (
        f"search.limits: at most 0.833 of the target can be spent within {text} "
        "(10 ms); it is kept, not spent; raise a limit, or lower the target",
    )
    # what limits leave to be spent is not told
    assert resolve(SearchConfig(target_ms=10.0, limits=(text,))).warnings == ()


def test_a_target_above_the_maximum_and_an_idle_limit_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "FEW", 0)
    aim = resolve(SearchConfig(target_ms=15.0, limits=("params:100000",)))
    most = sum(map(counts.params, SPACE.fixed_parts)) + sum(
        counts.params(layer.block(SPACE.candidates[1])) for layer in SPACE.layers
    )
    assert aim.warnings == (
        "search.target_ms = 15 is above the maximum: networks of this space take 8 ms "
        "to 14 ms, a ratio of 0.57 to 1; it binds nothing, every network keeps it and "
        "none spends it",
        "search.limits params:100000 binds nothing: networks within all else take at "
        f"most {most:,} parameters",
    )


def test_one_target_stays_a_single_cost():
    aim = resolve(SearchConfig(target_ratio=0.75))
    assert aim.costs.costs.shape == (2, 3)
    assert aim.values == aim.target == pytest.approx(10.5)


def test_limit_by_the_table_of_another_device(tmp_path):
    tables.save(made_up(20.0, 40.0), tmp_path / "slow.json")
    text = f"latency:120:{tmp_path / 'slow.json'}"
    first, slow = resolve(SearchConfig(target_ms=11.0, limits=(text,))).limits
    np.testing.assert_allclose(slow.costs, 10 * first.costs)
    assert (slow.fixed, slow.target) == (60.0, 120.0)


def test_limit_out_of_reach_is_refused_with_the_least():
    # layer 0 changes the width and offers no `zero`: 6 + 2 of 14 ms
    config = SearchConfig(cost="params", target_ratio=1.0, limits=("latency:0.5x",))
    with pytest.raises(
        ValueError, match=r"latency:0.5x \(7\) is out of reach.*take 8 or more.*0.57"
    ):
        resolve(config)


def test_limits_that_no_network_keeps_together_are_refused(tmp_path):
    """`mb3_k3 zero` takes 8 ms here and 8 there, `mb6_k3 zero` 10 here and 7 there."""
    tables.save(made_up(2.0, 1.0), tmp_path / "turned.json")
    text = f"latency:7.5:{tmp_path / 'turned.json'}"
    with pytest.raises(
        ValueError,
        match=r"within all limits at once \(latency 8.5 of 8 to 14, latency:7.5:\S+ 7.5 of",
    ):
        resolve(SearchConfig(target_ms=8.5, limits=(text,)))
    resolve(SearchConfig(target_ms=10.0, limits=(text,)))


def test_without_a_table_only_latencies_by_it_stay_unchecked(tmp_path):
    tables.save(TABLE, tmp_path / "stored.json")
    by_name = f"latency:7:{tmp_path / 'stored.json'}"
    targets.check(
        SearchConfig(target_ms=1.0, limits=("latency:0.1x", "macs:1.0x")), SPACE
    )
    for config, message in (
        (SearchConfig(target_ms=1.0, limits=("macs:0.01x",)), r"macs:0.01x \("),
        (SearchConfig(target_ms=1.0, limits=(by_name,)), "is out of reach.*8 or more"),
        (SearchConfig(cost="macs", target_ratio=0.01), "target_ratio = 0.01 .* out of"),
        (SearchConfig(), "no target: expected search.target_ms or"),
    ):
        with pytest.raises(ValueError, match=message):
            targets.check(config, SPACE)


def test_target_in_ms_without_a_table_is_refused():
    with pytest.raises(ValueError, match="the table: expected a latency table, got"):
        resolve(SearchConfig(target_ms=11.0), table=None)
