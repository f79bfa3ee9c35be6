"""Networks as they are written down, and the weights that PyTorch keeps of them."""

import io
import json
import zipfile

import numpy as np

from fuzz.case import reader, texts
from nas_jax.config import files
from nas_jax.networks import counts, network
from nas_jax.networks.onnx import graphs
from nas_jax.networks.pretrained import (
    namings,
    net_config,
    onnx_import,
    torch_import,
)
from nas_jax.runs import run_folder
from nas_jax.spaces import architecture_json, builders, published
from nas_jax.spaces.architecture import homogeneous
from tests import small_run
from tests.networks.pretrained import torch_files
from tests.report import made_up_run

SPACE = builders.mobile(small_run.SPACE)
TINY = homogeneous(SPACE, SPACE.candidates[0])


def _architectures(where):
    run = made_up_run.make_run(where / "run") / "architecture.json"
    cells = json.loads(architecture_json.to_json(published.get("proxyless_cifar")))
    cells["cells"] = cells["cells"][:2]
    return [run.read_bytes(), json.dumps(cells).encode()]


@reader("architecture", "a.json", "json", _architectures)
def _(where):
    found = run_folder.read_architecture(where / "a.json")
    assert architecture_json.from_json(architecture_json.to_json(found)) == found
    json.dumps(counts.describe(found))


@reader(
    "net.config",
    "net.config",
    "json",
    texts(
        net_config.to_json(TINY),
        net_config.to_json(published.get("proxyless_gpu", 32)),
    ),
)
def _(where):
    found = torch_import.read_config(where / "net.config")
    name = found.name
    assert net_config.from_json(net_config.to_json(found), name) == found
    if len(found.blocks) < 5:
        torch_import.tensor_shapes(found)


def _torch(form):
    def make(folder):
        rng = np.random.default_rng(0)
        tensors = {
            name: rng.random(shape, np.float32)
            for name, shape in torch_import.tensor_shapes(TINY).items()
        }
        return [
            torch_files.state_dict(form, tensors),
            torch_files.state_dict(form, {"a": np.arange(6.0).reshape(2, 3)}),
            torch_files.write(form, {"epoch": 3, "rest": [1.5, ("x", None)]}, {}),
        ]

    return make


def _read_torch(folder):
    read = torch_import.read_weights(TINY, folder / "w.pth")
    torch_import.from_tensors(TINY, read.tensors, read.origin)


for _form in torch_files.FORMATS:
    reader(f"PyTorch, {_form}", "w.pth", "bytes", _torch(_form))(_read_torch)


def _pickles(where):
    """The pickles inside of archives, whose checksum would stop everything."""
    contents = []
    for packed in _torch("zip")(where):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            contents.append(archive.read("archive/data.pkl"))
    storages = torch_files.Storages("zip")
    tensor = storages.tensor(np.arange(6.0).reshape(2, 3))
    module = torch_files.call(torch_files.reference("train", "Net"), 1)
    state = {"_parameters": {"w": tensor}, "_modules": {"a": module}}
    objects = [torch_files.with_state(module, state), {"ema": {"a": tensor}}]
    return [*contents[1:], *map(torch_files.pickled, objects)]


@reader("PyTorch, pickle in a zip", "data.pkl", "bytes", _pickles)
def _(where):
    numbers = np.arange(6.0)
    packed = torch_files.zipped(None, {"0": numbers})
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["archive/data.pkl"] = (where / "data.pkl").read_bytes()
    with zipfile.ZipFile(where / "w.pth", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    torch_import.read_weights(TINY, where / "w.pth")


def _named(where):
    """Names and shapes of MobileNetV2 in the namings that say their network."""
    network = published.get("mobilenet_v2", 32)
    starts = {
        namings.EFFICIENTNET: "_blocks.{}.",
        namings.TORCHVISION: "features.{}.conv.",
    }
    return [
        json.dumps(
            torch_import.tensor_shapes(
                network,
                namings.of(
                    naming,
                    network,
                    [start.format(i + 1) for i in range(len(network.blocks))],
                ),
            )
        ).encode()
        for naming, start in starts.items()
    ]


@reader("names of tensors", "shapes.json", "json", _named)
def _(where):
    shapes = files.read_object(where / "shapes.json")
    if not all(map(_is_shape, shapes.values())):
        raise ValueError("expected shapes by name")
    found = namings.recognise(shapes, "net", 32)
    if found is None:
        raise ValueError("expected names of others")
    namings.origin(found, is_tensorflow=False)
    json.dumps(counts.describe(found.network))


def _onnx(where):
    """A small network as we export it."""
    rng = np.random.default_rng(0)
    drawn = [graphs.random_weights(part, rng) for part in TINY.parts]
    trees = network.assemble_parts(TINY, drawn)
    return [graphs.network(TINY, *trees).SerializeToString()]


@reader("network, ONNX", "net.onnx", "bytes", _onnx)
def _(where):
    found = onnx_import.read(where / "net.onnx", "net")
    json.dumps(counts.describe(found.network))


def _is_shape(value):
    """As NumPy has them."""
    is_list = isinstance(value, list) and len(value) <= 8
    return is_list and all(type(n) is int and 0 <= n < 2**40 for n in value)
