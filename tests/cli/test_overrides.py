"""New values for fields of an experiment."""

import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.runs import pipeline, setup

pytestmark = pytest.mark.usefixtures("empty_folder")

DONE = {"networks": {}, "target_ms": 1}
"""The result of a search that is not carried out."""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--space.cells-per-stage 3",
            "space.cells_per_stage: expected a field of the experiment's SpaceConfig, ",
        ),
        ("--target 3s", "--target: expected 0.4x of the hand-designed network's lat"),
        (
            "--target 3ms --search.target-ms 3",
            "--target, --search.target-ms: expected only one of the two",
        ),
        ("--search.lr -1", "search.lr: expected above 0, got -1.0"),
        (
            "--search.expectation pair",
            "search.expectation: expected 'full' with objective constrained, which ",
        ),
        (
            "--search.limits macs:0.5x params",
            "search.limits: expected COST:AMOUNT or latency:AMOUNT:TABLE, with COST one"
            " of latency, macs, params, flash, flash_int8, peak_memory, "
            "peak_memory_int8 and AMOUNT above 0, as in macs:0.6x, got 'params'",
        ),
        (
            "--search.limits flash:250",
            "search.limits: expected flash:AMOUNT, with AMOUNT above 0 in B, KB, MB, "
            "KiB, MiB or x, as in flash:250KB, got 'flash:250'",
        ),
        (
            "--search.objective add_linear --search.limits macs:0.5x",
            "search.objective: expected constrained with search.limits, got 'add_lin",
        ),
        (
            "--space.classes 1",
            "space.classes: expected at least 2, ",
        ),
        (
            "--data.train-weights 20",
            "search.batch: expected at most data.train_weights = 20, got 50",
        ),
        (
            "--data.train-weights None --data.test 1080",
            "search.batch: expected at most data.train_weights = 20, got 50",
        ),
        (
            "--data.train-weights None --data.train-alphas 20 --data.test 1000",
            "search.arch_batch: expected at most data.train_alphas = 20, got 50",
        ),
        (
            "--data.train-weights None --data.valid None",
            "digits: expected one split that takes the rest of 1797 images, got "
            "data.train_weights = None and data.valid = None; give the others a number",
        ),
        (
            "--data.train-weights rest",
            "--data.train-weights: expected a whole number, got 'rest'",
        ),
        (
            "--search.target-ms 1 --search.target-ratio 0.5",
            "search.target_ms, search.target_ratio: expected only one of the two ",
        ),
    ],
)
def test_wrong_field_is_refused_with_what_was_expected(refused, words, message):
    assert refused("search", "digits_cpu", *words.split()).startswith(message)


def test_several_targets_beside_one_are_refused(refused):
    words = "--targets 0.5,0.7 --search.target_ms=0.2"
    assert refused("search", "digits_cpu", *words.split()) == (
        "--targets, --search.target-ms: expected only one of the two; name all targets "
        "in --targets"
    )


@pytest.mark.parametrize("word", ["--search.target-ms=0.7", "--search.target_ms=0.7"])
def test_target_given_replaces_the_one_of_the_experiment(word, monkeypatch):
    heard = []
    monkeypatch.setattr(setup, "check", heard.append)
    monkeypatch.setattr(pipeline, "run", lambda *args, **given: DONE)
    assert shipped.load_experiment("digits_cpu").search.target_ratio is not None
    assert cli.main(["search", "digits_cpu", word]) == 0
    assert heard[0].search.target_ms == 0.7
    assert heard[0].search.target_ratio is None


def test_target_is_a_time_or_a_share_of_the_hand_designed_networks(monkeypatch):
    heard = []
    monkeypatch.setattr(setup, "check", heard.append)
    monkeypatch.setattr(pipeline, "run", lambda *args, **given: DONE)
    for words in (["--target", "0.7ms"], ["--target", "0.4x"]):
        assert cli.main(["search", "digits_cpu", *words]) == 0
    targets = [(one.search.target_ms, one.search.target_ratio) for one in heard]
    assert targets == [(0.7, None), (None, 0.4)]


def test_new_values_of_fields_are_told(monkeypatch, capsys):
    monkeypatch.setattr(setup, "check", lambda experiment: None)
    monkeypatch.setattr(pipeline, "run", lambda *args, **given: DONE)
    words = ["--space.cells", "1,2", "3", "--data.no-flip", "--search.target-ms=0.7"]
    assert cli.main(["search", "digits_cpu", *words]) == 0
    lines = capsys.readouterr().err.splitlines()
    typed = "--space.cells 1 2 3 --data.no-flip --search.target-ms 0.7"
    assert f"fields: {typed}" in lines
