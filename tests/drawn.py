"""A network with weights that were drawn, for tests of what is done with them."""

import jax
import numpy as np

from nas_jax.networks import network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs


def drawn(architecture, seed=0):
    """The network with drawn weights of ordinary size, float32."""
    rng = np.random.default_rng(seed)
    pairs = [graphs.random_weights(part, rng) for part in architecture.parts]
    trees = network.assemble_parts(architecture, pairs)
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), trees)
    return Model(architecture, *single)
