"""The last heat: the best finalists are trained in full and compared anew.

The weights of a supernet rank networks of equal latency hardly better than chance where
these differ by less than the seed moves one of them. Where that matters, a few full
trainings decide: DARTS (Liu et al., ICLR 2019, section 3) keeps the best of four by
validation, too.
"""

from dataclasses import replace
from pathlib import Path

from nas_jax import checkpoint, derivation, retraining, train
from nas_jax.config import Experiment
from nas_jax.problem import Problem
from nas_jax.session import Session

FOLDER = "trials"
"""Folder of a run with the networks that were trained to be compared."""


def run(experiment: Experiment, given: Problem, folder: Path, session: Session) -> None:
    """Trains the best `search.trials` finalists; writes down how they do on `valid`.

    The finalists have been compared with the supernet's weights before. Of accuracy and
    cross-entropy on `valid` the latter is taken: it says more about images that every
    network has right. Trials that the folder holds are not trained again.
    """
    data = given.splits["valid"].evaluated()
    best = derivation.best(folder, experiment.search.trials)
    networks = {network.name: network for network in best}
    models = retraining.retrain_all(
        experiment, given, networks, folder, session, FOLDER
    )
    for name, model in models.items():
        loss = train.loss(model.architecture, model.params, model.batch_stats, data)
        session.watch.line(f"{name}: loss on validation images {loss:.4g}")
        derivation.add_trial(folder, networks[name], loss)


def keep(folder: Path, trial: str, into: Path, name: str) -> None:
    """Puts a trial among the trained networks of `into`, unless it is there."""
    saved = into / retraining.TRAINED / name
    if not saved.exists():
        model = checkpoint.load_model(folder / FOLDER / trial)
        named = replace(model.architecture, name=name)
        checkpoint.save_model(saved, replace(model, architecture=named))
