"""LiteRT files, float and 8-bit, and what is asked of their environment."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from nas_jax import cli
from nas_jax.config import shipped
from nas_jax.export import formats
from nas_jax.latency.runtimes import litert, litert_environment, litert_graph
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from tests.data import photographs
from tests.export.small_export import (
    PUBLISHED,
    logits_of,
    published_on_real_images,
    refused,
    said,
)
from tests.networks import test_families as blocks

CONVERTER = os.environ.get("NAS_JAX_LITERT_CONVERTER")
DIGITS = builders.build(shipped.load_experiment("digits_cpu").space)
ENDS = {"Stem": ("input",), "Block": (), "Head": (), "Classifier": ("output",)}
"""Of which parts an end stays float in 8 bits."""
PARTS = {
    type(part).__name__: part
    for part in from_path(DIGITS, [0] * len(DIGITS.layers), "first").parts
}
"""One of each kind; the block is the last, which has a shortcut."""


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
    converter = litert_environment.Converter(sys.executable)
    with pytest.raises(ValueError, match=r"litert-converter==.* got: ModuleNotFound"):
        converter.convert(lambda x: x, (1, 2, 2, 1))
    converter.close()


def test_environment_without_the_quantiser_is_told():
    """This one's Python has none."""
    converter = litert_environment.Converter(sys.executable)
    images = np.zeros((1, 1, 8, 8, 1), np.float32)
    with pytest.raises(ValueError, match=r"expected litert-quantizer==.* got: Module"):
        converter.quantise(b"", images)
    converter.close()


@has_litert
@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_the_same_logits_in_litert(name, tmp_path):
    model, images = published_on_real_images(name, tmp_path)
    converter = litert_environment.Converter(CONVERTER)
    content = formats.litert.encode(model, converter)
    converter.close()
    found = formats.FORMATS["litert"].decode(content, name).run(images)
    expected = logits_of(model, images)
    difference = np.abs(found - expected).max()
    print(f"{name}: {difference:.1e}, |logit| <= {np.abs(expected).max():.1e}")
    assert difference <= 1e-4 * max(1, np.abs(expected).max() / 10)


@has_litert
@pytest.mark.slow
@pytest.mark.parametrize("part", [*blocks.CASES, *blocks.FIXED])
def test_blocks_of_all_families_are_the_same_in_litert(part, converter):
    params, batch_stats, x = blocks.drawn(part)
    compute = litert_graph.of_part(part, params, batch_stats)
    model = litert.interpreter(converter.convert(compute, x.shape), 1)
    model.allocate_tensors()
    model.set_tensor(model.get_input_details()[0]["index"], x)
    model.invoke()
    y = model.get_tensor(model.get_output_details()[0]["index"])
    blocks.close(y, blocks.in_jax(part, params, batch_stats, x))


@has_quantiser
@pytest.mark.parametrize("kind", ENDS)
def test_part_in_8_bits_has_the_ends_that_it_has_in_a_network(kind, converter):
    """Integers, but for a network's own input and output; and about the same values."""
    part, of_part = PARTS[kind], {}
    for is_int8 in (False, True):
        models = litert.Models(1, converter, is_int8=is_int8)
        of_part[is_int8] = litert.interpreter(models.part(part), 1)
    shape = of_part[False].get_input_details()[0]["shape"]
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    expected, both = answered(of_part[False], x)
    found, floats = answered(of_part[True], x)
    assert (both, floats) == (("input", "output"), ENDS[kind])
    kinds = {one["dtype"] for one in of_part[True].get_tensor_details()}
    assert np.int8 in kinds
    assert np.abs(found - expected).mean() <= 0.1 * expected.std()


def answered(model, x):
    """What a model makes of floats, and which of its ends are floats."""
    ends = model.get_input_details()[0], model.get_output_details()[0]
    floats = [one["dtype"] is np.float32 for one in ends]
    (scale, zero), (scale_out, zero_out) = (one["quantization"] for one in ends)
    if not floats[0]:
        x = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
    model.set_tensor(ends[0]["index"], x)
    model.invoke()
    y = model.get_tensor(ends[1]["index"])
    if not floats[1]:
        y = (y.astype(np.float32) - zero_out) * scale_out
    names = zip(("input", "output"), floats, strict=True)
    return y, tuple(name for name, is_float in names if is_float)


@pytest.fixture(scope="module")
def converter():
    made = litert_environment.Converter(CONVERTER)
    yield made
    made.close()


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
