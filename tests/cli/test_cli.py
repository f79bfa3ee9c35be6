"""What the command line answers, above all to mistakes: one line, code 2, no trace."""

import importlib.metadata
import json
from nas_jax import cli
from nas_jax.cli import flags
from nas_jax.cli import networks
from nas_jax.cli.main import VERBS
from nas_jax.cli.main import command
from nas_jax.cli.terminal import Answer
from nas_jax.config import Experiment
from nas_jax.config import SpaceConfig
from nas_jax.config import shipped
from nas_jax.data.batches import Batch
from nas_jax.latency import tables
from nas_jax.runs import pipeline
from nas_jax.runs import setup
from nas_jax.search import loop
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_ops
from nas_jax.spaces.architecture_json import to_json
from nas_jax.spaces.operations import OpSpec
from nas_jax.training import host
import numpy as np
import pytest
import subprocess
import sys


ALL = [
    f"{name} {below}" if below else name
    for name, verb in VERBS.items()
    for below in (verb if isinstance(verb, dict) else ("",))
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Commands run in a folder of their own, and none may begin a search."""

    def fail(*args):
        raise AssertionError("the search began")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "run", fail)
    monkeypatch.setattr(networks, "RUNS", tmp_path / "runs")


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs a command that must be refused; returns its one line."""

    def run(*words):
        before = contents(tmp_path)
        assert cli.main(words) == 2
        out, err = capsys.readouterr()
        assert contents(tmp_path) == before
        assert out == ""
        assert err.startswith("nas_jax: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err.removeprefix("nas_jax: ").removesuffix("\n")

    return run


def contents(folder):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


# --- mistakes on the command line ----------------------------------------------------

FIELDS = "see nas_jax search --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--search.arch-rl 1e-3",
            "unknown flag --search.arch-rl; did you mean --search.arch-lr or ",
        ),
        ("--search.arch_rl=1", "unknown flag --search.arch-rl; did you mean "),
        ("--lr 1", "unknown flag --lr; did you mean --search.lr or --train.lr?; "),
        ("--xyzzy 1", f"unknown flag --xyzzy; {FIELDS}"),
        ("word", "unexpected word 'word'; "),
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
            "--search.target-ms: expected a number, or None, got '0.3ms'; ",
        ),
        (
            "--latency.runtime litert",
            "--latency.runtime: expected one of onnxruntime, got 'litert'; ",
        ),
        ("--search.lr", "--search.lr: expected one argument; "),
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
    ("words", "message"),
    [
        (
            "--space.cells-per-stage 3",
            "space.cells_per_stage: expected a field of the experiment's SpaceConfig, ",
        ),
        ("--target 3s", "--target: expected 0.4ms, or 0.5x for that share of the "),
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
            " of latency, macs, params and AMOUNT above 0, as in macs:0.6x, got "
            "'params'",
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
            "--search.target-ms 1 --search.target-ratio 0.5",
            "search.target_ms, search.target_ratio: expected only one of the two ",
        ),
    ],
)
def test_wrong_field_is_refused_with_what_was_expected(refused, words, message):
    assert refused("search", "digits_cpu", *words.split()).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--search.estimator full --search.expectation pair --search.objective none",
            "search.expectation: expected 'full' with estimator full, which ",
        ),
        (
            "--search.estimator rl --search.objective add_linear",
            "search.objective: expected one of constrained, mnasnet, tunas, none with "
            "estimator ",
        ),
    ],
)
def test_what_an_estimator_cannot_follow_is_refused(refused, words, message):
    assert refused("search", "digits_cpu", *words.split()).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "VERB: expected one of start, search, sweep, measure, "),
        ("serach", "VERB: expected one of start, search, sweep, measure, "),
        ("--wrong", "VERB: expected one of start, search, sweep, measure, "),
        ("table shwo t.json", "VERB: expected one of show, import, export, validate; "),
        ("search", "expected EXPERIMENT, got none; see nas_jax search --help"),
        ("measure digits_cpu", "expected --out, got none; see nas_jax measure --help"),
        (
            "search cifar",
            "experiment 'cifar': expected a Python file with get_config(), or one of "
            "the shipped experiments: cifar10_mobile, cifar10_tree, digits_cpu",
        ),
        (
            "search digits_cpu --search.target-ms None",
            "no target: expected search.target_ms or search.target_ratio, got neither",
        ),
        (
            "search digits_cpu --search.cost macs --search.target-macs 1000",
            "search.target_macs = 1000 is out of reach: networks of this space take ",
        ),
        (
            "search digits_cpu --search.cost macs --search.target-ms 1",
            "search.target_ms: expected search.target_macs or search.target_ratio with "
            "search.cost macs, and None here, got 1.0",
        ),
        (
            "search digits_cpu --search.arch-every 7",
            "search.arch_every: expected at most the 6 weight steps of an epoch, got 7",
        ),
        (
            "search digits_cpu --search.trials 17",
            "search.trials: expected at most search.finalists = 16, got 17",
        ),
        (
            "search digits_cpu --search.trials 2 --train.start supernet",
            "search.trials: expected 1 with train.start supernet, ",
        ),
        (
            "search digits_cpu --space.candidates mb3_k3 mb6_k4",
            "unknown operation 'mb6_k4': expected 'zero'",
        ),
        (
            "search digits_cpu --space.candidates mb3_k3 zero",
            "space 'digits' does not offer 'mb6_k3' in every layer, so ",
        ),
        ("describe imagenet", "describe 'imagenet': expected a space (imagenet_mobil"),
        ("describe no.json", "no.json: expected an architecture file, found none"),
        (
            "describe imagenet_mobile --jsn",
            "unknown flag --jsn; did you mean --json?; see nas_jax describe --help",
        ),
        ("report nowhere", "run folder: expected an existing folder, got 'nowhere'"),
        ("derive nowhere", "nowhere: expected a run folder with config.json; "),
        ("evaluate nowhere", "nowhere: expected a run folder with config.json; "),
        ("train nowhere", "train nowhere: expected a run folder, or an architecture "),
        ("train no.json digits_cpu", "no.json: expected an architecture file, found"),
    ],
)
def test_wrong_command_is_refused_with_what_was_expected(refused, words, message):
    assert refused(*words.split()).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1",
            "expected get_config() returning nas_jax.config.Experiment, got no get_co",
        ),
        ("def get_config(): return 3", "expected get_config() returning nas_jax.conf"),
        ("x = 1\n1 / 0", ", line 2: cannot be read (ZeroDivisionError: division by z"),
        ("def get_config(): 1 / 0", ", line 1: cannot be read (ZeroDivisionError: di"),
        ("def get_config(", "cannot be read (SyntaxError: "),
        ("raise ValueError('a\\nb')", ", line 1: cannot be read (ValueError: a b)"),
        (
            "from nas_jax.config.experiment import Experiment, TrainConfig\n"
            "def get_config():\n"
            "    return Experiment('mine', train=TrainConfig(batch=64.0))",
            ", line 3: cannot be read (ValueError: train.batch: expected an integer, ",
        ),
    ],
)
def test_experiment_file_that_gives_no_experiment_is_refused(
    refused, tmp_path, text, message
):
    (tmp_path / "mine.py").write_text(text)
    begin = f"mine.py{'' if message.startswith(',') else ': '}{message}"
    assert refused("search", "mine.py").startswith(begin)
    assert refused("describe", "mine.py").startswith(begin)


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="experiment 'cifar': expected"):
        cli.main(["search", "cifar", "--debug"])


# --- data that does not fit ----------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--space.classes 5",
            "train_weights: expected labels 0 to 4 for 5 classes, got labels from 0 to "
            "9; set space.classes to 10",
        ),
        ("--space.input-size 20", "digits: expected space.input_size to be a multiple"),
        (
            "--space.input-channels 3",
            "train_weights: expected images of shape (16, 16, 3) (height, width, "
            "channels) for space 'digits', got (16, 16, 1); set space.input_size and "
            "space.input_channels",
        ),
        (
            "--data.test 2000",
            "digits: the splits ask for 2997 images (300 + 300 + 397 + 2000), the set "
            "has 1797; lower data.*",
        ),
        (
            "--data.valid 5",
            "digits: data.valid = 5 is fewer than one image per class (10)",
        ),
    ],
)
def test_data_that_does_not_fit_the_space_is_refused(refused, words, message):
    assert refused("search", "digits_cpu", *words.split()).startswith(message)


# --- tables and targets --------------------------------------------------------------


@pytest.fixture(scope="module")
def document():
    """A table of the digits space: the fixed parts take 0.3 ms, any candidate 0.1."""
    parts = tables.required_parts(
        builders.mobile(shipped.load_experiment("digits_cpu").space)
    )
    numbers = dict.fromkeys(("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms"), 0.1)
    values = {str: "made up", int: 1}
    return {
        "format": tables.FORMAT,
        "version": tables.VERSION,
        "provenance": {
            **{key: values[kind] for key, kind in tables.PROVENANCE.items()},
            "method": "operations",
            "input_size": 16,
        },
        "fixed_ms": 0.0,
        "entries": {part.key: {**numbers, "count": 2} for part in parts},
        "validation": None,
    }


@pytest.fixture
def table(document, tmp_path):
    """Writes the table, changed, and names it to a search."""

    def write(change=lambda document: None):
        changed = json.loads(json.dumps(document))
        change(changed)
        (tmp_path / "table.json").write_text(json.dumps(changed))
        return ("search", "digits_cpu", "--latency.table", "table.json")

    return write


KEY = "mb6_k3 8x8x8->8x8x8 s1 skip"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: table["entries"].pop(KEY),
            f"table.json: expected an entry '{KEY}' (layer 0, op mb6_k3), got none "
            "among ",
        ),
        (
            lambda table: table["entries"][KEY].update(mean_ms=-1.0),
            f"latency table 'table.json', entry '{KEY}': expected 'mean_ms' to be "
            "finite and above 0, got -1.0 (1e-12 to 1e+12); correct the table, or ",
        ),
        (
            lambda table: table["entries"][KEY].update(mean_ms=float("nan")),
            f"latency table 'table.json', entry '{KEY}': expected 'mean_ms' to be "
            "finite and above 0, got nan (1e-12 to 1e+12); correct the table, or ",
        ),
        (
            lambda table: table.update(entries={"stem 9x9x1": table["entries"][KEY]}),
            "table.json was made for another space: it has no part of space 'digits', ",
        ),
        (
            lambda table: table.update(version=1),
            "latency table 'table.json': expected 'version' to be 2, got 1; ",
        ),
    ],
    ids=["missing_key", "negative", "nan", "other_space", "other_version"],
)
def test_table_that_does_not_serve_is_refused(refused, table, change, message):
    line = refused(*table(change))
    assert line.startswith(message)
    assert "measure it with `nas_jax measure EXPERIMENT --out TABLE.json`" in line


def test_table_that_is_not_there_is_refused(refused):
    line = refused("search", "digits_cpu", "--latency.table", "none.json")
    assert line.startswith("latency table 'none.json': expected a file, got none; give")


# Four of the six layers offer `zero`: 0.3 + 2 * 0.1 to 0.3 + 6 * 0.1 ms.
REACHABLE = "networks of this space take 0.5 ms to 0.9 ms, a ratio of 0.56 to 1"
WITHIN_REACH = ("--search.target-ms", "0.8")


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--search.target-ms 0.1", "search.target_ms = 0.1 is out of reach: "),
        (
            "--search.target-ratio 0.1",
            "search.target_ratio = 0.1 (0.09 ms) is out of reach: ",
        ),
    ],
)
def test_target_below_reach_is_refused_with_the_range(refused, table, words, given):
    line = refused(*table(), *words.split())
    assert line == given + REACHABLE + "; raise the target"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # the table still to be measured is not waited for
        ("--search.limits macs:0.01x", "search.limits macs:0.01x ("),
        (
            "--search.limits latency:0.2:table.json",
            "search.limits latency:0.2:table.json (0.2) is out of reach: networks of "
            "this space take 0.5 or more, a ratio of 0.56",
        ),
        ("--search.limits latency:1:none.json", "latency table 'none.json': expected "),
        (
            "--latency.table table.json --search.target-ratio 1 "
            "--search.limits latency:0.5x",
            "search.limits latency:0.5x (0.45) is out of reach",
        ),
    ],
)
def test_limits_out_of_reach_are_refused_before_a_folder_is_made(
    refused, table, words, message
):
    table()
    assert refused("search", "digits_cpu", *words.split()).startswith(message)


def test_several_targets_beside_one_are_refused(refused):
    words = "--targets 0.5,0.7 --search.target_ms=0.2"
    assert refused("search", "digits_cpu", *words.split()) == (
        "--targets, --search.target-ms: expected only one of the two; name all targets "
        "in --targets"
    )


def test_unreachable_target_of_a_measured_table_keeps_the_table(
    table, document, tmp_path, monkeypatch, capsys
):
    table()
    stored = tables.load(tmp_path / "table.json")
    monkeypatch.setattr(pipeline, "measure", lambda *args: stored)
    assert cli.main(["search", "digits_cpu", "--search.target-ms", "0.1"]) == 2
    folder = tmp_path / "runs" / "digits_cpu-seed0-000"
    *_, line = capsys.readouterr().err.splitlines()
    assert "is out of reach" in line
    assert f"--latency.table {folder / 'latency_table.json'}" in line
    assert tables.load(folder / "latency_table.json") == stored


def test_target_above_the_maximum_is_a_warning(table, capsys):
    with pytest.raises(AssertionError, match="the search began"):
        cli.main([*table(), "--search.target-ms", "5"])
    warnings = [
        line for line in capsys.readouterr().err.splitlines() if "warning" in line
    ]
    assert warnings == [
        f"· warning: search.target_ms = 5 is above the maximum: {REACHABLE}; the "
        "target binds nothing"
    ]


def test_mul_log_below_one_unit_is_refused(refused, table):
    words = (*WITHIN_REACH, "--search.objective", "mul_log")
    assert refused(*table(), *words).startswith(
        "objective mul_log needs costs above 1 unit (it uses their logarithm), got a "
    )


@pytest.mark.parametrize("word", ["--search.target-ms=0.7", "--search.target_ms=0.7"])
def test_target_given_replaces_the_one_of_the_experiment(word, monkeypatch):
    heard = []
    monkeypatch.setattr(problem, "check", heard.append)
    monkeypatch.setattr(pipeline, "run", lambda *args: {"networks": {}, "target_ms": 1})
    assert shipped.load_experiment("digits_cpu").search.target_ratio is not None
    assert cli.main(["search", "digits_cpu", word]) == 0
    assert heard[0].search.target_ms == 0.7
    assert heard[0].search.target_ratio is None


@pytest.mark.parametrize(("word", "cache"), [((), True), (("--no-cache",), False)])
def test_settings_of_the_process_are_made_before_a_run(word, cache, monkeypatch):
    made = []
    monkeypatch.setattr(
        host, "prepare", lambda *, cache, pixels: made.append((cache, pixels))
    )
    monkeypatch.setattr(problem, "check", lambda experiment: None)

    def run(*args):
        assert made == [(cache, 50 * 16**2)]
        return {"networks": {}, "target_ms": 1}

    monkeypatch.setattr(pipeline, "run", run)
    assert cli.main(["search", "digits_cpu", "--search.target-ms=0.7", *word]) == 0


def test_named_folder_that_exists_is_refused(refused, table, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("data")
    line = refused(*table(), *WITHIN_REACH, "--out", "mine")
    assert line == (
        "--out mine: expected a folder that does not exist yet, this one does; choose "
        "another name"
    )


def test_measured_table_does_not_overwrite_a_file(refused, tmp_path):
    (tmp_path / "t.json").write_text("precious")
    line = refused("measure", "digits_cpu", "--out", "t.json")
    assert line.startswith("--out t.json: expected a new file, this one exists; choose")


def test_folder_that_cannot_be_made_is_refused(refused, table, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(*table(), *WITHIN_REACH, "--out", "file/run")
    assert "Not a directory: 'file/run'" in line


# --- describe ------------------------------------------------------------------------


def test_describe_prints_one_json_object_with_the_totals_of_the_space(capsys):
    assert cli.main(["describe", "imagenet_mobile", "--json"]) == 0
    out, err = capsys.readouterr()
    size = json.loads(out)
    assert err == ""
    assert size["macs_uniform"] == 373300544.0
    assert size["supernet_weights"] == 16034168
    assert size["architectures"] == 221502229807900608


def test_describe_knows_the_published_networks(capsys):
    assert cli.main(["describe", "proxyless_gpu", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert (size["macs"], size["params"]) == (465_260_160, 7_119_848)


def test_description_of_a_large_space_can_be_read(capsys):
    """1,030 rows, a number of 548 digits and 648 sevens are for --json."""
    assert cli.main(["describe", "cifar10_tree"]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) < 80
    assert "candidates_per_layer: 648 x 7" in text
    assert "architectures: 4.2e547" in text
    assert "macs and params are those of the largest network" in text


@pytest.mark.parametrize("name", ["nowhere/digits_cpu.py", "nowhere/digits_cpu"])
def test_mistyped_path_does_not_run_a_shipped_experiment(refused, name):
    assert refused("search", name).startswith(f"experiment '{name}': expected a Python")


def test_describe_takes_an_architecture_file_and_an_experiment(tmp_path, capsys):
    searched = builders.mobile(shipped.load_experiment("digits_cpu").space)
    ops = [OpSpec.parse("mb3_k5")] * len(searched.layers)
    (tmp_path / "net.json").write_text(to_json(from_ops(searched, ops, "net")))
    assert cli.main(["describe", "net.json"]) == 0
    text = capsys.readouterr().out
    assert text.count("mb3_k5") == 6
    assert cli.main(["describe", "net.json", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert size["name"] == "net"
    assert f"macs: {size['macs']:,}" in text
    assert cli.main(["describe", "digits_cpu", "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["architectures"] == searched.architectures
    )


def test_train_refuses_a_network_of_another_shape(refused, tmp_path):
    other = builders.mobile(SpaceConfig(name="other", input_size=32))
    ops = [OpSpec.parse("mb3_k3")] * len(other.layers)
    (tmp_path / "net.json").write_text(to_json(from_ops(other, ops, "net")))
    assert refused("train", "net.json", "digits_cpu").startswith(
        "architecture 'net': expected height, width, channels, classes (16, 16, 1, 10) "
        "of experiment 'digits_cpu', got (32, 32, 3, 1000)"
    )


# --- the paper's experiments ---------------------------------------------------------

PAPER = ("imagenet_mobile", "imagenet_cpu", "imagenet_gpu")


@pytest.mark.parametrize(
    ("name", "widths", "head"),
    [
        ("imagenet_mobile", (32, 16, 24, 40, 80, 96, 192, 320), 1280),
        # those of the published networks
        ("imagenet_cpu", (40, 24, 32, 48, 88, 104, 216, 360), 1432),
        ("imagenet_gpu", (40, 24, 32, 56, 112, 128, 256, 432), 1728),
    ],
)
def test_paper_experiment_is_described_with_its_widths(name, widths, head, capsys):
    assert cli.main(["describe", name, "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert size["name"] == name
    assert size["architectures"] == 221502229807900608
    found = [layer["out"] for layer in size["layers"]]
    assert (*found[:2], *found[2:-2:4]) == widths
    assert found[-2] == head


def test_experiment_of_the_presets_name_describes_the_same_space(capsys):
    searched = builders.mobile(shipped.load_experiment("imagenet_mobile").space)
    assert searched == builders.imagenet_mobile()


@pytest.mark.parametrize("name", PAPER)
def test_paper_experiment_says_at_a_start_that_its_data_are_missing(
    refused, name, tmp_path
):
    line = refused("search", name, "--data.path", str(tmp_path))
    assert line.startswith(
        f"tfds:imagenet2012: expected it prepared below {tmp_path}/imagenet2012, found "
    )
    wanted = f"nas_jax prepare imagenet2012 --data-path {tmp_path}"
    assert wanted in line


@pytest.mark.parametrize("name", ["cifar10_mobile", "cifar10_tree"])
def test_cifar_experiment_says_at_a_start_that_its_data_are_missing(refused, name):
    line = refused("search", name)
    assert line.startswith("cifar10: expected data.path, got None; download cifar-10-")


@pytest.mark.parametrize("name", PAPER[1:])
def test_paper_experiment_says_at_a_start_that_its_table_is_missing(
    refused, name, monkeypatch
):
    def with_images(experiment):
        images = np.zeros((experiment.data.train_weights, 0))
        split = {"train_weights": Batch(images, np.zeros(len(images)))}
        return setup.Setup(experiment, builders.mobile(experiment.space), split, None)

    monkeypatch.setattr(setup, "load", with_images)
    assert refused("search", name).startswith(
        f"latency table 'latency_tables/{name}.json': expected a file, got none; give "
    )


def test_paper_experiments_have_the_papers_values():
    mobile, cpu, gpu = map(shipped.load_experiment, PAPER)
    assert (mobile.search.target_ms, cpu.search.target_ms) == (80.0, 138.7)
    assert (gpu.search.target_ms, gpu.latency.batch) == (5.1, 8)
    assert (mobile.search.estimator, mobile.search.objective) == ("full", "mul_log")
    for by_reward in (cpu.search, gpu.search):
        assert (by_reward.estimator, by_reward.reinforce_samples) == ("reinforce", 10)
    for one in (mobile, cpu, gpu):
        assert (one.search.warmup_epochs, one.search.joint_epochs) == (40, 120)
        assert (one.train.epochs, one.train.lr, one.train.batch) == (300, 0.05, 256)
        held_out = one.data.train_alphas + one.data.valid
        assert (one.data.train_weights, held_out) == (1_231_167, 50_000)


# --- answers -------------------------------------------------------------------------


def test_target_is_a_time_or_a_share_of_the_hand_designed_networks(monkeypatch):
    heard = []
    monkeypatch.setattr(problem, "check", heard.append)
    monkeypatch.setattr(pipeline, "run", lambda *args: {"networks": {}, "target_ms": 1})
    for words in (["--target", "0.7ms"], ["--target", "0.4x"]):
        assert cli.main(["search", "digits_cpu", *words]) == 0
    targets = [(one.search.target_ms, one.search.target_ratio) for one in heard]
    assert targets == [(0.7, None), (None, 0.4)]


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


def test_new_values_of_fields_are_told(monkeypatch, capsys):
    monkeypatch.setattr(problem, "check", lambda experiment: None)
    monkeypatch.setattr(pipeline, "run", lambda *args: {"networks": {}, "target_ms": 1})
    words = ["--space.cells", "1,2", "3", "--data.no-flip", "--search.target-ms=0.7"]
    assert cli.main(["search", "digits_cpu", *words]) == 0
    lines = capsys.readouterr().err.splitlines()
    typed = "--space.cells 1 2 3 --data.no-flip --search.target-ms 0.7"
    assert f"fields: {typed}" in lines


def test_list_names_what_comes_with_the_package(capsys):
    assert cli.main(["list", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == "" and set(found) == {"experiments", "spaces", "networks", "tables"}
    for name in (*found["experiments"], *found["spaces"], *found["networks"]):
        assert problem.describe(name)["layers"]
    for name in found["tables"]:
        assert shipped.table_file(f"latency_tables/{name}.json").is_file()


def test_version_is_that_of_the_package(capsys):
    assert cli.main(["--version"]) == 0
    assert (
        capsys.readouterr().out == f"nas_jax {importlib.metadata.version('nas_jax')}\n"
    )


def test_json_is_alone_on_standard_output(monkeypatch, capsys):
    def noisy(name: str):
        print("a library talks")
        return Answer({"name": name}, "text")

    monkeypatch.setitem(VERBS, "describe", noisy)
    assert cli.main(["describe", "any", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"name": "any"}, "a library talks\n")
    assert cli.main(["describe", "any"]) == 0
    assert capsys.readouterr().out == "text\n"


def test_who_reads_no_further_is_no_mistake():
    command = f"{sys.executable} -m nas_jax describe imagenet_mobile | true; "
    command += "echo ${PIPESTATUS[0]}"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert run.stderr == "" and run.stdout.strip() in ("0", "141")


def test_a_verb_is_a_call_from_python():
    size = networks.describe("proxyless_gpu")
    assert size.found["params"] == 7_119_848 and "MACs" in size.text


# --- help ----------------------------------------------------------------------------


def help_text(capsys, *words):
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("verb", ALL)
def test_every_verb_has_help(verb, flag, capsys):
    assert f"usage: nas_jax {verb}" in help_text(capsys, *verb.split(), flag)
    assert verb.split()[0] in help_text(capsys, flag)


@pytest.mark.parametrize(
    "words", ["search digits_cpu", "measure digits_cpu", "train net.json digits_cpu"]
)
def test_help_after_an_experiment_lists_the_fields_and_their_values(words, capsys):
    text = help_text(capsys, *words.split(), "--help")
    assert "--out" in text
    assert "--search.target-ratio" in text
    assert "(default: 0.5)" in text


def test_help_and_wrong_flags_are_answered_without_jax():
    code = (
        "import sys; from nas_jax import cli\n"
        "assert cli.main(['search', 'digits_cpu', '--search.arch-rl', '3']) == 2\n"
        "assert cli.main(['search', 'digits_cpu', '--help']) == 0\n"
        "print('jax' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


def test_module_runs_as_the_command_does():
    command = [sys.executable, "-m", "nas_jax", "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage: nas_jax ")


def test_every_field_of_the_configuration_can_be_set(capsys):
    text = help_text(capsys, "search", "digits_cpu", "--help-all")
    names = [flag.typed for flag in flags.of_config(Experiment, Experiment("any"))]
    assert len(names) > 40
    assert [name for name in names if name not in text] == []


def test_every_field_of_the_configuration_is_described():
    found = list(flags.of_config(Experiment, None))
    assert [flag.typed for flag in found if not flag.text] == []


def test_help_shows_what_people_use(capsys):
    text = help_text(capsys, "search", "--help")
    shown = [word for word in text.split() if word.startswith("--") and "." in word]
    assert "--search.target-ratio" in shown and 5 <= len(shown) <= 15
