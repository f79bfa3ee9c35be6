"""Files of a run folder that somebody changed: one line, before anything is written."""

import json

import pytest

from nas_jax.runs import finalists, run_folder, trade_off
from nas_jax.runs.session import Session
from nas_jax.training.progress import Progress
from tests.report import made_up_run


@pytest.fixture
def run(tmp_path):
    return made_up_run.make_run(tmp_path / "run", epochs=(1, 1))


def refused(call, *arguments):
    with pytest.raises(ValueError) as info:
        call(*arguments)
    assert type(info.value) is ValueError
    return str(info.value)


@pytest.mark.parametrize("content", ["[]", "{}", "3"])
def test_finalists_are_a_list_of_one_at_least(run, content):
    (run / "finalists.json").write_text(content)
    line = refused(finalists.derive_run, run)
    assert "finalists.json: expected a list of finalists, at least one, got" in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trial", "../../../evil"),
        ("trial", "trial_1/../../../evil"),
        ("trial", 3),
        ("rung", "1"),
        ("path", [0, 1.5]),
        ("path", "0"),
        ("valid_accuracy", "0.9"),
        ("trained_valid_loss", None),
        ("slack", []),
        ("slack", {"latency": "x"}),
    ],
)
def test_finalist_of_something_else_is_refused(run, field, value):
    found = json.loads((run / "finalists.json").read_text())
    found[1][field] = value
    (run / "finalists.json").write_text(json.dumps(found))
    before = (run / "architecture.json").read_bytes()
    assert "finalists.json, number 2" in refused(finalists.derive_run, run)
    assert (run / "architecture.json").read_bytes() == before


@pytest.mark.parametrize("change", [{"valid_accuracy": None}, {}])
def test_finalists_without_what_orders_them_are_refused(run, change):
    found = json.loads((run / "finalists.json").read_text())
    del found[1]["valid_accuracy"]
    found[1] |= change
    (run / "finalists.json").write_text(json.dumps(found))
    line = refused(finalists.best, run, 2)
    assert "finalists.json, number 2: expected valid_accuracy" in line


@pytest.mark.parametrize("text", ["{}", "[1]", "[[]]", "", "[" * 10_000])
def test_finalists_that_are_no_list_of_objects_are_refused(run, text):
    (run / "finalists.json").write_text(text)
    assert "finalists.json" in refused(finalists.best, run, 1)


@pytest.mark.parametrize(
    "text", ['["../../evil"]', '["0.5/../../evil"]', "[3]", '"0.5"', '["１"]', '[" 1"]']
)
def test_targets_that_are_none_become_no_folders(run, text):
    (run / "targets.json").write_text(text)
    assert "expected" in refused(trade_off.targets_of, run)


@pytest.mark.parametrize("text", ["[]", '{"search": "1"}', '{"search": NaN}', "{"])
def test_seconds_that_are_none_are_refused(run, text):
    (run / "seconds.json").write_text(text)
    assert "seconds.json" in refused(Session, run, Progress())


@pytest.mark.parametrize("probs", ["x", [0.5], [[0.5, "a"]], [[2.0]], [[0.5], [1, 2]]])
def test_probabilities_that_are_none_are_refused(run, probs):
    run_folder.append_metrics(run, {"search/probs": probs})
    assert "expected search/probs" in refused(run_folder.last_probabilities, run)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"phase": "joint", "step": "1"}'])
def test_damaged_line_in_the_middle_is_named(run, line):
    path = run / "metrics.jsonl"
    path.write_text(f"{line}\n{path.read_text()}")
    assert "line 1" in refused(run_folder.cut_metrics, run, lambda line: True)


def test_last_line_that_was_cut_goes(run):
    path = run / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"phase": "jo')
    run_folder.cut_metrics(run, lambda line: True)
    assert path.read_text() == whole
