"""What is read of a run, or told of a network alone, for its export."""

import shutil

import pytest

from nas_jax import cli
from nas_jax.data import companions, preprocessing
from nas_jax.data.preprocessing import Preprocessing
from nas_jax.export import formats, source
from tests.data import photographs
from tests.export.small_export import refused, said


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
    assert line == f"{grey}: expected a picture, got: text"
    line = refused(capsys, *command, "--network", "other")
    assert line.startswith("--network other: expected a run folder, got")
    assert not (alone / "export").exists()


def test_run_that_was_not_trained_names_the_command(run, capsys):
    command = ["export", run, "--format", "onnx"]
    line = refused(capsys, *command, "--network", "nobody")
    assert (
        "expected a trained network 'nobody' in checkpoints/, found baseline, " in line
    )
    shutil.rmtree(run / "checkpoints")
    assert refused(capsys, *command) == (
        f"{run}: its network is not trained yet; train it: nas_jax train {run}"
    )
    (run / "architecture.json").unlink()
    assert refused(capsys, *command) == (
        f"{run}: this run measured its table and ended: it was stopped, or its target "
        "was out of reach; start again: nas_jax search EXPERIMENT --latency.table "
        f"{run / 'latency_table.json'}"
    )
    line = refused(capsys, "export", run / "nowhere", "--format", "onnx")
    assert "nowhere: expected a run, or the folder of a network, found" in line


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
        formats.calibration("litert-int8", found)
