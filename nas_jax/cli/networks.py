"""The verbs for one network, run or data set: described, derived, trained, imported."""

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nas_jax.cli.flags import UNCHANGED, Fields
from nas_jax.cli.terminal import (
    Answer,
    Terminal,
    comparison_table,
    description,
    how_timed,
    tell_fields,
)
from nas_jax.config import on_disk, overrides, shipped
from nas_jax.config.data import NAMES, TFDS
from nas_jax.config.experiment import Experiment
from nas_jax.config.space import Padding
from nas_jax.training import host

if TYPE_CHECKING:
    from nas_jax.spaces.architecture import Architecture


def list_names() -> Answer:
    """The experiments, data, spaces, published networks and tables of the package."""
    from nas_jax.spaces import builders, published

    names = {
        "experiments": shipped.names("experiments", "*.py"),
        "data": [*NAMES, f"{TFDS}NAME"],
        "spaces": sorted(builders.PRESETS),
        "networks": sorted(published.NAMES),
        "tables": shipped.names("latency_tables", "*.json"),
    }
    lines = [f"{kind}: {', '.join(listed)}" for kind, listed in names.items()]
    return Answer(names, "\n".join(lines))


def describe(name: str) -> Answer:
    """The size of a space, a network or an experiment's space, layer by layer.

    Args:
      name: an experiment, a space or a network of `nas_jax list`, an experiment's .py
        or an architecture's .json file
    """
    from nas_jax.runs import description as sizes

    size = sizes.describe(name)
    return Answer(size, description(size))


def prepare(name: str, *, data_path: Path, manual: Path | None = None) -> Answer:
    """A data set of tensorflow-datasets, prepared once.

    Args:
      name: as tensorflow-datasets calls it, as imagenet2012
      data_path: folder of prepared data sets
      manual: folder with the archives that have to be fetched by hand
    """
    from nas_jax.data import prepared

    place = str(prepared.prepare(name, data_path, manual))
    return Answer({"name": name, "prepared": place}, place)


def derive(run: Path) -> Answer:
    """The network of a run's newest probabilities.

    Args:
      run: folder of a search
    """
    from nas_jax.runs import finalists, run_folder, search, unfinished

    run_folder.read_experiment(run)  # a run folder, before anything is put there
    has_metrics = (run / "metrics.jsonl").is_file()
    if not (has_metrics or search.has_snapshots(run)):
        raise ValueError(f"{run}: {unfinished.told(run)}")
    with run_folder.held(run):
        network, derived = finalists.derive_run(run)
    ops = [block.op.name for block in network.blocks]
    file, line = run / "architecture.json", finalists.line(derived)
    answer = {"ops": ops, "derivation": line, "file": str(file)}
    return Answer(answer, f"{' '.join(ops)}\n{line}\nwritten: {file}")


def train(
    architecture: Path,
    experiment: str | None = None,
    fields: Fields = UNCHANGED,
    *,
    out: Path | None = None,
    no_cache: bool = False,
) -> Answer:
    """An architecture or the derived network of a run, trained.

    From scratch, or from weights with `--train.start FOLDER`.

    Args:
      architecture: a run folder, an architecture's .json file, or the folder of a
        trained or imported network, which is fitted to the images and classes
      experiment: whose data and schedule; not for a run folder, which has its own
      out: folder for the trained network (default: runs/...)
      no_cache: compile again
    """
    from nas_jax.runs import run_folder, setup, unfinished
    from nas_jax.spaces import around

    is_alone = (architecture / "digests.json").is_file()  # a folder with its weights
    if experiment and is_alone:
        architecture = architecture / "architecture.json"
    if architecture.is_dir():
        if experiment or out or set(fields) - {"data.path"}:
            raise ValueError(
                f"{architecture} is a run folder and trains with its own "
                "configuration; give architecture.json and an experiment to change it"
            )
        if not on_disk.is_run(architecture):
            raise _not_trained(architecture)
        config = overrides.apply(run_folder.read_experiment(architecture), fields)
        if not (architecture / "architecture.json").is_file():
            raise ValueError(f"{architecture}: {unfinished.told(architecture)}")
        folder = architecture
        network = run_folder.read_architecture(architecture / "architecture.json")
    elif experiment:
        if not architecture.is_file():
            raise _not_trained(architecture)
        config = for_weights(overrides.load(experiment, fields))
        network = run_folder.read_architecture(architecture)
        if is_alone:
            space = config.space
            shape = space.input_size, space.input_channels, space.classes
            network = around.resized(network, *shape)
        setup.check_network(config, network)
        source = shipped.experiment_file(experiment)
        folder = run_folder.create(config, out, on_disk.RUNS, source, network)
    else:
        if not architecture.is_file():
            raise _not_trained(architecture)
        raise ValueError(
            f"train {architecture}: expected an experiment after an architecture's "
            f"file, got none; nas_jax train {architecture} EXPERIMENT"
        )
    tell_fields(fields)
    host.prepare_for(config, cache=not no_cache)
    return trained(config, network, folder)


def _not_trained(name: Path) -> ValueError:
    """The error for what `train` does not take: a published network, or nothing."""
    from nas_jax.config.naming import near
    from nas_jax.spaces import published

    takes = "a run, an architecture's .json file, or the folder of a network"
    like = near(str(name), published.NAMES)
    if name.exists() or not like:
        return on_disk.no_run(name, takes)
    return ValueError(
        f"train: {str(name)!r} is no file or folder here; train takes {takes}, and "
        f"nas_jax describe {like[0]} shows the published network"
    )


def trained(config: Experiment, network: "Architecture", folder: Path) -> Answer:
    """The answer of a network's training, its architecture in its run folder."""
    from nas_jax.runs import pipeline, run_folder, stopping
    from nas_jax.training import scores

    with run_folder.held(folder), stopping.Stop().listening() as stop:
        saved, found = pipeline.train_network(
            config, network, folder, progress=Terminal(), stop=stop
        )
    balanced = ""
    if scores.is_balance_telling({network.name: found}):
        balanced = f", balanced {found.balanced_accuracy:.1%}"
    lines = [f"test accuracy {found.test_accuracy:.1%}{balanced}: {saved}"]
    lines += scores.remarks({network.name: found})
    return Answer(asdict(found) | {"folder": str(saved)}, "\n".join(lines))


def evaluate(
    run: Path, *, data__path: Path | None = None, no_cache: bool = False
) -> Answer:
    """The trained networks of a run, tested and timed.

    Args:
      run: folder of a search or a training
      data__path: where the run's data lie, if they were moved
      no_cache: compile again
    """
    host.prepare(cache=not no_cache)
    from nas_jax.runs import assess, run_folder

    results = assess.evaluate_run(run, Terminal(), data__path).networks
    timed = how_timed(run_folder.read_experiment(run).latency)
    return Answer(results, f"{comparison_table(results)}\n{timed}")


def import_weights(
    weights: str,
    net_config: str | None = None,
    *,
    out: Path,
    key: str | None = None,
    input_size: int | None = None,
    padding: Padding | None = None,
) -> Answer:
    """A network that others trained, imported with its weights.

    EfficientNet-Lite and MobileNetV2 in the names of efficientnet_pytorch, timm or
    torchvision; or the reference's, with its configuration.

    Args:
      weights: a file of torch.save, safetensors or ONNX, or an installed package with
        one
      net_config: the reference's configuration of its network, JSON
      out: folder to write
      key: where in the file the weights are, as state_dict_ema (default: looked for)
      input_size: side of the images (default: the configuration's or the family's)
      padding: same as TensorFlow, or centre (default: that of the weights' origin)
    """
    from nas_jax.networks import counts
    from nas_jax.networks.pretrained import torch_import

    told = torch_import.Told(key, input_size, padding)
    read = torch_import.import_weights(weights, out, net_config, told)
    size = counts.describe(read.model.architecture)
    lines = [
        f"{size['name']}: input {size['input_size']}, {size['classes']} classes, "
        f"{size['macs']:,} MACs, {size['params']:,} params",
        *read.notes,
        f"written: {out}",
        f"next: nas_jax start PICTURES --weights {shlex.quote(str(out))} --out mine.py",
    ]
    answer = size | {"notes": read.notes, "folder": str(out)}
    return Answer(answer, "\n".join(lines))


def for_weights(experiment: Experiment) -> Experiment:
    """The experiment with images normalised as the weights it starts from; told."""
    if experiment.weights is None:
        return experiment
    from nas_jax.runs import pretrained

    adopted, line = pretrained.adopted(experiment)
    if line is not None:
        print(line, file=sys.stderr)
    return adopted
