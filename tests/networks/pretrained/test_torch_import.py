"""A real checkpoint of the reference, its logits, and what the importer refuses.

`parity`: logits of the reference implementation (PyTorch, float32, evaluation mode)
for three photographs, stored; for eight inputs where `../shared/parity` lies beside the
checkout.
"""

import json
import shutil
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.latency.runtimes.onnx_runtime import session
from nas_jax.networks import checkpoint, network
from nas_jax.networks.onnx import graphs
from nas_jax.networks.pretrained import net_config, torch_import
from nas_jax.spaces import published
from nas_jax.spaces.operations import OpSpec
from tests.fixtures import FIXTURES
from tests.networks.pretrained import torch_files

HERE = Path(__file__).resolve().parent
REFERENCE = FIXTURES / "reference"
CONFIG = REFERENCE / "proxyless-w0.3-r176_imagenet.json"
WEIGHTS = REFERENCE / "proxyless-w0.3-r176_imagenet.pth"
COMPLETE = HERE.parents[1] / "shared" / "parity" / "checkpoint_w0.3-r176_logits.npz"
MEAN, STD = (
    np.array(values, np.float32)
    for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)
BOUND = 1e-4  # largest difference of a logit; logits are of order 10


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The folder that the command wrote for the real checkpoint."""
    folder = tmp_path_factory.mktemp("import") / "net"
    assert cli.main(["import", str(WEIGHTS), str(CONFIG), "--out", str(folder)]) == 0
    return folder


def parity():
    """Name -> (normalised image, logits)."""
    stored = np.load(REFERENCE / "proxyless-w0.3-r176_logits.npz")
    images = (stored["images"].astype(np.float32) / 255 - MEAN) / STD
    inputs = {
        str(name): (image, logits)
        for name, image, logits in zip(
            stored["names"], images, stored["logits"], strict=True
        )
    }
    if COMPLETE.exists():
        stored = np.load(COMPLETE)
        for name, image, logits in zip(
            stored["names"], stored["images"], stored["logits"], strict=True
        ):
            inputs[f"complete {name}"] = (image, logits)
    return inputs


def test_real_checkpoint_gives_the_logits_of_the_reference(imported):
    inputs = parity()
    model = checkpoint.load_model(imported)
    images = np.stack([image for image, _ in inputs.values()])
    ours = dict(zip(inputs, np.asarray(model(images)), strict=True))
    for name, (_, expected) in inputs.items():
        error = np.abs(ours[name] - expected).max()
        print(f"{name}: class {ours[name].argmax()}, largest difference {error:.1e}")
        assert error <= BOUND, name
        assert ours[name].argmax() == expected.argmax(), name
    assert ours["china.jpg"].argmax() == 698  # palace
    assert ours["chelsea"].argmax() == 285  # Egyptian cat


def test_export_of_the_real_checkpoint_keeps_its_logits(imported):
    model = checkpoint.load_model(imported)
    graph = graphs.network(model.architecture, model.params, model.batch_stats)
    image, expected = parity()["chelsea"]
    feed = {"images": image.transpose(2, 0, 1)[None]}
    (logits,) = session(graph, threads=1).run(None, feed)
    assert np.abs(logits[0] - expected).max() <= BOUND


def test_imported_folder_names_the_network_and_takes_its_images_only(imported):
    model = checkpoint.load_model(imported)
    assert model.architecture.name == "proxyless-w0_3-r176_imagenet"
    assert model.architecture == torch_import.read_config(CONFIG)
    with pytest.raises(ValueError, match=r"expected shape \[batch, 176, 176, 3\]"):
        model(np.zeros((1, 224, 224, 3), np.float32))


def test_tensors_are_those_of_the_manifest():
    stored = json.loads((REFERENCE / "checkpoint_manifest_w0.3-r176.json").read_text())
    expected = {
        name: tuple(shape)
        for name, shape, _ in stored["state_dict"]
        if not name.endswith(".num_batches_tracked")
    }
    assert torch_import.tensor_shapes(torch_import.read_config(CONFIG)) == expected


@pytest.mark.parametrize(
    ("name", "tensors", "norms"),
    [
        ("proxyless_gpu", 217, 43),
        *((f"proxyless_{kind}", 307, 61) for kind in ("cpu", "mobile", "mobile_14")),
    ],
)
def test_published_checkpoints_have_as_many_tensors_as_ours(name, tensors, norms):
    """260 and 368 with the counters, as the official files have."""
    shapes = torch_import.tensor_shapes(published.get(name))
    assert len(shapes) == tensors
    assert sum(key.endswith("running_mean") for key in shapes) == norms
    assert {217: 260, 307: 368}[tensors] == tensors + norms


# --- a small network -----------------------------------------------------------------

SMALL_CONFIG = """{
 "name": "ProxylessNASNets", "bn": {"momentum": 0.1, "eps": 0.01}, "resolution": 8,
 "first_conv": {"name": "ConvLayer", "kernel_size": 3, "stride": 2, "in_channels": 3,
  "out_channels": 4, "act_func": "relu6"},
 "blocks": [
  {"name": "MobileInvertedResidualBlock", "shortcut": null, "mobile_inverted_conv": {
   "name": "MBInvertedConvLayer", "in_channels": 4, "out_channels": 5,
   "kernel_size": 5, "stride": 2, "expand_ratio": 2}},
  {"name": "MobileInvertedResidualBlock", "shortcut": null, "mobile_inverted_conv":
   null}],
 "feature_mix_layer": {"name": "ConvLayer", "kernel_size": 1, "stride": 1,
  "in_channels": 5, "out_channels": 6, "act_func": "relu6"},
 "classifier": {"name": "LinearLayer", "in_features": 6, "out_features": 7}
}"""
SMALL = net_config.from_json(SMALL_CONFIG, "net")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
CONVOLUTIONS = {
    "first_conv": (4, 3, 3, 3),
    "blocks.0.mobile_inverted_conv.inverted_bottleneck": (8, 4, 1, 1),
    "blocks.0.mobile_inverted_conv.depth_conv": (8, 1, 5, 5),
    "blocks.0.mobile_inverted_conv.point_linear": (5, 8, 1, 1),
    "feature_mix_layer": (6, 5, 1, 1),
}


def small_tensors():
    """The tensors of SMALL in PyTorch's layout, from the list of its layers."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in CONVOLUTIONS.items():
        tensors[f"{name}.conv.weight"] = rng.normal(size=shape)
        for key in NORM[:-1]:
            tensors[f"{name}.bn.{key}"] = rng.uniform(0.5, 1.5, shape[0])
        tensors[f"{name}.bn.num_batches_tracked"] = np.array(3)
    tensors["classifier.linear.weight"] = rng.normal(size=(7, 6))
    tensors["classifier.linear.bias"] = rng.normal(size=7)
    return {
        name: array.astype("<i8" if name.endswith("tracked") else "<f4")
        for name, array in tensors.items()
    }


def without_counters(tensors):
    return {name: one for name, one in tensors.items() if not name.endswith("tracked")}


def torch_forward(tensors, images):
    """The reference's network in NumPy, [B C H W], loops over output positions."""

    def conv(x, name, stride=1, groups=1, activate=True):
        weight = tensors[f"{name}.conv.weight"].astype(np.float64)
        out, _, k, _ = weight.shape
        pad = ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2))
        padded = np.pad(x, pad)
        side = (x.shape[2] - 1) // stride + 1
        y = np.zeros((len(x), out, side, side))
        per_group = x.shape[1] // groups
        for row, column in np.ndindex(side, side):
            window = padded[:, :, row * stride : row * stride + k, column * stride :][
                ..., :k
            ]
            for o in range(out):
                first = o // (out // groups) * per_group
                y[:, o, row, column] = (
                    window[:, first : first + per_group] * weight[o]
                ).sum((1, 2, 3))
        gain, bias, mean, var = (
            tensors[f"{name}.bn.{key}"].reshape(-1, 1, 1) for key in NORM[:-1]
        )
        y = gain * (y - mean) / np.sqrt(var + 0.01) + bias
        return np.clip(y, 0, 6) if activate else y

    block = "blocks.0.mobile_inverted_conv"
    x = conv(images.transpose(0, 3, 1, 2), "first_conv", 2)
    x = conv(x, f"{block}.inverted_bottleneck")
    x = conv(x, f"{block}.depth_conv", 2, groups=8)
    x = conv(x, f"{block}.point_linear", activate=False)
    x = conv(x, "feature_mix_layer").mean((2, 3))
    weight, bias = (tensors[f"classifier.linear.{key}"] for key in ("weight", "bias"))
    return x @ weight.T + bias


@pytest.fixture
def files(tmp_path):
    """Writes SMALL's configuration and some tensors; returns their paths."""

    def write(tensors, form="legacy", config=SMALL_CONFIG, bare=False):
        (tmp_path / "net.config").write_text(config)
        data = torch_files.state_dict(form, tensors)
        if bare:
            storages = torch_files.Storages(form)
            found = {name: storages.tensor(one) for name, one in tensors.items()}
            data = torch_files.write(form, found, storages.data)
        (tmp_path / "net.pth").write_bytes(data)
        return tmp_path / "net.config", tmp_path / "net.pth"

    return write


@pytest.mark.parametrize("form", torch_files.FORMATS)
def test_small_network_computes_what_the_reference_would(form, files, tmp_path):
    tensors = small_tensors()
    config, weights = files(tensors, form)
    torch_import.import_weights(weights, tmp_path / "out", config)
    model = checkpoint.load_model(tmp_path / "out")
    assert model.architecture == SMALL
    assert (SMALL.bn_eps, SMALL.blocks[1].op) == (0.01, OpSpec("zero"))
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    expected = torch_forward(tensors, images)
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-4)


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    chex.assert_trees_all_equal(one, other)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("counters", [True, False])
def test_prefix_counters_and_order_do_not_matter(bare, prefix, counters, files):
    tensors = small_tensors()
    expected = torch_import.from_tensors(SMALL, without_counters(tensors), "here")
    other = {
        prefix + name: array
        for name, array in reversed(tensors.items())
        if counters or not name.endswith("num_batches_tracked")
    }
    _, weights = files(other, bare=bare)
    found = torch_import.read_weights(SMALL, weights).tensors
    assert_equal(torch_import.from_tensors(SMALL, found, "here"), expected)


def test_arrays_have_the_shapes_of_the_network():
    tensors = without_counters(small_tensors())
    made = torch_import.from_tensors(SMALL, tensors, "here")
    for tree, shapes in zip(made, network.shapes(SMALL), strict=True):
        assert jax.tree.map(np.shape, tree) == jax.tree.map(lambda s: s.shape, shapes)


# --- as training scripts save them ---------------------------------------------------

ARGS = torch_files.with_state(
    torch_files.call(torch_files.reference("argparse", "Namespace")), {"lr": 0.1}
)
BEST = torch_files.call(torch_files.reference("numpy.core.multiarray", "scalar"), 71.2)
COUNTERS = "counters left out: 5 (num_batches_tracked)"


def parameter(one):
    rebuild = torch_files.reference("torch._utils", "_rebuild_parameter")
    return torch_files.call(rebuild, one, True, {})


def default_dict(tensors):
    kind = torch_files.reference("collections", "defaultdict")
    items = b"".join(map(torch_files.opcodes, sum(tensors.items(), ())))
    made = torch_files.call(kind, torch_files.reference("builtins", "dict"))
    return torch_files.Raw(made.code + b"(" + items + b"u")


def prefixed(prefix):
    return lambda tensors: {prefix + name: one for name, one in tensors.items()}


# what is done with the tensors, and the line about where they are
SCRIPTS = {
    "plain": (dict, ""),
    "DataParallel": (
        lambda tensors: {"state_dict": prefixed("module.")(tensors)},
        " of 'state_dict', without the prefix 'module.'",
    ),
    "model": (lambda tensors: {"model": tensors, "epoch": 3}, " of 'model'"),
    "net": (lambda tensors: {"net": tensors}, " of 'net'"),
    "model_state_dict": (
        lambda tensors: {"model_state_dict": tensors, "optimizer_state_dict": {}},
        " of 'model_state_dict'",
    ),
    "only the average": (
        lambda tensors: {"state_dict_ema": tensors, "epoch": 3},
        " of 'state_dict_ema'",
    ),
    "arguments": (
        lambda tensors: {"args": ARGS, "state_dict": tensors},
        " of 'state_dict'",
    ),
    "best accuracy": (
        lambda tensors: {"best_acc": BEST, "state_dict": tensors},
        " of 'state_dict'",
    ),
    "compiled": (prefixed("_orig_mod."), ", without the prefix '_orig_mod.'"),
    "Lightning": (
        lambda tensors: {"state_dict": prefixed("model.")(tensors), "epoch": 3},
        " of 'state_dict', without the prefix 'model.'",
    ),
    "two prefixes": (
        lambda tensors: {"state_dict": prefixed("module.model.")(tensors)},
        " of 'state_dict', without the prefix 'module.model.'",
    ),
    "parameters": (lambda tensors: {k: parameter(t) for k, t in tensors.items()}, ""),
    "defaultdict": (default_dict, ""),
}


@pytest.fixture
def command(tmp_path, capsys):
    """Imports an object of tensors by command; its lines, and the model written."""

    def run(made, tensors, form="zip", words=()):
        storages = torch_files.Storages(form)
        stored = {name: storages.tensor(one) for name, one in tensors.items()}
        (tmp_path / "net.config").write_text(SMALL_CONFIG)
        (tmp_path / "net.pth").write_bytes(
            torch_files.write(form, made(stored), storages.data)
        )
        files = str(tmp_path / "net.pth"), str(tmp_path / "net.config")
        out = str(tmp_path / "out")
        assert cli.main(["import", *files, "--out", out, *words]) == 0
        first, *notes, written, last = capsys.readouterr().out.splitlines()
        assert first.startswith("net: input 8, 7 classes, ")
        assert written == f"written: {out}"
        assert last == f"next: nas_jax start PICTURES --weights {out} --out mine.py"
        return notes, checkpoint.load_model(out)

    return run


def assert_has(model, tensors):
    expected = torch_import.from_tensors(SMALL, without_counters(tensors), "here")
    assert_equal(model.params, expected[0])
    assert_equal(model.batch_stats, expected[1])


@pytest.mark.parametrize("form", torch_files.FORMATS)
@pytest.mark.parametrize("kind", SCRIPTS)
def test_checkpoint_of_a_script_is_imported_value_by_value(kind, form, command):
    made, where = SCRIPTS[kind]
    notes, model = command(made, small_tensors(), form)
    assert_has(model, small_tensors())
    assert notes == [f"weights: 27 tensors{where}", COUNTERS]


@pytest.mark.parametrize("kind", ["float16", "float64", "bfloat16"])
def test_weights_of_another_size_are_imported_as_float32(kind, command, monkeypatch):
    brain = np.dtype(jax.numpy.bfloat16)
    monkeypatch.setitem(torch_files.STORAGES, brain, "BFloat16Storage")
    dtype = brain if kind == "bfloat16" else np.dtype(kind)
    saved = {
        name: one.astype(dtype) if one.dtype == np.float32 else one
        for name, one in small_tensors().items()
    }
    notes, model = command(dict, saved)
    rounded = {name: one.astype(np.float32) for name, one in saved.items()}
    assert_has(model, rounded)
    assert notes[-1] == f"made float32: 27 of {kind}"


def test_average_beside_the_weights_is_told_and_taken_by_its_key(command, tmp_path):
    tensors = small_tensors() | prefixed("ema.")(
        {name: one * 2 for name, one in small_tensors().items()}
    )

    def both(stored):
        own = {name: stored[name] for name in small_tensors()}
        ema = {name: stored[f"ema.{name}"] for name in small_tensors()}
        return {"state_dict": own, "state_dict_ema": ema, "epoch": 3}

    notes, model = command(both, tensors)
    assert_has(model, small_tensors())
    assert notes == [
        "weights: 27 tensors of 'state_dict'",
        "'state_dict_ema' fits as well: --key state_dict_ema takes it",
        COUNTERS,
    ]
    shutil.rmtree(tmp_path / "out")
    notes, model = command(both, tensors, words=["--key", "state_dict_ema"])
    assert_has(model, {name: one * 2 for name, one in small_tensors().items()})
    assert notes == ["weights: 27 tensors of 'state_dict_ema'", COUNTERS]


def test_counters_of_thop_are_left_out(command):
    more = {"total_ops": np.ones(1), "blocks.0.total_params": np.ones(1)}
    notes, model = command(dict, small_tensors() | more)
    assert_has(model, small_tensors())
    assert notes[-1] == (
        "counters left out: 7 (num_batches_tracked, total_ops, total_params)"
    )


# --- what is refused -----------------------------------------------------------------


@pytest.fixture
def refused(files, tmp_path, capsys):
    """Imports by command; returns its one line. Nothing may have been written."""

    def run(tensors=None, *words, **written):
        config, weights = files(
            small_tensors() if tensors is None else tensors, **written
        )
        before = set(tmp_path.rglob("*"))
        out = str(tmp_path / "out")
        command = ["import", str(weights), str(config), "--out", out, *words]
        assert cli.main(command) == 2
        stdout, line = capsys.readouterr()
        assert stdout == ""
        assert line.startswith("nas_jax: ")
        assert line.count("\n") == 1
        assert len(line) < 900
        assert set(tmp_path.rglob("*")) == before
        return line.removeprefix("nas_jax: ").strip().replace(f"{tmp_path}/", "")

    return run


BIAS = "classifier.linear.bias"
FIRST = "first_conv.conv.weight"


def test_missing_tensors_are_named(refused):
    tensors = small_tensors()
    del tensors[BIAS]
    assert refused(tensors) == (
        "net.pth at 'state_dict' for 'net': expected 27 tensors by name and shape, "
        "26 fit, got "
        f"1 missing ({BIAS}); is this the configuration of these weights?"
    )
    for name in CONVOLUTIONS:
        del tensors[f"{name}.conv.weight"]
    assert "got 6 missing (" in refused(tensors)
    assert " and 3 more); is this" in refused(tensors)


def test_unknown_tensors_are_named(refused):
    tensors = {**small_tensors(), "blocks.1.mobile_inverted_conv.x": np.ones(2, "<f4")}
    assert "got 1 unknown (blocks.1.mobile_inverted_conv.x); is" in refused(tensors)
    assert "1 unknown (yyy" in refused(
        {**small_tensors(), "y" * 10**4: np.ones(1, "<f4")}
    )


def test_tensors_of_another_shape_are_named(refused):
    tensors = small_tensors()
    tensors[FIRST] = tensors[FIRST].transpose(2, 3, 1, 0)
    assert (
        f"got 1 of another shape ({FIRST} (3, 3, 3, 4) instead of (4, 3, 3, 3)); is"
        in refused(tensors)
    )


def test_number_of_classes_of_the_configuration_must_be_that_of_the_weights(refused):
    config = SMALL_CONFIG.replace('"out_features": 7', '"out_features": 10')
    assert (
        "got 2 of another shape (classifier.linear.bias (7,) instead of (10,), "
        "classifier.linear.weight (7, 6) instead of (10, 6)); is"
    ) in refused(config=config)


def test_weights_of_another_network_are_refused(refused):
    config = net_config.to_json(published.get("proxyless_gpu"))
    line = refused(config=config)
    assert "expected 217 tensors by name and shape, 0 fit, got " in line
    assert all(word in line for word in (" missing (", " of another shape ("))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value, refused):
    tensors = small_tensors()
    tensors[FIRST][0, 1, 2, :2] = value
    assert refused(tensors).startswith(
        f"net.pth at 'state_dict': {FIRST}: expected finite numbers, got 2 that are "
    )


def test_negative_variance_is_refused(refused):
    tensors = small_tensors()
    tensors["first_conv.bn.running_var"][1] = -1e-3
    assert refused(tensors).startswith(
        "net.pth at 'state_dict': first_conv.bn.running_var: expected va"
    )


def test_numbers_of_another_type_are_refused(refused):
    tensors = {**small_tensors(), BIAS: np.ones(7, "<i4")}
    assert refused(tensors) == (
        f"net.pth at 'state_dict': {BIAS}: expected float32 numbers, got int32"
    )


def test_file_without_a_state_dict_is_refused(refused, files, tmp_path):
    config, weights = files(small_tensors())
    for found in ([1], {"state_dict": {"epoch": 3}}, {"epoch": 3}, {"state_dict": 4}):
        weights.write_bytes(torch_files.legacy(found, {}))
        with pytest.raises(ValueError, match="expected tensors by name, got none; sav"):
            torch_import.import_weights(weights, tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_hostile_weights_are_refused_in_one_line(files, tmp_path, capsys):
    config, weights = files(small_tensors())
    marker = tmp_path / "marker"
    system = torch_files.reference("os", "system")
    bad = torch_files.call(system, f"echo ran > {marker}")
    weights.write_bytes(torch_files.legacy({"state_dict": {BIAS: bad}}, {}))
    out = tmp_path / "out"
    assert cli.main(["import", str(weights), str(config), "--out", str(out)]) == 2
    line = capsys.readouterr().err
    assert f"{BIAS}: expected a tensor of plain numbers, got os.system; save" in line
    assert line.count("\n") == 1
    assert not marker.exists()
    assert not out.exists()


def test_unknown_key_is_refused_with_those_there_are(refused):
    line = refused(None, "--key", "ema")
    assert line == (
        "net.pth: --key: expected the key of one network, got 'ema'; tensors are in "
        "'state_dict' (32 tensors)"
    )


def test_folder_that_exists_is_refused(files, tmp_path):
    config, weights = files(small_tensors())
    (tmp_path / "out").mkdir()
    with pytest.raises(
        ValueError, match=r"--out .*out: expected a folder that does not"
    ):
        torch_import.import_weights(weights, tmp_path / "out", config)
    assert list((tmp_path / "out").iterdir()) == []


def test_configuration_is_refused_by_file(refused, files, tmp_path):
    assert refused(config="{").startswith(
        "net.config: reference config: expected JSON, got"
    )
    config, weights = files(small_tensors())
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"expected a net\.config, got no text"):
        torch_import.import_weights(weights, tmp_path / "out", config)
    with pytest.raises(ValueError, match=r"no\.config: cannot be read \(No such file"):
        torch_import.import_weights(weights, tmp_path / "out", tmp_path / "no.config")


def test_input_size_is_checked_and_used(refused, files, tmp_path):
    line = refused(None, "--input-size", "0")
    assert line == "net.config: input size: expected 1 to 1000000, got 0"
    assert refused(None, "--input-size", "x").startswith(
        "--input-size: expected a whole number"
    )
    config, weights = files(small_tensors())
    out = str(tmp_path / "out")
    command = ["import", str(weights), str(config), "--out", out]
    assert cli.main([*command, "--input-size", "12"]) == 0
    assert checkpoint.load_model(out).architecture.input_shape == (12, 12, 3)
