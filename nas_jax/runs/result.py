"""A whole run from Python, and its result."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from nas_jax.config import files, on_disk
from nas_jax.config.experiment import Experiment
from nas_jax.config.naming import meant
from nas_jax.config.search import with_target
from nas_jax.networks import checkpoint
from nas_jax.networks.checkpoint import Model
from nas_jax.runs import pipeline, run_folder, setup, unfinished
from nas_jax.runs.finalists import SEARCHED
from nas_jax.spaces import builders
from nas_jax.spaces.architecture import Architecture
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import scores
from nas_jax.training.progress import Progress


@dataclass(frozen=True)
class Result:
    """A finished run; `networks` are those of its `result.json`, by name."""

    folder: Path
    networks: dict[str, Any]

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """All that `result.json` says: seed, commit, device, target, networks."""
        return files.read_object(self.folder / "result.json")

    @property
    def architecture(self) -> Architecture:
        """The network that was found."""
        return run_folder.read_architecture(self.folder / "architecture.json")

    @property
    def space(self) -> SearchSpace:
        """The space that was searched; of an elastic one, its middle shape."""
        return builders.build(run_folder.read_experiment(self.folder).space)

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """What a search by gradients wrote, epoch by epoch; [] of one by trainings."""
        return run_folder.epochs(self.folder)

    def model(self, name: str = SEARCHED) -> Model:
        """A trained network of the run."""
        trained = {one.name: one for one in on_disk.networks_of(self.folder)}
        if name not in trained:
            raise ValueError(
                f"{self.folder}: expected one of its trained networks, "
                f"{', '.join(trained)}, got {name!r}{meant(name, trained)}"
            )
        return checkpoint.load_model(trained[name])

    def plot(self) -> Figure:
        """Test accuracy of the networks against their measured latency."""
        figure, axes = plt.subplots(figsize=(5, 3.5))
        for name, network in self.networks.items():
            ms = network["measured_ms"]["median"]
            axes.plot(ms, scores.shipped(network), "o", label=name)
        axes.set(xlabel="measured latency, ms", ylabel="test accuracy")
        axes.legend()
        return figure


def run(
    experiment: Experiment,
    *,
    target: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Measures, searches, trains, exports and reports, in a new folder.

    Args:
      experiment: of `load_experiment`, or changed with `dataclasses.replace`.
      target: in place of the experiment's: `"0.5x"` of the hand-designed network's
        latency, or `"0.4ms"`.
      out: the new folder; by default one in `runs/`.
      progress: of the run; silent by default.

    Raises:
      ValueError: for settings that do not fit, before a folder is made.
    """
    setup.require_experiment(experiment)
    if target is not None:
        search = with_target(experiment.search, target)
        experiment = replace(experiment, search=search)
    setup.check(experiment)
    named = None if out is None else Path(out)
    folder = run_folder.create(experiment, named, on_disk.RUNS)
    command, progress = f"nas_jax.run({experiment.name!r})", progress or Progress()
    with run_folder.held(folder):
        pipeline.run(experiment, folder, command=command, progress=progress)
    return load(folder)


def load(folder: str | Path) -> Result:
    """The result of a finished run; `ValueError` if it is not one."""
    file = Path(folder) / "result.json"
    if not file.is_file():
        on_disk.require_run(Path(folder))
        raise ValueError(
            f"{folder}: expected a finished run with result.json, found none; "
            f"{unfinished.told(Path(folder))}"
        )
    return Result(Path(folder), files.read_object(file)["networks"])
