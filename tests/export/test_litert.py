"""LiteRT files, float and 8-bit, and what is asked of their environment."""

import importlib.util
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from nas_jax import cli
from nas_jax.export import formats
from nas_jax.latency.runtimes import litert, litert_graph
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


@has_litert
@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
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


@pytest.fixture(scope="module")
def converter():
    made = litert_graph.Converter(CONVERTER)
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
