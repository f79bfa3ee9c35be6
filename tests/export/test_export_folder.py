"""The folder `export/`: its files, its result.json, its refusals."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.export import export_folder, formats
from nas_jax.networks import checkpoint
from nas_jax.spaces.architecture import from_path
from tests.drawn import drawn
from tests.export.small_export import SPACE, refused, said


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
    assert export_folder.difference("onnx", found, expected) == pytest.approx(2e-4)
    with pytest.raises(ValueError, match=r"within 1.0e-04 of JAX's, got .* 2.0e-04"):
        export_folder.difference("onnx", expected / 3 + 2e-4, expected / 3)
    with pytest.raises(ValueError, match=r"stablehlo: expected logits within 3.0e-05"):
        export_folder.difference("stablehlo", found, expected)
    with pytest.raises(ValueError, match="got a difference of nan"):
        export_folder.difference("onnx", found * np.nan, expected)


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--format tflite", "--format: expected some of onnx, onnx-int8, stab"),
        ("--format onnx,onnx", "--format: expected some of onnx, onnx-int8, stab"),
        ("--format onnx --converter python", "--converter: expected with --format lit"),
        ("--format onnx --preprocessing imagenet", "a run folder and knows its data"),
        ("", "expected --format, got none; usage: nas_jax export FOLDER --format STR "),
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


def test_proof_counts_images_that_are_seen_alike_and_right():
    expected = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    found = expected[:, ::-1] * [[0.0], [-1.0], [-1.0], [0.1]]
    labels = np.array([0, 1, 1, 0])
    one = export_folder.proof("litert-int8", found, expected, labels)
    # seen as: 0, 1, 0, 0
    assert (one["same_top1"], one["top1"], one["top1_of_jax"]) == (0.75, 0.75, 0.5)
    assert one["max_abs_difference"] == 3.0
    one = export_folder.proof("litert-int8", found, expected, None)
    assert (one["top1"], one["top1_of_jax"]) == (None, None)
    with pytest.raises(ValueError, match="got a difference of nan"):
        export_folder.proof("litert-int8", found * np.nan, expected, labels)
