"""Trainings and searches from weights that were there before."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from nas_jax import cli, supernet
from nas_jax.base import stream
from nas_jax.config import shipped
from nas_jax.data import preprocessing
from nas_jax.networks import checkpoint, inherit
from nas_jax.runs import first_experiment, pretrained, run_folder
from nas_jax.spaces import architecture_json, builders, elastic
from nas_jax.spaces.architecture import from_path, homogeneous
from nas_jax.spaces.operations import OpSpec
from tests import small_elastic, small_run, tiny_spaces
from tests.cli.test_start import write
from tests.data.picture_files import encoded, pixels
from tests.drawn import drawn
from tests.runs.conftest import without_spread

STILL = ["--train.lr", "1e-9", "--train.weight-decay", "0", "--train.epochs", "1"]
"""A training that leaves the weights where they were."""


def save(folder, one):
    """Any weights of a network, as `import` leaves them."""
    checkpoint.save_model(folder, drawn(one))
    takes = preprocessing.Preprocessing(12, 14, (0.25,), (0.5,))
    (folder / "preprocessing.json").write_text(preprocessing.to_json(takes))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of the widest network of the small space, at its own side."""
    shape = elastic.build(small_elastic.SPACE).shapes[-1]
    one = homogeneous(shape, OpSpec("mbconv", 3, 6))
    return save(tmp_path_factory.mktemp("given") / "weights", one)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return small_elastic.write(tmp_path_factory.mktemp("home"))


def assert_cut(folder, name, weights, seed=3):
    """A trained network has the weights that it began with."""
    trained = checkpoint.load_model(folder / "checkpoints" / name)
    draw = stream(stream(jax.random.key(seed), "train"), "weights")
    given = inherit.inherit(checkpoint.load_model(weights), trained.architecture, draw)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        *(trained.params, given.params),
    )


def test_a_training_begins_with_what_the_weights_have_of_the_network(
    words, weights, tmp_path, capsys
):
    shape = elastic.build(small_elastic.SPACE).shapes[0]
    one = homogeneous(shape, OpSpec("mbconv", 3, 3))
    (tmp_path / "one.json").write_text(architecture_json.to_json(one))
    out = tmp_path / "run"
    command = ["train", str(tmp_path / "one.json"), words[1], *STILL]
    command += ["--train.start", str(weights), "--out", str(out)]
    assert cli.main(command) == 0
    assert_cut(out, "mb3_k3", weights)
    # its images are normalised as those of the weights, which the run records
    read = run_folder.read_experiment(out)
    assert (read.data.mean, read.data.std) == ((0.25,), (0.5,))
    assert read.train.start == str(weights)
    error = capsys.readouterr().err
    assert "images are normalised as for the weights: mean 0.250, deviation" in error


def test_a_network_with_its_weights_is_fitted_to_an_experiment(
    words, weights, tmp_path
):
    """Seven classes of the weights, four of the experiment."""
    shape = elastic.build(dataclasses.replace(small_elastic.SPACE, classes=7)).shapes[
        -1
    ]
    given = save(tmp_path / "seven", homogeneous(shape, OpSpec("mbconv", 3, 6)))
    out = tmp_path / "run"
    command = ["train", str(given), words[1], *STILL, "--train.start", str(given)]
    assert cli.main([*command, "--out", str(out)]) == 0
    found = checkpoint.load_model(out / "checkpoints" / "mb6_k3").architecture
    assert (found.classifier.classes, found.stem.input_size) == (4, 12)
    assert_cut(out, "mb6_k3", given)


@pytest.mark.slow
def test_a_search_begins_all_its_networks_with_the_weights(
    words, weights, tmp_path, capsys
):
    out = tmp_path / "run"
    flags = [*STILL, "--train.start", str(weights), "--search.warmup-epochs", "0"]
    with without_spread():
        assert cli.main([*words, *flags, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["networks"].keys() >= {"searched", "random_1", "baseline"}
    for name in result["networks"]:
        assert_cut(out, name, weights)
    # those that keep most were tried first, as terminal and report say
    rows = json.loads((out / "finalists.json").read_text())
    lost = [row["answers_lost"] for row in rows]
    assert lost == sorted(lost) and lost[0] < 1
    assert "of its answers untrained" in capsys.readouterr().err
    page = (out / "report.html").read_text()
    assert (
        "within the target were taken that keep most of what the given one answers"
        in page
    )
    assert "answers lost" in page and "accuracy, supernet" not in page


def test_every_network_of_a_supernet_has_its_cut_of_the_weights(tmp_path):
    space = builders.mobile(dataclasses.replace(tiny_spaces.TWO_STAGES, classes=5))
    folder = save(tmp_path / "given", homogeneous(space, OpSpec("mbconv", 7, 6)))
    key = jax.random.key(4)
    drawn = supernet.init(key, space)
    params, stats = pretrained.supernet_weights(folder, space, drawn, key)
    rng = np.random.default_rng(0)
    for _ in range(4):
        path = [rng.choice(np.flatnonzero(row)) for row in space.mask]
        one = from_path(space, path, "one")
        found = supernet.extract(space, params, stats, one)
        given = inherit.inherit(checkpoint.load_model(folder), one, key)
        for ours, expected in zip(found, given[:2], strict=True):
            jax.tree.map(np.testing.assert_array_equal, ours, expected)


@pytest.mark.slow
def test_a_search_by_gates_begins_with_the_weights_and_keeps_them(tmp_path, quick):
    """With vanishing rates, from the supernet to the network that is derived."""
    words = small_run.write(tmp_path)
    space = builders.mobile(small_run.EXPERIMENT.space)
    given = save(tmp_path / "given", homogeneous(space, OpSpec("mbconv", 3, 6)))
    flags = [*STILL, "--search.start", str(given), "--train.start", "supernet"]
    flags += ["--search.warmup-lr", "1e-9", "--search.lr", "1e-9"]
    flags += ["--search.weight-decay", "0"]
    out = tmp_path / "run"
    assert cli.main([*words, *flags, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    for name in result["networks"]:
        assert_cut(out, name, given)
    read = run_folder.read_experiment(out)
    assert read.search.start == str(given)


@pytest.mark.slow
def test_a_shared_supernet_begins_with_the_weights_and_leaves_them(
    words, weights, tmp_path
):
    """With vanishing rates, up to the order of channels; others are cut as ever."""
    out = tmp_path / "run"
    flags = [*STILL, "--search.start", str(weights), "--train.start", "supernet"]
    flags += ["--search.warmup-lr", "1e-9", "--search.weight-decay", "0"]
    with without_spread():
        assert cli.main([*words, *flags, "--out", str(out)]) == 0
        result = (out / "result.json").read_text()
        (out / "finalists.json").unlink()  # as stopped when the supernet was saved
        shutil.rmtree(out / "trials")
        assert cli.main(["search", "--resume", str(out)]) == 0
    again = json.loads((out / "result.json").read_text())
    assert again["derivation"] == json.loads(result)["derivation"]
    given = checkpoint.load_model(weights)
    searched = checkpoint.load_model(out / "checkpoints" / "searched")
    for part in ("stem", "head"):
        ours, theirs = (
            np.sort(np.asarray(one.params[part]["bn"]["scale"]))
            for one in (searched, given)
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    stem = [np.asarray(one.params["stem"]["kernel"]) for one in (searched, given)]
    assert not np.allclose(*stem)
    np.testing.assert_allclose(*(one.sum(-1) for one in stem), atol=1e-5)
    for name in ("baseline", "random_1"):
        assert_cut(out, name, weights)


@pytest.mark.parametrize("field", ["search", "train"])
def test_weights_of_a_supernet_need_one_that_is_trained(words, field, capsys):
    start = {"search": "lite0", "train": "supernet"}[field]
    flags = [f"--{field}.start", start, "--search.warmup-epochs", "0"]
    assert cli.main([*words, *flags]) == 2
    line = f"{field}.start: expected"
    assert line in capsys.readouterr().err


def test_weights_that_do_not_fit_are_refused(words, weights, tmp_path, capsys):
    space = dataclasses.replace(small_elastic.SPACE, cells=(1, 2))
    shape = elastic.build(space).shapes[0]
    other = save(tmp_path / "other", homogeneous(shape, OpSpec("mbconv", 3, 3)))
    for start, line in (
        (other, "expected 3 blocks with strides (1, 1, 2, 1) from the stem on, as"),
        (tmp_path, "expected the folder of a network, as nas_jax import writes"),
        (tmp_path / "none", "expected the folder of a network"),
    ):
        out = tmp_path / "run"
        assert cli.main([*words, "--train.start", str(start), "--out", str(out)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert line in error
        assert not out.exists()


def test_grey_images_have_the_mean_of_the_channels_statistics(tmp_path):
    takes = preprocessing.Preprocessing(12, 14, (0.2, 0.3, 0.4), (0.5, 0.5, 0.2))
    (tmp_path / "preprocessing.json").write_text(preprocessing.to_json(takes))
    mean, std = pretrained.statistics(tmp_path, 1)
    assert (mean, std) == ((pytest.approx(0.3),), (pytest.approx(0.4),))
    assert pretrained.statistics(tmp_path, 3) == (takes.mean, takes.std)
    assert pretrained.statistics(tmp_path / "none", 3) is None


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pictures"), {"cat": 40, "dog": 30}, (40, 40))


def test_pictures_get_the_space_around_the_weights(pictures, weights):
    made = first_experiment.from_weights(pictures, weights)
    space, train = made.experiment.space, made.experiment.train
    # pictures of 40 pixels fill 32, of which twice as many are 64
    assert (space.input_sizes, space.input_channels, space.classes) == ((64,), 3, 2)
    assert space.stage_choices == ((8,), (16,))
    assert space.cells == (2, 2)
    assert (train.start, train.epochs) == (str(weights.absolute()), 30)
    assert made.experiment.data.mean == (0.25,) * 3


def test_a_network_is_fine_tuned_exported_and_asked(
    pictures, weights, tmp_path, capsys, quick
):
    out = tmp_path / "run"
    command = ["finetune", str(weights), str(pictures), "--out", str(out)]
    assert cli.main([*command, "--train.epochs", "1", "--side", "32"]) == 0
    printed = capsys.readouterr()
    assert (
        "images of 32 pixels, normalised as for the weights: mean (0.25," in printed.err
    )
    assert "stem: 1 channels of the weights for 3: spread" in printed.err
    assert "classifier: drawn anew for 2 classes, the weights have 4" in printed.err
    assert f"{out}/checkpoints/finetuned" in printed.out
    assert cli.main(["export", str(out), "--format", "onnx"]) == 0
    takes = json.loads((out / "export" / "finetuned.preprocessing.json").read_text())
    assert (takes["size"], takes["mean"]) == (32, [0.25] * 3)
    (tmp_path / "new.png").write_bytes(encoded(pixels(40, 40, seed=9), "PNG"))
    capsys.readouterr()
    assert cli.main(["predict", str(out), str(tmp_path / "new.png"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["pictures"]
    assert {one["label"] for one in found["guesses"]} == {"cat", "dog"}


def test_start_writes_the_experiment_from_weights(pictures, weights, tmp_path, capsys):
    out = tmp_path / "mine.py"
    command = ["start", str(pictures), "--weights", str(weights), "--out", str(out)]
    assert cli.main(command) == 0
    made = first_experiment.from_weights(pictures, weights)
    named = first_experiment.named(made.experiment, out)
    assert shipped.load_experiment(str(out)) == named
    assert "weights" in capsys.readouterr().out


def test_finetune_refuses_in_one_line(pictures, weights, tmp_path, capsys):
    for command, line in (
        (
            ["finetune", str(tmp_path), str(pictures)],
            "expected the folder of a network",
        ),
        (["finetune", str(weights), str(tmp_path / "no")], "expected a folder of pic"),
        (["finetune", str(weights), str(pictures), "--side", "0"], "input_sizes"),
    ):
        assert cli.main([*command, "--out", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert line in error and error.count("\n") == 1
        assert not (tmp_path / "run").exists()
