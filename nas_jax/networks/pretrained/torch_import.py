"""Weights that the reference implementation trained, made into a network of ours.

Tensors are matched by name, never by position: the search code and the published
classes write them in different orders. Names and layouts:

    first_conv.*, feature_mix_layer.*, classifier.linear.*
    blocks.{i}.mobile_inverted_conv.{inverted_bottleneck, depth_conv, point_linear}.*
    conv.weight   [out in/groups k k]  ->  kernel [k k in/groups out]
    linear.weight [out in]             ->  kernel [in out]
    bn.{weight, bias, running_mean, running_var}  ->  scale, bias, mean, var

A zero block owns no tensors, and its index is skipped. Where in a file the tensors are,
and what may lie beside them: see `state_dict`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax.base import PyTree
from nas_jax.config.naming import few
from nas_jax.networks import checkpoint, network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import net_config as reference_config
from nas_jax.networks.pretrained import state_dict
from nas_jax.networks.pretrained.state_dict import StateDict
from nas_jax.spaces.architecture import Architecture

_RENAMED = {
    "stem": "first_conv",
    "head": "feature_mix_layer",
    "classifier": "classifier.linear",
    "expand": "mobile_inverted_conv.inverted_bottleneck",
    "depthwise": "mobile_inverted_conv.depth_conv",
    "project": "mobile_inverted_conv.point_linear",
    "kernel": "conv.weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
# Our axes in PyTorch's order, by their number: OIHW of HWIO, (out, in) of (in, out).
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


class Imported(NamedTuple):
    """A network with its weights, and lines on what was taken from the file."""

    model: Model
    notes: list[str]


def import_torch(
    net_config: str | Path,
    weights: str | Path,
    out: str | Path,
    input_size: int | None = None,
    key: str | None = None,
) -> Imported:
    """Reads a network of the reference and saves it for `checkpoint.load_model`.

    Args:
      net_config: the network's `net.config`.
      weights: a file of `torch.save` or safetensors that holds its tensors, alone or
        among what a training script saves.
      out: folder to write, which must not exist.
      input_size: side of the images; None takes `resolution` of the configuration, or
        224 without one.
      key: where in the file the tensors are; None looks for them.

    Raises:
      ValueError: before anything is written, naming the file and what is wrong.
    """
    out = Path(out)
    if out.exists():
        raise ValueError(
            f"--out {out}: expected a folder that does not exist yet, this one does; "
            "choose another name"
        )
    found = read_config(net_config, input_size)
    read = read_weights(found, weights, key)
    model = Model(found, *from_tensors(found, read.tensors, read.origin))
    checkpoint.save_model(out, model)
    return Imported(model, read.notes)


def read_config(path: str | Path, input_size: int | None = None) -> Architecture:
    """A `net.config` file; the network is named after it.

    Characters that a name cannot have become `_`. Raises `ValueError` naming the file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a net.config, got no text") from error
    name = re.sub(r"[^A-Za-z0-9_-]", "_", path.stem)
    try:
        return reference_config.from_json(text, name, input_size)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_weights(
    architecture: Architecture, path: str | Path, key: str | None = None
) -> StateDict:
    """The tensors of a file that are this network's; see `state_dict.read`."""
    return state_dict.read(path, tensor_shapes(architecture), key)


def from_tensors(
    architecture: Architecture, tensors: dict[str, np.ndarray], origin: str
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a network, for `network.apply`.

    Args:
      architecture: the network that the tensors belong to.
      tensors: by PyTorch's names.
      origin: where they come from, for messages.

    Raises:
      ValueError: naming the tensors that are missing, that the network does not have,
        of another shape than it needs, not float32, or not finite.
    """
    expected = tensor_shapes(architecture)
    _check_names(f"{origin} for {architecture.name!r}", expected, tensors)
    for name in expected:
        _check_values(f"{origin}: {name}", tensors[name])

    def ours(path: Sequence[Any], _: Any) -> np.ndarray:
        tensor = tensors[_name(path)]
        axes = np.argsort(_TO_TORCH[tensor.ndim])
        return np.ascontiguousarray(tensor.transpose(axes))

    params, batch_stats = (
        jax.tree.map_with_path(ours, tree) for tree in network.shapes(architecture)
    )
    return params, batch_stats


def tensor_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors in PyTorch."""
    return {
        _name(path): tuple(leaf.shape[axis] for axis in _TO_TORCH[len(leaf.shape)])
        for tree in network.shapes(architecture)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _name(path: Sequence[Any]) -> str:
    """PyTorch's name of an array at a path like stem, bn, scale."""
    keys = [str(getattr(key, "key", getattr(key, "idx", None))) for key in path]
    if keys == ["classifier", "kernel"]:
        return "classifier.linear.weight"
    return ".".join(_RENAMED.get(key, key) for key in keys)


def _check_names(
    origin: str, expected: dict[str, tuple[int, ...]], tensors: dict[str, np.ndarray]
) -> None:
    wrong = {
        "missing": [name for name in expected if name not in tensors],
        "unknown": [name for name in tensors if name not in expected],
        "of another shape": [
            f"{name} {tensors[name].shape} instead of {shape}"
            for name, shape in expected.items()
            if name in tensors and tensors[name].shape != shape
        ],
    }
    got = [
        f"{len(names)} {what} ({few(names, 3)})"
        for what, names in wrong.items()
        if names
    ]
    if got:
        raise ValueError(
            f"{origin}: expected {len(expected)} tensors by name and shape, got "
            f"{', '.join(got)}; is this the configuration of these weights?"
        )


def _check_values(where: str, tensor: np.ndarray) -> None:
    if tensor.dtype != np.float32:
        raise ValueError(f"{where}: expected float32 numbers, got {tensor.dtype}")
    bad = tensor.size - np.count_nonzero(np.isfinite(tensor))
    if bad:
        raise ValueError(
            f"{where}: expected finite numbers, got {bad} that are not; the training "
            "diverged, or the file is damaged"
        )
    if where.endswith(".running_var") and (tensor < 0).any():
        raise ValueError(f"{where}: expected variances of 0 or more, got negative ones")
