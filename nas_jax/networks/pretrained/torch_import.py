"""Weights that the reference implementation trained, made into a network of ours.

Tensors are matched by name, never by position: the search code and the published
classes write them in different orders. Names and layouts:

    first_conv.*, feature_mix_layer.*, classifier.linear.*
    blocks.{i}.mobile_inverted_conv.{inverted_bottleneck, depth_conv, point_linear}.*
    conv.weight   [out in/groups k k]  ->  kernel [k k in/groups out]
    linear.weight [out in]             ->  kernel [in out]
    bn.{weight, bias, running_mean, running_var}  ->  scale, bias, mean, var

A zero block owns no tensors, and its index is skipped. A prefix `module.` (of a network
saved inside `DataParallel`) and the counters `num_batches_tracked` may be there.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nas_jax.base import PyTree
from nas_jax.networks import checkpoint, network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import net_config as reference_config
from nas_jax.networks.pretrained import torch_file
from nas_jax.spaces.architecture import Architecture

# Of the tensors that a message is about, it lists the first few, cut to a length.
_LISTED, _LONGEST = 3, 120
_COUNTER = ".num_batches_tracked"
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


def import_torch(
    net_config: str | Path,
    weights: str | Path,
    out: str | Path,
    input_size: int | None = None,
) -> Model:
    """Reads a network of the reference and saves it for `checkpoint.load_model`.

    Args:
      net_config: the network's `net.config`.
      weights: its `.pth`, a file of `torch.save` with the state_dict, alone or under
        the key `state_dict`.
      out: folder to write, which must not exist.
      input_size: side of the images; None takes `resolution` of the configuration, or
        224 without one.

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
    params, batch_stats = from_tensors(found, read_state_dict(weights), str(weights))
    model = Model(found, params, batch_stats)
    checkpoint.save_model(out, model)
    return model


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


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a `.pth` by name, without the prefix `module.`.

    Raises `ValueError` if the file holds anything else.
    """
    found = torch_file.load(path)
    if isinstance(found, dict) and "state_dict" in found:
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, np.ndarray)
        for name, value in found.items()
    ):
        raise ValueError(
            f"{path}: expected a dict of tensors, alone or under 'state_dict'; save "
            "model.state_dict()"
        )
    if all(name.startswith("module.") for name in found):
        return {name.removeprefix("module."): value for name, value in found.items()}
    return found


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
    """Names and shapes of a network's tensors in PyTorch, without the counters."""
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
    norms = {name.rpartition(".")[0] for name in expected if name.endswith("_mean")}
    counters = {norm + _COUNTER for norm in norms}
    wrong = {
        "missing": [name for name in expected if name not in tensors],
        "unknown": [
            name for name in tensors if name not in expected and name not in counters
        ],
        "of another shape": [
            f"{name} {tensors[name].shape} instead of {shape}"
            for name, shape in expected.items()
            if name in tensors and tensors[name].shape != shape
        ],
    }
    got = []
    for what, names in wrong.items():
        listed = ", ".join(name[:_LONGEST] for name in names[:_LISTED])
        more = len(names) - _LISTED
        if names:
            end = f" and {more} more" if more > 0 else ""
            got.append(f"{len(names)} {what} ({listed}{end})")
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
