"""The last heat: the best finalists are trained in full and compared anew.

The weights of a supernet rank networks of equal latency hardly better than chance where
these differ by less than the seed moves one of them. Where that matters, a few full
trainings decide: DARTS (Liu et al., ICLR 2019, section 3) keeps the best of four by
validation, too.
"""

from dataclasses import replace
from pathlib import Path

from nas_jax import checkpoint, derivation, retraining, train
from nas_jax.compilation import Compiler
from nas_jax.config import Experiment
from nas_jax.problem import Problem
from nas_jax.watch import Watch

FOLDER = "trials"
"""Folder of a run with the networks that were trained to be compared."""


def run(
    experiment: Experiment,
    given: Problem,
    folder: Path,
    watch: Watch,
    compiler: Compiler,
) -> None:
    """Trains the best `search.trials` finalists; writes down how they do on `valid`.

    The finalists have been compared with the supernet's weights before. Of accuracy and
    cross-entropy on `valid` the latter is taken: it says more about images that every
    network has right.
    """
    data = given.splits["valid"].evaluated()
    for network in derivation.best(folder, experiment.search.trials):
        watch.phase(f"training: {network.name} of {experiment.search.trials}")
        model = retraining.retrain(experiment, given, network, folder, watch, compiler)
        checkpoint.save_model(folder / FOLDER / network.name, model)
        loss = train.loss(model.architecture, model.params, model.batch_stats, data)
        watch.line(f"{network.name}: loss on validation images {loss:.4g}")
        derivation.add_trial(folder, network, loss)


def kept(folder: Path, trial: str, name: str) -> checkpoint.Model:
    """The trial that `derivation.derive_run` took, under another name."""
    model = checkpoint.load_model(folder / FOLDER / trial)
    return replace(model, architecture=replace(model.architecture, name=name))
