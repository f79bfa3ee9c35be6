"""Leave one family out: nothing leaks, and the naive rules are what they say."""

import copy

import pytest

from benchmarks.guidelines import filing
from nas_jax.guidelines import judgement, kinds, records, store
from tests.documents import ROOT
from tests.guidelines.made_up_records import PARAMS, PER_CLASS, law, record


def test_on_a_law_the_advice_hits_and_saves():
    result = judgement.judge(kinds.grouped(law()))
    assert (result["tasks"], result["families"], result["not_answered"]) == (16, 4, 0)
    assert result["hit_rate"] == 1
    assert result["median_saving"] > 0.5
    rows = result["rows"]
    assert all(row["accuracy"] >= row["largest_accuracy"] - 0.01 for row in rows)
    assert result["coverage"] == sum(row["inside"] for row in rows) / 16


def test_naive_rules_by_hand():
    rules = judgement.judge(kinds.grouped(law()))["rules"]
    by_name = {rule["rule"]: rule for rule in rules}
    assert by_name["always the largest"]["hit_rate"] == 1
    assert by_name["always the largest"]["median_saving"] == 0
    # rung 3 of 0 to 6: enough for the tasks that need rungs 1, 2 and 3
    assert by_name["always the median size"]["hit_rate"] == 0.75
    best = by_name["the smallest that does, known afterwards"]
    assert best["hit_rate"] == 1
    hits = [rule["hit_rate"] for rule in rules if rule is not best]
    assert hits == [0, 0.25, 0.5, 0.75, 1, 1, 1]


def test_the_best_choice_by_hand():
    """All tasks need rung 1 of 0 to 6, of which PARAMS are the sizes."""
    found = [one for one in law() if one["task"]["name"].endswith("_0")]
    rules = judgement.judge(kinds.grouped(found))["rules"]
    best = rules[-1]
    # two classes: eight fewer than PARAMS are for
    params = PARAMS[1] - 8 * PER_CLASS[1]
    assert best["params"] == params
    saving = 1 - params / (PARAMS[6] - 8 * PER_CLASS[6])
    assert best["median_saving"] == pytest.approx(saving, abs=1e-4)


def test_figures_by_source_are_of_its_rows():
    result = judgement.judge(kinds.grouped(law(noise=0.01)))
    assert [one["source"] for one in result["by_source"]] == ["f0", "f1", "f2", "f3"]
    for one in result["by_source"]:
        rows = [row for row in result["rows"] if row["family"] == one["source"]]
        assert one["tasks"] == len(rows) == 4
        assert one["hit_rate"] == sum(row["hit"] for row in rows) / 4
        assert one["coverage"] == sum(row["inside"] for row in rows) / 4
        low, high = sorted(row["saving"] for row in rows)[1:3]
        assert one["median_saving"] == pytest.approx((low + high) / 2, abs=1e-4)
        low, high = sorted(b - a for a, b in (row["interval"] for row in rows))[1:3]
        assert one["median_width"] == pytest.approx((low + high) / 2, abs=1e-4)
    rows = judgement.sources(result)[1:]
    assert [row[0] for row in rows] == ["f0", "f1", "f2", "f3", "all"]
    assert rows[-1][1:3] == ("16", f"{result['hit_rate']:.0%}")


def test_a_source_of_which_nothing_is_answered_has_no_figures():
    far = [
        record(f"far_{n}", "far", rung, 0.9, input_size=256, classes=10)
        for n in range(2)
        for rung in range(2)
    ]
    result = judgement.judge(kinds.grouped([*law(), *far]))
    (found,) = (one for one in result["by_source"] if one["source"] == "far")
    assert (found["tasks"], found["hit_rate"], found["coverage"]) == (2, None, None)
    assert ("far", "2", "", "", "", "") in judgement.sources(result)
    assert result["not_answered"] == 2


def test_the_family_that_is_left_out_does_not_leak():
    found = law(noise=0.005)
    before = judgement.judge(kinds.grouped(found))["rows"]
    changed = copy.deepcopy(found)
    for one in changed:
        if one["task"]["family"] == "f0":
            one["result"]["accuracy"] *= 0.5
            one["digest"] = records.digest(one)
    after = judgement.judge(kinds.grouped(changed))["rows"]
    told = ("params", "expected", "interval", "saving")
    pairs = [
        (one, other)
        for one, other in zip(before, after, strict=True)
        if one["family"] == "f0"
    ]
    assert len(pairs) == 4
    for one, other in pairs:
        assert [one[key] for key in told] == [other[key] for key in told]
        assert other["accuracy"] < one["accuracy"]


def test_what_papers_report_is_not_judged():
    result = judgement.judge(kinds.grouped([*law(), *filing.imagenet()]))
    assert result["tasks"] == 16


def test_too_little_to_judge():
    with pytest.raises(ValueError, match="at least two sources of pictures"):
        judgement.judge(kinds.grouped(law(families=1)))


def test_table_has_a_line_per_task_and_rule():
    result = judgement.judge(kinds.grouped(law()))
    rows = judgement.table(result)
    assert len(rows) == 1 + 16 + 1 + 8
    assert len({len(row) for row in rows}) == 1


def test_the_document_states_what_the_shipped_records_say():
    result = judgement.judge(kinds.grouped(store.packaged()))
    text = (ROOT / "docs" / "guidelines.md").read_text()
    told = [line.replace(" %", "%") for line in text.splitlines()]
    for name, *cells in judgement.sources(result)[1:]:
        first = "**all**" if name == "all" else f"`{name}`"
        *shares, width = cells
        points = f"{width.removesuffix('%')} points"
        assert f"| {first} | {' | '.join(shares)} | {points} |" in told
    for rule in ("always the largest", "the smallest that does, known afterwards"):
        (found,) = (one for one in result["rules"] if one["rule"] == rule)
        (line,) = (one for one in told if one.startswith(f"| {rule}"))
        hits, saving = line.strip("| ").split(" | ")[1:]
        assert (hits, saving) == (
            f"{found['hit_rate']:.0%}",
            f"{found['median_saving']:.0%}",
        )
