"""Trained networks in 8-bit integers, as they ship where `latency.runtime` says so.

Really quantised, with training images that give the ranges, and run in ONNX Runtime:
networks are compared by what is left of them then.
"""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import onnx
from jaxtyping import Float

from nas_jax.data import batches
from nas_jax.data.batches import Split
from nas_jax.latency import tables
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.onnx import graphs
from nas_jax.runs.setup import Setup
from nas_jax.training import losses

CALIBRATING = 256
"""Training images that give an 8-bit network its ranges, at most."""


def notes(setup: Setup) -> list[str]:
    """What of a space stays in float32, a line each; nothing of a float run."""
    if not setup.experiment.latency.is_int8:
        return []
    from nas_jax.latency.runtimes import onnx_int8

    return list(onnx_int8.notes(tables.required_parts(setup.whole)))


def calibration(setup: Setup) -> Float[np.ndarray, "N H W C"]:
    """Images of `train_weights`, evenly over them, at most `CALIBRATING`."""
    split = setup.splits["train_weights"]
    return np.asarray(batches.spread(split, CALIBRATING).images)


def quantised(model: Model, setup: Setup) -> onnx.ModelProto:
    """The graph of a network in 8 bits, calibrated at the side of its images."""
    graph = graphs.network(model.architecture, model.params, model.batch_stats)
    return of_graph(graph, calibration(setup.of(model.architecture)))


def of_graph(
    graph: onnx.ModelProto, images: Float[np.ndarray, "N H W C"]
) -> onnx.ModelProto:
    """The graph of a float network in 8 bits, its ranges from images."""
    from nas_jax.latency.runtimes import onnx_quantise

    return onnx_quantise.quantise(graph, images.transpose(0, 3, 1, 2))


def loss(model: Model, setup: Setup) -> float:
    """Mean cross-entropy on `valid` of a network in 8 bits."""
    split = setup.of(model.architecture).splits["valid"].evaluated()
    total = sum(
        len(labels) * float(losses.cross_entropy(jnp.asarray(logits), labels))
        for logits, labels in _answers(quantised(model, setup), split)
    )
    return total / len(split.labels)


def accuracy(graph: onnx.ModelProto, split: Split) -> float:
    """Share of a split's images that a network in 8 bits gets right."""
    right = sum(
        int((logits.argmax(axis=1) == labels).sum())
        for logits, labels in _answers(graph, split.evaluated())
    )
    return right / len(split.labels)


def _answers(
    graph: onnx.ModelProto, split: Split
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    session = onnx_runtime.session(graph, threads=1)
    for images, labels in batches.pieces(split, onnx_runtime.IMAGES):
        yield onnx_runtime.logits(session, np.asarray(images)), np.asarray(labels)
