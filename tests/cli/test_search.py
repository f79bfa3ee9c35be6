"""What a search refuses at its start, and what it is told."""

import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.data.batches import Batch
from nas_jax.latency import tables
from nas_jax.runs import pipeline, plan, setup
from nas_jax.spaces import builders
from nas_jax.training import host

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search", "expected EXPERIMENT, got none; see nas_jax search --help"),
        (
            "search cifar",
            "experiment 'cifar': expected a Python file with get_config(), or one of "
            "the shipped experiments: cifar10_mobile, cifar10_tree, digits_cpu",
        ),
        (
            "search none.py",
            "experiment 'none.py': expected a Python file with get_config(), found no "
            "such file; nas_jax start PICTURES --out none.py writes one",
        ),
        (
            "search /",
            "experiment '/': expected a Python file with get_config(), got ",
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
    ],
)
def test_wrong_command_is_refused_with_what_was_expected(refused, words, message):
    assert refused(*words.split()).startswith(message)


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
    ("text", "message"),
    [
        (
            "x = 1",
            "expected get_config() returning nas_jax.config.Experiment, got no get_co",
        ),
        ("def get_config(): return 3", "expected get_config() returning nas_jax.conf"),
        ("x = 1\n1 / 0", ", line 2: cannot be read (ZeroDivisionError: division by z"),
        ("def get_config(): 1 / 0", ", line 1: cannot be read (ZeroDivisionError: di"),
        ("def get_config(", ", line 1: expected Python, got 'def get_config('"),
        ("raise ValueError('a\\nb')", ", line 1: cannot be read (ValueError: a b)"),
        (
            "from nas_jax.config.experiment import Experiment, TrainConfig\n"
            "def get_config():\n"
            "    return Experiment('mine', train=TrainConfig(batch=64.0))",
            ", line 3: cannot be read (ValueError: train.batch: expected an integer, ",
        ),
        (
            "from nas_jax.config import TrainConfig\n"
            "def get_config():\n"
            "    return TrainConfig(epoch=3)",
            ", line 3: cannot be read (TypeError: TrainConfig.__init__() got an "
            "unexpected keyword argument 'epoch'); mend it; did you mean epochs?",
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
            f"latency table 'table.json': entries.{KEY}.mean_ms: expected at least "
            "0.000000000001, got -1.0; correct the table, or ",
        ),
        (
            lambda table: table["entries"][KEY].update(mean_ms=float("nan")),
            f"latency table 'table.json': entries.{KEY}.mean_ms: expected a finite "
            "number, got nan; correct the table, or ",
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
    assert line == (
        "latency table 'none.json': expected a file, or the name of a shipped table, "
        "found none; nas_jax list names them; or measure it with `nas_jax measure "
        "EXPERIMENT --out TABLE.json`"
    )


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
            "--search.limits peak_memory_int8:1KB",
            "search.limits peak_memory_int8:1KB (1,000 bytes) is out of reach: ",
        ),
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
    named = folder.relative_to(tmp_path) / "latency_table.json"
    assert f"--latency.table {named}" in line
    assert tables.load(folder / "latency_table.json") == stored


def test_target_above_the_maximum_is_a_warning(table, capsys):
    with pytest.raises(AssertionError, match="the search began"):
        cli.main([*table(), "--search.target-ms", "5"])
    warnings = [
        line for line in capsys.readouterr().err.splitlines() if "warning" in line
    ]
    assert warnings == [
        f"· warning: search.target_ms = 5 is above the maximum: {REACHABLE}; no "
        "network takes so much: the target asks for nothing"
    ]


def test_a_plan_says_that_a_target_asks_for_nothing(table, monkeypatch, capsys):
    made_up = plan.Forecast(plan.TRAINING, 1, 1, 1.0, 1, 1)
    monkeypatch.setattr(plan, "of_run", lambda *args: (made_up,))
    assert cli.main([*table(), "--search.target-ms", "5", "--plan"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"search.target_ms = 5 is above the maximum: {REACHABLE}; no network takes so "
        "much: the target asks for nothing"
    ]
    # a share of the hand-designed network's steps is told as such
    assert cli.main([*table(), "--target", "0.6x", "--plan"]) == 0
    assert "networks within the target count 0.6 of a training step" in (
        capsys.readouterr().out
    )
    # before its table is measured only what is plain
    assert cli.main(["search", "digits_cpu", "--target", "5x", "--plan"]) == 0
    assert (
        "hardly any network takes 5 times the hand-designed one: the target asks"
        in (capsys.readouterr().err)
    )


def test_mul_log_below_one_unit_is_refused(refused, table):
    words = (*WITHIN_REACH, "--search.objective", "mul_log")
    assert refused(*table(), *words).startswith(
        "objective mul_log needs costs above 1 unit (it uses their logarithm), got a "
    )


@pytest.mark.parametrize(("word", "cache"), [((), True), (("--no-cache",), False)])
def test_settings_of_the_process_are_made_before_a_run(word, cache, monkeypatch):
    made = []
    monkeypatch.setattr(
        host,
        "prepare",
        lambda *, cache, pixels, backend: made.append((cache, pixels, backend)),
    )
    monkeypatch.setattr(setup, "check", lambda experiment: None)

    def run(*args, **given):
        assert made == [(cache, 50 * 16**2, "any")]
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


def test_folder_that_cannot_be_made_is_refused(refused, table, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(*table(), *WITHIN_REACH, "--out", "file/run")
    assert "Not a directory: 'file/run'" in line


@pytest.mark.parametrize("name", ["nowhere/digits_cpu.py", "nowhere/digits_cpu"])
def test_mistyped_path_does_not_run_a_shipped_experiment(refused, name):
    assert refused("search", name).startswith(f"experiment '{name}': expected a Python")


PAPER = ("imagenet_mobile", "imagenet_cpu", "imagenet_gpu")


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
        f"latency table 'latency_tables/{name}.json': expected a file, or the name of "
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
