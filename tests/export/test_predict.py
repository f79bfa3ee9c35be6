"""Guesses of an exported model, and the files that are refused."""

import hashlib
import json

import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.export import stablehlo
from nas_jax.networks import checkpoint
from tests.export.small_export import refused


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


def test_predict_names_every_picture_that_is_none_and_goes_on(
    files, pictures, tmp_path, capsys
):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no picture")
    wrong = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    words = ["predict", files / "searched.onnx", wrong[0], pictures[0][0], wrong[1]]
    assert cli.main([*map(str, words), "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)["pictures"]
    assert [sorted(one) for one in found] == [
        ["error", "image"],
        ["guesses", "image"],
        ["error", "image"],
    ]
    for path, one in zip(wrong, (found[0], found[2]), strict=True):
        line = f"{path}: expected a picture, got: text"
        assert one["error"] == line
        assert line in err
    assert "2 of 3 pictures could not be read" in err
    assert cli.main(["predict", *map(str, [words[1], *wrong])]) == 1
    assert "2 of 2 pictures" in capsys.readouterr().err
    assert cli.main(["predict", str(words[1]), str(wrong[0])]) == 1
    assert "of 1" not in capsys.readouterr().err  # the line above says it all
    (tmp_path / "abc.csv").write_text("")
    assert cli.main(["predict", str(words[1]), str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err.endswith(f"did you mean {tmp_path / 'a.jpg'}?\n")


def test_predict_takes_folders_patterns_and_a_run(exported, pictures, tmp_path, capsys):
    inside = tmp_path / "new" / "deeper"
    inside.mkdir(parents=True)
    for place, path in enumerate(pictures[0]):
        suffix = ".png" if place % 2 else ".PNG"
        (inside / f"{place}{suffix}").write_bytes(path.read_bytes())
    (inside / "Thumbs.db").write_bytes(bytes(100))
    (inside / ".hidden.png").write_bytes(bytes(100))

    def seen(*words):
        assert cli.main(["predict", *map(str, words), "--json-lines"]) == 0
        out, err = capsys.readouterr()
        return [json.loads(line) for line in out.splitlines()], err

    model = exported / "export" / "searched.onnx"
    every, err = seen(model, tmp_path / "new")
    assert "left out: 1 .db, 1 hidden" in err
    assert [one["image"] for one in every] == sorted(map(str, inside.glob("[0-9]*")))
    assert len(every) == len(pictures[0])
    some, _ = seen(model, tmp_path / "**" / "*.png")
    assert some == [one for one in every if one["image"].endswith("png")]
    assert seen(exported, inside)[0] == every
    assert seen(exported / "export", inside)[0] == every


def test_predict_says_what_a_folder_lacks(exported, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    line = refused(capsys, "predict", exported, tmp_path / "empty")
    assert line.endswith("empty: expected pictures, found none")
    line = refused(capsys, "predict", tmp_path / "empty", tmp_path / "a.jpg")
    expected = "expected a run, or a model file (.onnx, .stablehlo, .tflite), got an "
    assert f"{tmp_path / 'empty'}: {expected}empty folder; " in line
    alone = exported / "checkpoints" / "searched"
    line = refused(capsys, "predict", alone, tmp_path / "a.jpg")
    assert f"got a network alone; nas_jax export {alone} --format onnx writes" in line
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"")
    line = refused(capsys, "predict", tmp_path, tmp_path / "a.jpg")
    assert line.endswith("expected one model file, got a.onnx, b.onnx; name the file")
    assert cli.main(["predict", str(exported), str(tmp_path / "*.jpg")]) == 1
    err = capsys.readouterr().err
    assert "*.jpg: expected a picture, found no file of this pattern" in err


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
    expected = "expected a run, or a model file (.onnx, .stablehlo, .tflite), "
    assert f"labels.txt: {expected}got another file; " in line
    line = refused(capsys, "predict", files / "none.onnx", picture)
    assert f"none.onnx: {expected}found nothing there; " in line
    line = refused(capsys, "predict", files / "searched.onnx", picture, "--top", "0")
    assert line == "--top: expected 1 or more, got 0"
