"""Leave one family out: nothing leaks, and the naive rules are what they say."""

import copy

import pytest

from benchmarks.guidelines import filing
from nas_jax.guidelines import judgement, kinds, records
from tests.guidelines.made_up_records import law


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
    assert [rule["hit_rate"] for rule in rules] == [0, 0.25, 0.5, 0.75, 1, 1, 1]


def test_the_family_that_is_left_out_does_not_leak():
    found = law(noise=0.005)
    before = judgement.judge(kinds.grouped(found))["rows"]
    changed = copy.deepcopy(found)
    for record in changed:
        if record["task"]["family"] == "f0":
            record["result"]["accuracy"] *= 0.5
            record["digest"] = records.digest(record)
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
    with pytest.raises(ValueError, match="at least two families"):
        judgement.judge(kinds.grouped(law(families=1)))


def test_table_has_a_line_per_task_and_rule():
    result = judgement.judge(kinds.grouped(law()))
    rows = judgement.table(result)
    assert len(rows) == 1 + 16 + 1 + 7
    assert len({len(row) for row in rows}) == 1
