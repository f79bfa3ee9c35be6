"""Words and flags of a command, read by the parameters of its function."""

import pytest

from nas_jax.cli import flags
from nas_jax.cli.main import command
from nas_jax.config import Experiment

pytestmark = pytest.mark.usefixtures("empty_folder")


FIELDS = "see nas_jax search --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--search.arch-rl 1e-3",
            "unknown flag --search.arch-rl; did you mean --search.arch-lr?",
        ),
        ("--search.arch_rl=1", "unknown flag --search.arch-rl; did you mean "),
        ("--lr 1", "unknown flag --lr; did you mean --search.lr or --train.lr?; "),
        ("--xyzzy 1", f"unknown flag --xyzzy; {FIELDS}"),
        ("word", "unexpected word 'word'; "),
        ("--target 2 ms", "unexpected word 'ms'; a unit follows its number, as in 2ms"),
        (
            "--search.arch-lr fast",
            "--search.arch-lr: expected a number, got 'fast'; ",
        ),
        (
            "--search.joint-epochs 1.5",
            "--search.joint-epochs: expected a whole number, got '1.5'; ",
        ),
        (
            "--search.target-ms 0.3ms",
            "--search.target-ms: expected a number, in milliseconds: 0.3, got ",
        ),
        (
            "--latency.runtime litert",
            "--latency.runtime: expected one of onnxruntime, onnxruntime-int8, "
            "got 'litert'; ",
        ),
        ("--search.lr", "--search.lr: expected a value, got none; "),
        (
            "--search.objective magic",
            "--search.objective: expected one of constrained, add_linear, "
            "mul_log, mnasnet, tunas, none, got 'magic'; ",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(refused, words, message):
    line = refused("search", "digits_cpu", *words.split())
    assert line.startswith(message)
    assert line.endswith(FIELDS)


@pytest.mark.parametrize(
    "typed",
    [
        "sweep --out x --seeds 0,1 digits_cpu --targets 0.5,2ms",
        "sweep digits_cpu --seeds 0,1 --out x --targets 0.5,2ms",
        "sweep --targets=0.5,2ms --seeds=0,1 --out=x digits_cpu",
    ],
)
def test_words_and_flags_come_in_any_order(typed):
    told = command(typed.split()).arguments
    assert told["experiments"] == ("digits_cpu",)
    assert (told["seeds"], told["targets"]) == ((0, 1), ("0.5", "2ms"))


def test_every_field_of_the_configuration_is_described():
    found = list(flags.of_config(Experiment, None))
    assert [flag.typed for flag in found if not flag.text] == []
