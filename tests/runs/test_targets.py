"""Target and limits, resolved to costs and checked before anything is compiled."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_jax.config import SearchConfig, SpaceConfig, TreeConfig
from nas_jax.config.search import parse_limit
from nas_jax.latency import tables
from nas_jax.networks import activation_memory, counts, device_memory, flash
from nas_jax.runs import targets
from nas_jax.search import targets as search_targets
from nas_jax.spaces import architecture, builders
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
        "to 14 ms, a ratio of 0.57 to 1; no network takes so much: the target asks "
        "for nothing",
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
        match=r"at once \(latency 8.5 of 8 to 14, latency:7.5:\S+ 7.5 of 7 to",
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


# --- bytes on a device ----------------------------------------------------------------


def test_a_limit_on_flash_is_one_on_a_sum():
    config = SearchConfig(target_ms=11.0, limits=("flash:0.9x", "flash_int8:45KB"))
    aim = resolve(config)
    assert [one.name for one in aim.limits] == ["latency", *config.limits]
    _, float32, int8 = aim.limits
    blocks = [layer.block(SPACE.candidates[1]) for layer in SPACE.layers]
    of_baseline = sum(map(flash.float32_bytes, [*SPACE.fixed_parts, *blocks]))
    assert float32.target == pytest.approx(0.9 * of_baseline)
    assert int8.target == 45_000
    block = SPACE.layers[1].block(SPACE.candidates[0])
    assert int8.costs[1, 0] == flash.int8_bytes(block)
    assert aim.kept is None and aim.within(SPACE) is SPACE


def test_a_limit_on_the_peak_leaves_candidates_out(monkeypatch):
    """At 4x4 pixels `mb3_k3` needs 2 * 24 channels at once in layer 0, and in layer 1,
    where 16 wait to be added, 2 * 48 + 16; `mb6_k3` 2 * 48, and 2 * 96 + 16."""
    monkeypatch.setattr(targets, "FEW", 0)
    peaks = [
        [activation_memory.of_part(layer.block(op)) for op in layer.candidates]
        for layer in SPACE.layers
    ]
    assert peaks == [[768, 1536], [(96 + 16) * 16, (192 + 16) * 16, 256]]
    limit = f"peak_memory_int8:{(96 + 16) * 16}B"
    aim = resolve(SearchConfig(target_ms=11.0, limits=(limit,)))
    np.testing.assert_array_equal(aim.kept, [[True, True, False], [True, False, True]])
    # it is no budget: one cost is left, as without it
    assert aim.values == 11.0 and len(aim.limits) == 1
    assert f"{limit} leaves out 1 of 5 candidates" in aim.warnings[0]
    left = aim.within(SPACE)
    assert [len(one.candidates) for one in left.layers] == [2, 2]
    # four bytes a number are kept by the same candidates as one
    in_float = SearchConfig(target_ms=11.0, limits=(f"peak_memory:{4 * 112 * 16}B",))
    np.testing.assert_array_equal(resolve(in_float).kept, aim.kept)


def test_an_idle_limit_on_the_peak_is_told(monkeypatch):
    monkeypatch.setattr(targets, "FEW", 0)
    aim = resolve(SearchConfig(target_ms=11.0, limits=("peak_memory:1MB",)))
    assert aim.warnings == (
        "search.limits peak_memory:1MB binds nothing: networks of this space take at "
        "most 13,312 bytes",
    )
    assert aim.kept.tolist() == SPACE.mask.tolist()


def test_what_a_peak_leaves_is_the_range_of_the_target():
    """`mb6_k3` of 4 ms is left out of layer 1: 8 to 12 of 14 ms remain."""
    limit = f"peak_memory_int8:{(96 + 16) * 16}B"
    config = SearchConfig(target_ms=13.0, limits=(limit,))
    _, above, *_ = resolve(config).warnings
    assert f"networks of this space within {limit} take 8 ms to 12 ms" in above
    # the hand-designed network is that of the whole space, whatever is left out
    ratio = SearchConfig(target_ratio=0.75, limits=(limit,))
    assert resolve(ratio).target == pytest.approx(10.5)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            "peak_memory:3KB",
            "search.limits peak_memory:3KB (3,000 bytes) is out of reach: networks of "
            "this space take 4,128 bytes or more, a ratio of 0.31; raise the limit",
        ),
        ("peak_memory_int8:0.1x", "peak_memory_int8:0.1x (333 bytes) is out of reach"),
        (
            "flash:1KB",
            "flash:1KB (1,000 bytes) is out of reach: networks of this space",
        ),
        ("flash_int8:0.1x", "is out of reach: networks of this space take "),
    ],
)
def test_bytes_out_of_reach_are_refused_with_the_least(limit, message):
    for read in (resolve, lambda config: targets.check(config, SPACE)):
        with pytest.raises(ValueError) as error:
            read(SearchConfig(target_ms=11.0, limits=(limit,)))
        assert message in str(error.value) and "\n" not in str(error.value)


def test_a_peak_in_tree_cells_is_no_limit():
    tree = builders.tree(
        TreeConfig(
            cells_per_stage=1,
            last_channels=40,
            stem_channels=8,
            input_size=8,
            candidates=("mb6_k3", "sep_k3"),
        )
    )
    config = SearchConfig(target_ms=1.0, limits=("peak_memory:1MB",))
    with pytest.raises(ValueError, match="peak_memory:1MB: expected a chain of blocks"):
        targets.check(config, tree)
    targets.check(SearchConfig(target_ms=1.0, limits=("flash:1.0x",)), tree)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("flash:1MB", 1e6),
        ("flash_int8:250KB", 250e3),
        ("peak_memory:320KiB", 320 * 1024),
        ("peak_memory_int8:1.5MiB", 1.5 * 1024**2),
        ("flash:2000B", 2000),
        ("flash:0.5x", 0.5),
    ],
)
def test_sizes_are_read_with_their_units(text, amount):
    spec = parse_limit(text)
    assert (spec.amount, spec.is_ratio) == (amount, text.endswith("x"))


@pytest.mark.parametrize(
    "text",
    [
        *("flash:1000", "flash:1GB", "flash:1kb", "flash:1Mb", "flash:MB", "flash:"),
        *("flash:0KB", "flash:-1KB", "flash:nanKB", "flash:infMB", "flash:1e999MB"),
        *("peak_memory:320KB:table.json", "peak_memory:0x", "flash", "flash: 1 MB x"),
    ],
)
def test_sizes_that_are_none_are_refused_with_the_units(text):
    name = text.partition(":")[0]
    with pytest.raises(ValueError) as error:
        SearchConfig(target_ms=1.0, limits=(text,))
    assert str(error.value) == (
        f"search.limits: expected {name}:AMOUNT, with AMOUNT above 0 in B, KB, MB, "
        f"KiB, MiB or x, as in {name}:250KB, got {text!r}"
    )


@pytest.mark.parametrize("text", ["flash16:1MB", "memory:1MB", "macs:1MB", "params:1B"])
def test_unknown_costs_and_units_of_others_are_refused_with_the_known(text):
    with pytest.raises(
        ValueError, match=r"COST one of latency, .*flash, .*peak_memory"
    ):
        SearchConfig(target_ms=1.0, limits=(text,))


SIX_LAYERS = builders.mobile(
    SpaceConfig(
        name="six_layers",
        input_size=16,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8, 16),
        cells=(3, 3),
        strides=(1, 2),
        candidates=("mb3_k3", "mb6_k3", "mb3_k7", "mb6_k7", "zero"),
        head_channels=16,
    )
)
"""5^5 * 4 networks."""


def random_table(rng):
    entries = {
        part.key: tables.Entry(float(rng.uniform(1, 5)), *[0.0] * 4, 2)
        for part in tables.required_parts(SIX_LAYERS)
    }
    return tables.LatencyTable(entries, TABLE.provenance)


def measures(rng, table):
    """Log-probability, ms, flash and peak of every network, and their paths."""
    mask, space = SIX_LAYERS.mask, SIX_LAYERS
    probs = np.where(mask, rng.dirichlet(np.ones(5), size=6), 0)
    probs /= probs.sum(axis=1, keepdims=True)
    paths = np.array(list(itertools.product(*map(np.flatnonzero, mask))))
    rows = np.arange(6)

    def of(count):
        table = np.zeros(mask.shape)
        for row, column in np.argwhere(mask):
            table[row, column] = count(
                space.layers[row].block(space.candidates[column])
            )
        return table[rows, paths]

    ms, fixed_ms = tables.costs(table, space, "made up")
    worth = np.log(np.maximum(probs, 1e-45))[rows, paths].sum(axis=1)
    fixed = space.fixed_parts
    weights = of(flash.float32_bytes).sum(axis=1) + sum(map(flash.float32_bytes, fixed))
    alive = of(activation_memory.of_part).max(axis=1)
    peak = 4 * np.maximum(alive, max(map(activation_memory.of_part, fixed)))
    return probs, paths, worth, ms[rows, paths].sum(axis=1) + fixed_ms, weights, peak


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_derivation_within_latency_flash_and_peak_equals_brute_force(seed):
    """Of 12,500 networks; what is derived keeps all limits, counted as a whole."""
    rng = np.random.default_rng(seed)
    table = random_table(rng)
    probs, paths, worth, ms, weights, peak = measures(rng, table)
    assert len(paths) == SIX_LAYERS.architectures == 12_500
    bounds = [float(np.quantile(one, rng.uniform())) for one in (ms, weights, peak)]
    fits = (ms <= bounds[0]) & (weights <= bounds[1]) & (peak <= bounds[2])
    limits = f"flash:{bounds[1]!r}B", f"peak_memory:{bounds[2]!r}B"
    config = SearchConfig(target_ms=bounds[0], limits=limits)
    if not fits.any():
        with pytest.raises(ValueError, match=r"out of reach|expected a network within"):
            targets.resolve(config, SIX_LAYERS, table)
        return
    aim = targets.resolve(config, SIX_LAYERS, table)
    best = search_targets.derive(SIX_LAYERS, probs, aim, max_slack=1.0, count=1)[0]
    place = architecture.path_of(SIX_LAYERS, best.architecture)
    (found,) = np.flatnonzero((paths == place).all(axis=1))
    assert fits[found] and worth[found] == pytest.approx(worth[fits].max())
    assert best.cost.log_prob_gap == 0
    described = device_memory.describe(best.architecture)
    assert described["flash_bytes"] <= bounds[1]
    assert described["peak_memory_bytes"] <= bounds[2]
