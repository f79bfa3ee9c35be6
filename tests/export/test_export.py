"""Trained networks as files: the same logits, what travels along, what is refused."""

import dataclasses
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from nas_jax import cli, config
from nas_jax.data.batches import Batch
from nas_jax.export import companions, formats, preprocessing, source, stablehlo, write
from nas_jax.export.preprocessing import Preprocessing
from nas_jax.latency import tables
from nas_jax.latency.runtimes import litert_graph
from nas_jax.latency.schema import PROVENANCE
from nas_jax.networks import checkpoint, network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.networks.pretrained import torch_import
from nas_jax.runs import run_folder, setup
from nas_jax.spaces import architecture_json, builders, published
from nas_jax.spaces.architecture import from_path
from tests.data import photographs
from tests.fixtures import FIXTURES

REFERENCE = FIXTURES / "reference"
CHECKPOINT = REFERENCE / "proxyless-w0.3-r176_imagenet.json"
EXPERIMENT = config.Experiment(
    name="small",
    space=config.SpaceConfig(
        name="small",
        input_size=8,
        input_channels=1,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8, 16),
        cells=(2, 1),
        strides=(1, 2),
        candidates=("mb3_k3", "mb3_k5", "zero"),
        head_channels=16,
    ),
    data=config.DataConfig(train_weights=40, train_alphas=40, valid=20, test=50),
    latency=config.LatencyConfig(batch=4, repeats=3, loop_ms=0.1),
    search=config.SearchConfig(batch=20, arch_batch=20),
    train=config.TrainConfig(batch=40),
)
SPACE = builders.mobile(EXPERIMENT.space)
ENTRY = dict.fromkeys(("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms"), 0.25)


def drawn(architecture, seed=0):
    """The network with drawn weights of ordinary size, float32."""
    rng = np.random.default_rng(seed)
    pairs = [graphs.random_weights(part, rng) for part in architecture.parts]
    trees = network.assemble_parts(architecture, pairs)
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), trees)
    return Model(architecture, *single)


@pytest.fixture(scope="module")
def quick():
    """Timing without spreading the rounds over seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write.timing, "SPREAD_S", 0.0)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run folder as training leaves it."""
    folder = tmp_path_factory.mktemp("home") / "run"
    run_folder.create(EXPERIMENT, folder, folder.parent)
    found = from_path(SPACE, [1, 2, 0], "searched")
    (folder / "architecture.json").write_text(architecture_json.to_json(found))
    checkpoint.save_model(folder / "checkpoints" / "searched", drawn(found))
    other = from_path(SPACE, [0, 0, 0], "baseline")
    checkpoint.save_model(folder / "checkpoints" / "baseline", drawn(other))
    names = {str: "made up", int: 1}
    provenance = {key: names[kind] for key, kind in PROVENANCE.items()}
    provenance["method"] = "operations"
    parts = tables.required_parts(SPACE)
    entries = {part.key: tables.Entry(**ENTRY, count=2) for part in parts}
    table = tables.LatencyTable(entries, provenance)
    tables.save(table, folder / "latency_table.json")
    return folder


@pytest.fixture(scope="module")
def exported(home, quick):
    """The run after `export` of both formats that this environment always has."""
    assert cli.main(["export", str(home), "--format", "onnx,stablehlo"]) == 0
    return home


@pytest.fixture
def run(home, tmp_path, quick):
    """A copy of the run, not exported."""
    copy = shutil.copytree(home, tmp_path / "run")
    shutil.rmtree(copy / "export", ignore_errors=True)
    return copy


def said(folder):
    return json.loads((folder / "export" / "result.json").read_text())["networks"]


def refused(capsys, *words):
    """The one line that a command ends with."""
    assert cli.main([str(word) for word in words]) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    (line,) = [one for one in stderr.splitlines() if one.startswith("nas_jax: ")]
    return line.removeprefix("nas_jax: ")


# --- the files -----------------------------------------------------------------------


def test_files_of_an_export(exported):
    assert {path.name for path in (exported / "export").iterdir()} == {
        "searched.onnx",
        "searched.stablehlo",
        "searched.stablehlo.sha256",
        "labels.txt",
        "preprocessing.json",
        "result.json",
    }
    labels = (exported / "export" / "labels.txt").read_text()
    assert labels == "".join(f"{digit}\n" for digit in range(10))


@pytest.mark.parametrize("batch", [1, 5])
def test_files_compute_what_the_network_does_without_this_package(exported, batch):
    """Read by the runtimes alone, at any batch size."""
    model = checkpoint.load_model(exported / "checkpoints" / "searched")
    images = np.random.default_rng(1).normal(size=(batch, 8, 8, 1)).astype(np.float32)
    expected = np.asarray(model(images))
    assert np.abs(expected).max() > 0.1
    session = onnxruntime.InferenceSession(exported / "export" / "searched.onnx")
    (logits,) = session.run(["logits"], {"images": images.transpose(0, 3, 1, 2)})
    assert np.abs(logits - expected).max() <= 1e-4
    content = (exported / "export" / "searched.stablehlo").read_bytes()
    logits = jax.export.deserialize(bytearray(content)).call(images)
    assert np.abs(logits - expected).max() <= 1e-6


def test_onnx_is_folded_checked_and_of_any_batch_size(exported):
    graph = onnx.load(exported / "export" / "searched.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    (source,) = graph.graph.input
    assert source.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert (
        graph.opset_import[0].version
        == said(exported)["searched"]["formats"]["onnx"]["opset"]
    )


def test_stablehlo_is_for_three_platforms_each_in_its_own_form(exported):
    content = (exported / "export" / "searched.stablehlo").read_bytes()
    found = jax.export.deserialize(bytearray(content))
    assert found.platforms == ("cpu", "cuda", "tpu")
    text = found.mlir_module()
    groups = re.findall(
        r"= stablehlo\.convolution\(.*feature_group_count = (\d+)", text
    )
    # the stem; on other platforms than the CPU the two depthwise convolutions
    assert groups.count("24") == 2 * groups.count("1") > 0
    assert set(groups) == {"1", "24"}
    assert "stablehlo.optimization_barrier" in text


@pytest.mark.parametrize("name", ["searched.stablehlo", "searched.onnx"])
def test_a_file_tells_nothing_of_the_folders_it_was_made_in(exported, name):
    content = (exported / "export" / name).read_bytes()
    assert b".py" not in content and str(Path.home()).encode() not in content


def test_result_says_what_was_proven_and_measured(exported):
    found = said(exported)["searched"]
    model = checkpoint.load_model(exported / "checkpoints" / "searched")
    assert found["architecture"]["name"] == "searched"
    leaves = jax.tree.leaves(model.params)
    assert found["params"] == sum(leaf.size for leaf in leaves)
    # stem, two blocks, head, classifier: zero is free
    assert found["predicted_ms"] == pytest.approx(5 * 0.25)
    assert found["predicted_for"]["runtime"] == "made up"
    assert set(found["formats"]) == {"onnx", "stablehlo"}
    for name, bound in (("onnx", 1e-4), ("stablehlo", 1e-6)):
        one = found["formats"][name]
        path = exported / "export" / one["file"]
        assert one["bytes"] == path.stat().st_size
        assert (one["inputs"], one["images"]) == ("test images", 50)
        assert 0 <= one["max_abs_difference"] <= bound
        assert one["batch"] == 4
        ms = one["measured_ms"]
        assert 0 < ms["q25"] <= ms["median"] <= ms["q75"]
        assert {"versions", "device", "commit"} == set(one["provenance"])


def test_difference_is_the_largest_and_nan_is_refused():
    expected = np.array([[1.0, -2.0], [30.0, 0.0]])
    found = expected + np.array([[0.0, 1e-4], [-2e-4, 0.0]])
    # logits up to 30: three times the bound
    assert write.difference("onnx", found, expected) == pytest.approx(2e-4)
    with pytest.raises(ValueError, match=r"within 1.0e-04 of JAX's, got .* 2.0e-04"):
        write.difference("onnx", expected / 3 + 2e-4, expected / 3)
    with pytest.raises(ValueError, match=r"stablehlo: expected logits within 3.0e-05"):
        write.difference("stablehlo", found, expected)
    with pytest.raises(ValueError, match="got a difference of nan"):
        write.difference("onnx", found * np.nan, expected)


def test_file_that_computes_something_else_is_not_written(run, monkeypatch, capsys):
    found = checkpoint.load_model(run / "checkpoints" / "searched")
    broken = jax.tree.map(np.asarray, found.params)
    broken["classifier"]["bias"] = broken["classifier"]["bias"] + np.float32(1e-3)
    wrong = dataclasses.replace(found, params=broken)
    encode = formats.onnx.encode
    monkeypatch.setattr(formats.onnx, "encode", lambda model: encode(wrong))
    line = refused(capsys, "export", run, "--format", "onnx")
    assert line.startswith("onnx: expected logits within 1.0e-04 of JAX's, got a diff")
    assert not (run / "export").exists()


def test_later_exports_keep_what_still_holds(run, capsys):
    assert cli.main(["export", str(run), "--format", "onnx"]) == 0
    first = said(run)["searched"]["formats"]["onnx"]
    assert cli.main(["export", str(run), "--format", "stablehlo"]) == 0
    assert said(run)["searched"]["formats"]["onnx"] == first
    words = ["export", str(run), "--format", "onnx", "--network", "baseline"]
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["networks"]
    assert printed == said(run)
    assert set(printed) == {"searched", "baseline"}
    assert set(printed["searched"]["formats"]) == {"onnx", "stablehlo"}
    # a network of the same name that is another one
    found = from_path(SPACE, [0, 0, 1], "searched")
    shutil.rmtree(run / "checkpoints" / "searched")
    checkpoint.save_model(run / "checkpoints" / "searched", drawn(found))
    assert cli.main(["export", str(run), "--format", "onnx"]) == 0
    assert set(said(run)["searched"]["formats"]) == {"onnx"}


def test_export_prints_files_and_prediction(run, capsys):
    assert cli.main(["export", str(run), "--format", "onnx"]) == 0
    out = capsys.readouterr().out
    assert "searched.onnx" in out
    assert "on 50 test images" in out
    assert (
        "predicted: 1.2500 ms (made up made up, batch 1, 1 thread(s), made up)" in out
    )


# --- parity --------------------------------------------------------------------------


def logits_of(model, images):
    """JAX's logits; in as many at a time as in StableHLO, which rounds alike then."""
    step = formats.stablehlo.PIECE
    pieces = [images[start : start + step] for start in range(0, len(images), step)]
    return np.concatenate([np.asarray(model(piece)) for piece in pieces])


def parity(model, images):
    """Largest difference of a logit by format, and the largest logit."""
    expected, found = logits_of(model, images), {}
    for name, one in (("onnx", formats.onnx), ("stablehlo", formats.stablehlo)):
        logits = one.decode(one.encode(model), name).run(images)
        found[name] = float(np.abs(logits - expected).max())
    found["largest"] = float(np.abs(expected).max())
    print(f"{model.architecture.name}: {found}")
    return found


def test_real_checkpoint_has_the_same_logits_on_real_images(tmp_path):
    found = torch_import.read_config(CHECKPOINT)
    weights = torch_import.read_state_dict(CHECKPOINT.with_suffix(".pth"))
    model = Model(found, *torch_import.from_tensors(found, weights, "checkpoint"))
    paths = photographs.windows(tmp_path, 32)
    images = preprocessing.read_images(paths, preprocessing.imagenet(176))
    differences = parity(model, images)
    assert differences["onnx"] <= 1e-4
    assert differences["stablehlo"] <= 1e-6


SCALE = np.float32(0.7)


def published_on_real_images(name, folder):
    """A published network with drawn weights, and 32 images as it takes them."""
    model = drawn(published.get(name))
    size = model.architecture.stem.input_size
    paths = photographs.windows(folder, 32)
    images = preprocessing.read_images(paths, preprocessing.imagenet(size))
    if model.architecture.cells:
        # as drawn, its sums would grow to 1e21 on the way through the cells
        params = jax.tree.map_with_path(
            lambda path, leaf: SCALE * leaf if path[-1].key == "scale" else leaf,
            model.params,
        )
        model = dataclasses.replace(model, params=params)
    return model, images


@pytest.mark.slow
@pytest.mark.parametrize("name", published.NAMES)
def test_published_networks_have_the_same_logits_on_real_images(name, tmp_path):
    """With drawn weights: logits are of any size, and StableHLO's held as their share.

    XLA rounds weights in a program and weights that are arguments differently: in JAX
    alone, without any file, by 1.2e-6 on logits of 2 (mobilenet_v2).
    """
    model, images = published_on_real_images(name, tmp_path)
    differences = parity(model, images)
    assert differences["largest"] < 100
    assert differences["onnx"] <= 1e-4 * max(1, differences["largest"] / 10)
    assert differences["stablehlo"] <= 1e-6 * max(1, differences["largest"])


def test_tree_cells_have_the_same_logits_on_real_images(tmp_path):
    searched = builders.tree(
        config.TreeConfig(
            input_size=16, stem_channels=4, cells_per_stage=1, last_channels=24
        )
    )
    path = np.arange(len(searched.layers)) % len(searched.candidates)
    model = drawn(from_path(searched, path, "tree"))
    paths = photographs.windows(tmp_path, 32)
    images = preprocessing.read_images(paths, preprocessing.imagenet(16))
    differences = parity(model, images)
    assert differences["onnx"] <= 1e-4
    assert differences["stablehlo"] <= 1e-6


# --- a network without a run ---------------------------------------------------------


@pytest.fixture
def alone(tmp_path, quick):
    """A folder as import-torch writes it, of a network for colour images."""
    colour = dataclasses.replace(EXPERIMENT.space, input_channels=3, classes=4)
    found = from_path(builders.mobile(colour), [1, 2, 0], "alone")
    checkpoint.save_model(tmp_path / "alone", drawn(found))
    return tmp_path / "alone"


def test_network_alone_is_told_about_its_images(alone, tmp_path):
    (tmp_path / "labels").write_text("cat\ndog\r\nowl and hawk\npalace")
    given = Preprocessing(8, 9, (0.1, 0.2, 0.3), (1.0, 1.0, 0.5))
    (tmp_path / "prepare").write_text(preprocessing.to_json(given))
    words = ["--preprocessing", tmp_path / "prepare", "--labels", tmp_path / "labels"]
    words = ["export", alone, "--format", "onnx", *words]
    words += ["--images", *photographs.FILES]
    assert cli.main(list(map(str, words))) == 0
    found = companions.read(alone / "export")
    assert found.labels == ("cat", "dog", "owl and hawk", "palace")
    assert found.preprocessing == given
    one = said(alone)["alone"]
    assert one["predicted_ms"] is None
    assert one["formats"]["onnx"]["inputs"] == "images"
    assert one["formats"]["onnx"]["images"] == 2


def test_network_alone_without_images_is_compared_on_drawn_numbers(alone, capsys):
    words = ["export", str(alone), "--format", "onnx", "--preprocessing", "imagenet"]
    assert cli.main(words) == 0
    assert "on 32 standard normal numbers" in capsys.readouterr().out
    assert (alone / "export" / "labels.txt").read_text() == "0\n1\n2\n3\n"
    assert companions.read(alone / "export").preprocessing == preprocessing.imagenet(8)


def test_what_does_not_fit_a_network_alone_is_refused(alone, tmp_path, capsys):
    command = ["export", alone, "--format", "onnx"]
    line = refused(capsys, *command)
    assert line.startswith("--preprocessing: expected how images are prepared, as this")
    grey = tmp_path / "grey"
    grey.write_text(preprocessing.to_json(Preprocessing(8, 8, (0.0,), (1.0,))))
    line = refused(capsys, *command, "--preprocessing", grey)
    assert line.endswith(
        "side 8 with 3 channels, as the network takes, got side 8 with 1"
    )
    line = refused(capsys, *command, "--preprocessing", tmp_path / "none")
    assert line.endswith("none: expected 'imagenet' or a file, found none")
    command += ["--preprocessing", "imagenet"]
    (tmp_path / "labels").write_text("cat\ndog\n")
    line = refused(capsys, *command, "--labels", tmp_path / "labels")
    assert line.endswith("labels: expected 4 lines, one per class, got 2")
    (tmp_path / "labels").write_text("cat\n\ndog\nowl\n")
    line = refused(capsys, *command, "--labels", tmp_path / "labels")
    assert line.endswith("expected one label a line, none of them empty")
    line = refused(capsys, *command, "--images", photographs.FILES[0], grey)
    assert line == f"{grey}: expected an image, got: no known format"
    line = refused(capsys, *command, "--network", "other")
    assert line.startswith("--network other: expected a run folder, got")
    assert not (alone / "export").exists()


# --- what is refused -----------------------------------------------------------------


def test_run_that_was_not_trained_names_the_command(run, capsys):
    command = ["export", run, "--format", "onnx"]
    line = refused(capsys, *command, "--network", "nobody")
    assert (
        "expected a trained network 'nobody' in checkpoints/, found baseline, " in line
    )
    shutil.rmtree(run / "checkpoints")
    assert refused(capsys, *command) == (
        f"{run}: expected a trained network 'searched' in checkpoints/, found none; "
        f"train the derived one with 'nas_jax train {run}'"
    )
    (run / "architecture.json").unlink()
    assert refused(capsys, *command) == (
        f"{run}: expected a finished run with architecture.json, found none; go on "
        f"with it: 'nas_jax search --resume {run}'"
    )
    line = refused(capsys, "export", run / "nowhere", "--format", "onnx")
    assert "nowhere: expected a saved network" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--format tflite", "--format: expected some of onnx, stablehlo, litert, li"),
        ("--format onnx,onnx", "--format: expected some of onnx, stablehlo, li"),
        ("--format onnx --converter python", "--converter: expected with --format lit"),
        ("--format onnx --preprocessing imagenet", "a run folder and knows its data"),
        ("", "expected --format, got none; see nas_jax export --help"),
    ],
)
def test_flags_that_do_not_fit_are_refused(words, message, run, capsys):
    assert message in refused(capsys, "export", run, *words.split())
    assert not (run / "export").exists()


def test_result_of_something_else_is_not_overwritten(run, capsys):
    (run / "export").mkdir()
    (run / "export" / "result.json").write_text("{")
    line = refused(capsys, "export", run, "--format", "onnx")
    assert "result.json: expected what an earlier export wrote, got" in line
    assert [path.name for path in (run / "export").iterdir()] == ["result.json"]


# --- predict -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three digits of the data set as picture files, white on black, and what a
    network is given for them."""
    folder = tmp_path_factory.mktemp("pictures")
    test = setup.load(EXPERIMENT).splits["test"]
    mean, std = companions.digits.statistics(8)
    paths = []
    for index in range(3):
        values = (test.images[index, ..., 0] * std + mean) * 255
        paths.append(folder / f"{index}.png")
        Image.fromarray(np.rint(values).astype(np.uint8)).save(paths[-1])
    return paths, test.images[:3]


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
def test_predict_says_what_the_network_does(suffix, exported, pictures, capsys):
    paths, images = pictures
    model = checkpoint.load_model(exported / "checkpoints" / "searched")
    shares = np.asarray(jax.nn.softmax(model(images)))
    file = exported / "export" / f"searched.{suffix}"
    words = ["predict", str(file), *map(str, paths)]
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["pictures"]
    assert [one["image"] for one in found] == list(map(str, paths))
    for one, expected in zip(found, shares, strict=True):
        top = [(int(guess["label"]), guess["probability"]) for guess in one["guesses"]]
        assert len(top) == 5
        assert [label for label, _ in top] == np.argsort(-expected)[:5].tolist()
        # the pictures are rounded to 8 bits
        np.testing.assert_allclose(
            [share for _, share in top], np.sort(expected)[::-1][:5], atol=0.02
        )
    assert cli.main([*words, "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(paths[0])
    assert lines[1].split() == [f"{shares[0].max():.1%}", str(shares[0].argmax())] or (
        lines[1].split()[1] == str(shares[0].argmax())
    )
    assert len(lines) == 6


@pytest.fixture
def files(exported, tmp_path):
    return shutil.copytree(exported / "export", tmp_path / "files")


def test_predict_names_every_picture_that_is_none(files, pictures, tmp_path, capsys):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no picture")
    wrong = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    model = files / "searched.onnx"
    line = refused(capsys, "predict", model, wrong[0], pictures[0][0], wrong[1])
    assert line == "; ".join(
        f"{path}: expected an image, got: no known format" for path in wrong
    )


@pytest.mark.parametrize("suffix", ["onnx", "stablehlo"])
@pytest.mark.parametrize("content", [b"", b"no model at all, but text", bytes(3000)])
def test_predict_refuses_a_file_that_is_no_model(
    suffix, content, files, pictures, capsys
):
    path = files / f"searched.{suffix}"
    path.write_bytes(content)
    line = refused(capsys, "predict", path, pictures[0][0])
    assert line.startswith(f"{path}: expected ")
    said = {"onnx": ", got another file (", "stablehlo": ", got other bytes; "}
    assert said[suffix] in line
    if suffix == "stablehlo":
        with pytest.raises(ValueError, match=r"got another file \("):
            stablehlo.decode(content, "m.stablehlo")


def test_predict_refuses_a_damaged_model(files, pictures, capsys):
    path = files / "searched.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(capsys, "predict", path, pictures[0][0]).startswith(f"{path}: expec")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("searched.onnx", b"pads", b"\xffads"),  # the checker's own text breaks
        # a session is made of it, only a run finds out
        ("searched.onnx", b"kernel_shape@\x03@\x03", b"kernel_shape@\x01@\x03"),
    ],
)
def test_predict_refuses_a_changed_model(name, old, new, files, pictures, capsys):
    path = files / name
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    assert refused(capsys, "predict", path, pictures[0][0]).startswith(f"{path}: expec")


def test_stablehlo_that_only_xla_finds_wrong_is_one_line(exported):
    content = (exported / "export" / "searched.stablehlo").read_bytes()
    found = stablehlo.decode(content.replace(b"main", b"mbin"), "m.stablehlo")
    with pytest.raises(ValueError, match=r"^m\.stablehlo: expected a program that XLA"):
        found.run(np.zeros((1, 8, 8, 1), np.float32))


def test_predict_asks_for_the_bytes_of_a_program(files, pictures, capsys):
    """XLA ends the process for some that are damaged (a null pointer)."""
    path, digest = (files / f"searched.stablehlo{end}" for end in ("", ".sha256"))
    content = path.read_bytes()
    assert digest.read_text().split() == [
        hashlib.sha256(content).hexdigest(),
        path.name,
    ]
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert refused(capsys, "predict", path, pictures[0][0]) == (
        f"{path}: expected the file that searched.stablehlo.sha256 was written with, "
        "got other bytes; copy both, or export the network again"
    )
    digest.unlink()
    assert refused(capsys, "predict", path, pictures[0][0]) == (
        f"{digest}: expected this file beside the model, found none; 'nas_jax export' "
        "writes it, copy it along with the model"
    )


def test_predict_names_what_is_missing_beside_the_model(files, pictures, capsys):
    model, picture = files / "searched.onnx", pictures[0][0]
    (files / "labels.txt").write_text("a\nb\n")
    line = refused(capsys, "predict", model, picture)
    assert line.endswith(
        "labels.txt: expected 10 labels, one per class of searched.onnx, got 2"
    )
    for name in ("labels.txt", "preprocessing.json"):
        (files / name).unlink()
        line = refused(capsys, "predict", model, picture)
        assert line.startswith(f"{files / name}: expected this file beside the model")
        assert "'nas_jax export' writes it" in line


def test_predict_refuses_flags_and_names_that_do_not_fit(files, pictures, capsys):
    picture = pictures[0][0]
    line = refused(capsys, "predict", files / "labels.txt", picture)
    assert line.endswith("expected a model file (.onnx, .stablehlo, .tflite)")
    line = refused(capsys, "predict", files / "none.onnx", picture)
    assert line.endswith("none.onnx: expected a model file, found none")
    line = refused(capsys, "predict", files / "searched.onnx", picture, "--top", "0")
    assert line == "--top: expected 1 or more, got 0"


# --- LiteRT --------------------------------------------------------------------------

CONVERTER = os.environ.get("NAS_JAX_LITERT_CONVERTER")
has_litert = pytest.mark.skipif(
    CONVERTER is None or importlib.util.find_spec("ai_edge_litert") is None,
    reason="needs ai-edge-litert, and NAS_JAX_LITERT_CONVERTER: the Python of an "
    "environment with litert-converter",
)
INT8_NAMES = ("litert", "litert-int8")


def _has_quantiser():
    if CONVERTER is None:
        return False
    words = [CONVERTER, "-c", "import litert_quantizer"]
    return subprocess.run(words, capture_output=True).returncode == 0


has_quantiser = pytest.mark.skipif(
    has_litert.args[0] or not _has_quantiser(),
    reason="needs what LiteRT does, and litert-quantizer in the same environment",
)


@has_litert
def test_litert_file_has_the_same_logits_and_predicts(run, pictures, capsys):
    words = ["--format", "litert,onnx", "--converter", CONVERTER]
    assert cli.main(["export", str(run), *words]) == 0
    one = said(run)["searched"]["formats"]["litert"]
    assert one["max_abs_difference"] <= 1e-4
    assert (one["file"], one["batch"], one["images"]) == ("searched.tflite", 1, 50)
    capsys.readouterr()
    answers = []
    for suffix in ("tflite", "onnx"):
        file = run / "export" / f"searched.{suffix}"
        assert cli.main(["predict", str(file), *map(str, pictures[0])]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


@has_quantiser
def test_8_bit_file_is_small_and_says_what_it_loses(run, pictures, capsys):
    words = ["--format", "litert,litert-int8", "--converter", CONVERTER]
    assert cli.main(["export", str(run), *words]) == 0
    float_file, small = (said(run)["searched"]["formats"][name] for name in INT8_NAMES)
    file = run / "export" / small["file"]
    assert file.name == "searched_int8.tflite"
    # what is not weights is the same size in both
    assert small["bytes"] == file.stat().st_size < float_file["bytes"]
    assert small["max_abs_difference"] > 1e-4
    assert (small["images"], float_file["same_top1"]) == (50, 1.0)
    assert small["same_top1"] >= 0.8
    assert small["top1_of_jax"] == float_file["top1_of_jax"] == float_file["top1"]
    assert abs(small["top1"] - small["top1_of_jax"]) <= 1 - small["same_top1"]
    details = formats.litert.litert.interpreter(file.read_bytes(), 1)
    kinds = {one["dtype"] for one in details.get_tensor_details()}
    assert np.int8 in kinds
    assert details.get_input_details()[0]["dtype"] is np.float32
    capsys.readouterr()
    assert cli.main(["predict", str(file), *map(str, pictures[0]), "--top", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


@has_quantiser
def test_8_bit_file_of_a_network_alone_is_calibrated_on_pictures(alone, capsys):
    told = ["--preprocessing", "imagenet", "--converter", CONVERTER]
    command = ["export", alone, "--format", "litert-int8", *told]
    line = refused(capsys, *command)
    assert line.endswith("do, got none; give --calibration")
    assert not (alone / "export").exists()
    command += ["--calibration", *photographs.FILES]
    assert cli.main(list(map(str, command))) == 0
    small = said(alone)["alone"]["formats"]["litert-int8"]
    assert small["top1"] is None and 0 < small["same_top1"] <= 1


def test_environment_without_the_converter_is_told():
    """This one's Python has none."""
    converter = litert_graph.Converter(sys.executable)
    with pytest.raises(ValueError, match=r"litert-converter==.* got: ModuleNotFound"):
        converter.convert(lambda x: x, (1, 2, 2, 1))
    converter.close()


def test_environment_without_the_quantiser_is_told(monkeypatch):
    """This one's Python has none."""
    monkeypatch.setattr(formats.litert, "encode", lambda model, converter: b"")
    converter = types.SimpleNamespace(python=sys.executable)
    images = np.zeros((1, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match=r"expected litert-quantizer==.* got: Module"):
        formats.litert.encode_int8(None, converter, images)


def test_pictures_to_calibrate_on_are_asked_for_and_read(alone, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    given = source.Given("imagenet", calibration=(tmp_path / "empty",))
    found = source.read(alone, None, given)
    with pytest.raises(ValueError, match="empty: expected pictures, found none"):
        found.calibration()
    given = source.Given("imagenet", calibration=photographs.FILES)
    assert source.read(alone, None, given).calibration().shape == (2, 8, 8, 3)
    found = source.read(alone, None, source.Given("imagenet"))
    with pytest.raises(ValueError, match="got none; give --calibration"):
        formats.litert.encode_int8(found.model, None, found.calibration())


def test_images_of_a_sorted_split_are_of_all_classes():
    labels = np.repeat(np.arange(10), 30)
    split = Batch(np.zeros((300, 8, 8, 1), np.float32), labels)
    assert np.bincount(source.spread(split, 50).labels).tolist() == [5] * 10
    assert len(source.spread(split, 1000).labels) == 300


def test_proof_counts_images_that_are_seen_alike_and_right():
    expected = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    found = expected[:, ::-1] * [[0.0], [-1.0], [-1.0], [0.1]]
    labels = np.array([0, 1, 1, 0])
    one = write.proof("litert-int8", found, expected, labels)
    # seen as: 0, 1, 0, 0
    assert (one["same_top1"], one["top1"], one["top1_of_jax"]) == (0.75, 0.75, 0.5)
    assert one["max_abs_difference"] == 3.0
    one = write.proof("litert-int8", found, expected, None)
    assert (one["top1"], one["top1_of_jax"]) == (None, None)
    with pytest.raises(ValueError, match="got a difference of nan"):
        write.proof("litert-int8", found * np.nan, expected, labels)


@has_litert
@pytest.mark.slow
@pytest.mark.parametrize("name", published.NAMES)
def test_published_networks_have_the_same_logits_in_litert(name, tmp_path):
    model, images = published_on_real_images(name, tmp_path)
    converter = litert_graph.Converter(CONVERTER)
    content = formats.litert.encode(model, converter)
    converter.close()
    found = formats.FORMATS["litert"].decode(content, name).run(images)
    expected = logits_of(model, images)
    difference = np.abs(found - expected).max()
    print(f"{name}: {difference:.1e}, |logit| <= {np.abs(expected).max():.1e}")
    assert difference <= 1e-4 * max(1, np.abs(expected).max() / 10)


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is not None, reason="it is installed"
)
def test_missing_runtime_names_the_extra(run, pictures, capsys):
    line = refused(capsys, "export", run, "--format", "litert")
    assert line.startswith("runtime litert: expected the package ai-edge-litert, got")
    assert line.endswith("install it with `pip install 'nas_jax[litert]'`")
    (run / "searched.tflite").write_bytes(b"")
    assert refused(capsys, "predict", run / "searched.tflite", pictures[0][0]) == line


def test_missing_converter_is_told_how_to_make_it(run, capsys, monkeypatch):
    monkeypatch.setattr(formats, "require_litert", lambda: None)
    line = refused(capsys, "export", run, "--format", "onnx,litert")
    assert line.startswith("--converter: expected the Python of an environment with")
    assert "python -m venv litert_env" in line
    assert not (run / "export").exists()
