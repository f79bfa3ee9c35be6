"""Every format computes what the network computes in JAX."""

from pathlib import Path

import jax
import numpy as np
import onnxruntime
import pytest

from nas_jax import config
from nas_jax.data import preprocessing
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import torch_import
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from tests.data import photographs
from tests.drawn import drawn
from tests.export.small_export import (
    CHECKPOINT,
    PUBLISHED,
    parity,
    published_on_real_images,
)


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


@pytest.mark.parametrize("name", ["searched.stablehlo", "searched.onnx"])
def test_a_file_tells_nothing_of_the_folders_it_was_made_in(exported, name):
    content = (exported / "export" / name).read_bytes()
    assert b".py" not in content and str(Path.home()).encode() not in content


def test_real_checkpoint_has_the_same_logits_on_real_images(tmp_path):
    found = torch_import.read_config(CHECKPOINT)
    read = torch_import.read_weights(found, CHECKPOINT.with_suffix(".pth"))
    model = Model(found, *torch_import.from_tensors(found, read.tensors, "checkpoint"))
    paths = photographs.windows(tmp_path, 32)
    images = preprocessing.read_images(paths, preprocessing.imagenet(176))
    differences = parity(model, images)
    assert differences["onnx"] <= 1e-4
    assert differences["stablehlo"] <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
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


@pytest.mark.slow
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
