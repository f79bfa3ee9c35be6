"""`benchmarks export`: our ONNX files against PyTorch's of the same networks.

All files have the same weights and run in ONNX Runtime with the same settings, timed
in turns. PyTorch writes with both its exporters: the one of TorchScript, which folds
batch normalisation as well, and, where onnxscript is installed, the newer one.
"""

import dataclasses
import importlib.util
import io
import warnings
from typing import Any

import numpy as np
import onnx

from benchmarks import torch_network
from benchmarks.goals import verdict
from benchmarks.settings import ExportConfig
from nas_jax.config import provenance
from nas_jax.latency.measurement import timing
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import network
from nas_jax.networks.onnx import graphs, writer
from nas_jax.spaces import published
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.operations import Block
from nas_jax.training.progress import Progress

GOAL = 1.02
HOW_TO_READ = (
    "ms of one inference in ONNX Runtime, mean of the fastest quarter of the rounds; "
    "torchscript, dynamo: PyTorch's exporters; over: ours / the faster of PyTorch's, "
    "below 1 is faster, by medians beside it; difference: the largest of a logit "
    "between our file and another, as a share of the largest logit."
)


def run(config: ExportConfig | None = None, watch: Progress | None = None) -> dict:
    """Times of all files of every network, ready for JSON.

    Raises `ValueError` without PyTorch, or if the files do not compute the same.
    """
    torch_network.require()
    import torch

    config, watch = config or ExportConfig(), watch or Progress()
    rows = []
    for name in config.networks:
        watch.phase(f"{name}: writing the files")
        found = published.get(name, config.input_size)
        models = written(found, np.random.default_rng(config.seed))
        rows.append({"network": name, **_compare(found, models, config, watch)})
    return {
        "name": "export",
        "config": dataclasses.asdict(config),
        "goal": GOAL,
        "torch": torch.__version__,
        "not_run": [] if has_dynamo() else ["dynamo: needs onnxscript"],
        "rows": rows,
        **provenance.record(),
    }


def has_dynamo() -> bool:
    """Whether PyTorch's newer exporter can run."""
    return importlib.util.find_spec("onnxscript") is not None


def written(
    architecture: Architecture, rng: np.random.Generator
) -> dict[str, onnx.ModelProto]:
    """The same network with the same drawn weights, written here and by PyTorch.

    `ours`, `torchscript` and, if it can run, `dynamo`.
    """
    # a block that does nothing is nothing to either of them
    blocks = [block for block in architecture.blocks if block.op.kind != "zero"]
    architecture = dataclasses.replace(architecture, blocks=tuple(blocks))
    drawn = [graphs.random_weights(part, rng) for part in architecture.parts]
    trees = network.assemble_parts(architecture, drawn)
    theirs = _torch_network(architecture, drawn)
    shape = (1, *graphs.input_shape(architecture.stem))
    models = {
        "ours": graphs.network(architecture, *trees),
        "torchscript": _by_torchscript(theirs, shape),
    }
    if has_dynamo():
        models["dynamo"] = _by_dynamo(theirs, shape)
    return models


def _torch_network(architecture: Architecture, drawn: list[Any]) -> Any:
    """PyTorch's module of the network, evaluating."""
    import torch

    modules = {}
    for (slot, part), weights in zip(architecture.slots.items(), drawn, strict=True):
        modules[slot] = torch_network.modules(part)
        is_block = isinstance(part, Block)
        _fill(modules[slot], *weights, is_block=is_block, bn_eps=architecture.bn_eps)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(modules.values())

        def forward(self, images: Any) -> Any:
            return architecture.forward(lambda slot, x: modules[slot](x), images)

    return Network().eval()


def _by_torchscript(module: Any, shape: tuple[int, ...]) -> onnx.ModelProto:
    import torch

    file: Any = io.BytesIO()
    with warnings.catch_warnings():
        # this exporter is deprecated for the one that needs onnxscript
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(shape),),
            file,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=writer.OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


def _by_dynamo(module: Any, shape: tuple[int, ...]) -> onnx.ModelProto:
    """With the opset that this exporter takes by default."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own making
        program = torch.onnx.export(
            module,
            (torch.zeros(shape),),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _fill(
    module: Any, params: Any, batch_stats: Any, *, is_block: bool, bn_eps: float
) -> None:
    """Gives PyTorch's modules of a part our weights, in order."""
    import torch
    from torch import nn

    def copy(target: Any, values: np.ndarray) -> None:
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[values.ndim]
        tensor = torch.tensor(values.transpose(axes).astype(np.float32))
        assert target.shape == tensor.shape
        target.data.copy_(tensor)

    names = [name for name in ("expand", "depthwise", "project") if name in params]
    own = [params[name] for name in names] if is_block else [params]
    stats = [batch_stats[name] for name in names] if is_block else [batch_stats]
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer, weights in zip(layers, own, strict=True):
        copy(layer.weight, weights["kernel"])
        if layer.bias is not None:
            copy(layer.bias, weights["bias"])
    for norm, weights, running in zip(norms, own, stats, strict=bool(norms)):
        norm.eps = bn_eps
        copy(norm.weight, weights["bn"]["scale"])
        copy(norm.bias, weights["bn"]["bias"])
        copy(norm.running_mean, running["bn"]["mean"])
        copy(norm.running_var, running["bn"]["var"])


def _compare(
    architecture: Architecture,
    models: dict[str, onnx.ModelProto],
    config: ExportConfig,
    watch: Progress,
) -> dict[str, Any]:
    rng = np.random.default_rng(config.seed)
    images = rng.standard_normal((2, *architecture.input_shape), dtype=np.float32)
    # dynamo's files were traced at one image: a second proves that any number may come
    ours, *theirs = (onnx_runtime.run(model, images) for model in models.values())
    apart = [float(np.abs(ours - one).max() / np.abs(one).max()) for one in theirs]
    difference = max(apart)
    if not difference <= 1e-4:
        raise ValueError(
            f"{architecture.name}: expected all files to compute the same, got logits "
            f"{difference:.1e} apart (of the largest)"
        )
    shape = (config.batch, *graphs.input_shape(architecture.stem))
    rng = np.random.default_rng(0)
    calls = {
        name: onnx_runtime.bound_call(
            onnx_runtime.session(model, config.threads), shape, rng
        )
        for name, model in models.items()
    }
    protocol = timing.Protocol(config.rounds, config.loop_ms, timing.SPREAD_S)
    times = timing.time_calls(calls, protocol, watch.steps)
    steady = {name: timing.steady(values) for name, values in times.items()}
    median = {name: float(np.median(values)) for name, values in times.items()}
    peer = min(set(models) - {"ours"}, key=lambda name: steady[name])
    return {
        "ms": steady,
        "median_ms": median,
        "over": steady["ours"] / steady[peer],
        "over_by_medians": median["ours"] / median[peer],
        "opsets": {name: one.opset_import[0].version for name, one in models.items()},
        "bytes": {name: one.ByteSize() for name, one in models.items()},
        "nodes": {name: len(one.graph.node) for name, one in models.items()},
        "difference": difference,
    }


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and a row per network, as text."""
    header = (
        "network",
        *("ours", "torchscript", "dynamo"),
        "over",
        "by medians",
        "goal",
        "",
        "difference",
    )
    rows: list[tuple[str, ...]] = [header]
    for row in result["rows"]:
        rows.append(
            (
                row["network"],
                *(_ms(row["ms"].get(name)) for name in header[1:4]),
                f"{row['over']:.3f}",
                f"{row['over_by_medians']:.3f}",
                f"<= {result['goal']:g}",
                verdict(row["over"], result["goal"]),
                f"{row['difference']:.1e}",
            )
        )
    return rows


def _ms(value: float | None) -> str:
    return "not run" if value is None else f"{value:.3f} ms"
