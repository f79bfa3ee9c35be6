"""The verbs that work on one run, network or data set and measure nothing new.

`start`, `prepare`, `derive`, `train`, `evaluate`, `describe`, `import-torch`. Each
raises the `ValueError` of the function it calls.
"""

import argparse
import json
import shlex
from pathlib import Path

from nas_jax import new_file, overrides, process, shipped
from nas_jax.config import Experiment

RUNS = Path("runs")
"""Where runs go that are not told where."""


def experiment_of(name: str, rest: list[str], prog: str) -> Experiment:
    """An experiment by name or file, with fields replaced."""
    return overrides.apply(shipped.load_experiment(name), rest, f"{prog} {name}")


def prepare(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax.data import preparing

    print(preparing.prepare(options.name, options.data_path, options.manual))
    return 0


def start(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import first_experiment

    new_file.require("--out", options.out)
    if options.out.suffix != ".py":
        raise ValueError(f"--out {options.out}: expected the name of a .py file")
    made = first_experiment.of_pictures(Path(options.pictures), options.skip_corrupt)
    command = shlex.join(["nas_jax", *words])
    options.out.write_text(first_experiment.text(made, command), encoding="utf-8")
    data, space = made.data, made.space
    print(
        f"{space.classes} classes; {data.train_weights} pictures for the weights, "
        f"{data.train_alphas} for the alphas, {data.valid} to watch, "
        f"{data.test} to test"
    )
    print(
        f"images of {space.input_size} x {space.input_size} x {space.input_channels}, "
        f"flipped, and cut to {data.crop_area:.0%} of the area at least; for letters "
        "and digits: --data.no-flip --data.crop-area 0.8"
    )
    print(
        f"half the latency of the hand-designed network, batch {made.latency.batch}; "
        f"written: {options.out}"
    )
    print(f"next: nas_jax search {shlex.quote(str(options.out))}  (first with --plan)")
    return 0


def derive(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import finalists, run_folder, run_lock

    folder = Path(options.run)
    run_folder.read_experiment(folder)  # a run folder, before anything is put there
    with run_lock.held(folder):
        found, derived = finalists.derive_run(folder)
    print(" ".join(block.op.name for block in found.blocks))
    print(finalists.line(derived))
    print(f"written: {folder / 'architecture.json'}")
    return 0


def train(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import (
        architecture_json,
        pipeline,
        run_folder,
        run_lock,
        setup,
        stopping,
        terminal,
    )

    source = Path(options.architecture)
    if source.is_dir():
        if options.experiment or options.out or rest:
            raise ValueError(
                f"{source} is a run folder and trains with its own configuration; "
                "give architecture.json and an experiment to change it"
            )
        experiment, folder = run_folder.read_experiment(source), source
        network = run_folder.read_architecture(source / "architecture.json")
    elif options.experiment:
        experiment = experiment_of(options.experiment, rest, "nas_jax train")
        network = run_folder.read_architecture(source)
        setup.check_network(experiment, network)
        file = shipped.experiment_file(options.experiment)
        folder = run_folder.create(experiment, options.out, RUNS, file)
        text = architecture_json.to_json(network)
        run_folder.write_text(folder / "architecture.json", text)
    else:
        raise ValueError(
            f"train {source}: expected a run folder, or an architecture file and an "
            "experiment"
        )
    process.prepare(cache=not options.no_cache, pixels=experiment.pixels)
    with run_lock.held(folder), stopping.Stop().listening() as stop:
        saved, accuracy = pipeline.train_network(
            experiment, network, folder, progress=terminal.Terminal(), stop=stop
        )
    print(f"test accuracy {accuracy:.1%}: {saved}")
    return 0


def evaluate(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    process.prepare(cache=not options.no_cache)
    from nas_jax import assess, terminal

    results = assess.evaluate_run(Path(options.run), terminal.Terminal())
    print(json.dumps(results) if options.json else terminal.comparison_table(results))
    return 0


def describe(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import describe as sizes
    from nas_jax import terminal

    size = sizes.describe(options.name)
    print(json.dumps(size) if options.json else terminal.description(size))
    return 0


def import_torch(options: argparse.Namespace, rest: list[str], words: list[str]) -> int:
    from nas_jax import counts, torch_import

    model = torch_import.import_torch(
        options.net_config, options.weights, options.out, options.input_size
    )
    size = counts.describe(model.architecture)
    print(
        f"{size['name']}: input {size['input_size']}, {size['classes']} classes, "
        f"{size['macs']:,} MACs, {size['params']:,} params"
    )
    print(f"written: {options.out}")
    return 0
