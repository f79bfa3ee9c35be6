"""A small experiment, networks with drawn weights, and how their files compare."""

import dataclasses
import json

import jax
import numpy as np

from nas_jax import cli, config
from nas_jax.data import preprocessing
from nas_jax.export import formats
from nas_jax.spaces import builders, published
from tests.data import photographs
from tests.drawn import drawn
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


def said(folder):
    return json.loads((folder / "export" / "result.json").read_text())["networks"]


def refused(capsys, *words):
    """The one line that a command ends with."""
    assert cli.main([str(word) for word in words]) == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    (line,) = [one for one in stderr.splitlines() if one.startswith("nas_jax: ")]
    return line.removeprefix("nas_jax: ")


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


SCALE = np.float32(0.7)
PUBLISHED = [
    *(name for name in published.NAMES if name.startswith(("prox", "mobilenet_v2"))),
    *("mobilenet_v3_small", "mobilenet_v4_conv_s", "efficientnet_b0", "fbnet_c"),
]
"""Those of the paper, and one of each family of blocks."""


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
