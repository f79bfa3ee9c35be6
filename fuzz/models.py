"""Exported networks, as `predict` and `evaluate` read them."""

import jax
import numpy as np

from fuzz.case import reader
from nas_jax.data import companions, preprocessing
from nas_jax.export import digest, onnx, predict, stablehlo
from nas_jax.networks import network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import from_path
from tests import small_run
from tests.data import picture_files

_PICTURE = picture_files.encoded(picture_files.pixels(12, 16), "PNG")
_SPACE = builders.mobile(small_run.SPACE)


def _written(encode):
    """What makes the file: a network with drawn weights, its companions beside it."""

    def make(where):
        prepared = preprocessing.Preprocessing(8, 8, (0.5,), (0.5,))
        labels = tuple(map(str, range(10)))
        companions.write(where, companions.Companions(labels, prepared))
        (where / "p.png").write_bytes(_PICTURE)
        drawn = from_path(_SPACE, [0, 2], "small")
        numbers = np.random.default_rng(0)
        pairs = [graphs.random_weights(part, numbers) for part in drawn.parts]
        trees = network.assemble_parts(drawn, pairs)
        single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), trees)
        content = encode(Model(drawn, *single))
        digest.write(where / "m.stablehlo", content)
        return [content]

    return make


@reader("model, ONNX", "m.onnx", "bytes", _written(onnx.encode))
def _(where):
    _predict(where, "m.onnx")


@reader("model, StableHLO", "m.stablehlo", "bytes", _written(stablehlo.encode))
def _(where):
    _predict(where, "m.stablehlo")


def _predict(where, name):
    (seen,) = predict.predict(where / name, [where / "p.png"])
    assert len(seen.guesses) == 5
