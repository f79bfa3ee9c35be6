"""From the files of a run to its network, and what the derivation cost."""

from pathlib import Path
from typing import Any

import numpy as np

from nas_jax import (
    architecture,
    architecture_json,
    derive,
    limits,
    run_folder,
    space,
    tables,
)
from nas_jax.architecture import Architecture

SEARCHED = "searched"
"""Name of the network that a search derives."""


def derive_run(folder: Path) -> tuple[Architecture, dict[str, Any]]:
    """Derives the network of a run's newest probabilities; writes architecture.json.

    Of the networks within target and limits the most probable, or with the objective
    none the most probable of all. Also returns what `result.json` says about it.
    """
    experiment = run_folder.read_experiment(folder)
    searched = space.build(experiment.space)
    probs = np.array(run_folder.last_probabilities(folder))
    table, origin = tables.load(folder / "latency_table.json"), "latency_table.json"
    z = experiment.latency.z
    if experiment.search.objective == "none":
        costs, _ = tables.costs(table, searched, origin, z=z)
        path, derivation = derive.most_probable(searched, probs, costs), {}
    else:
        kept_to, _ = limits.resolve(experiment.search, searched, table, origin, z)
        derived = derive.most_probable_within(
            searched, probs, kept_to, experiment.search.max_slack
        )
        path, derivation = derived.path, derived._asdict()
        del derivation["path"]
    found = architecture.from_path(searched, path, SEARCHED)
    text = architecture_json.to_json(found)
    run_folder.write_text(folder / "architecture.json", text)
    return found, derivation


def told(derivation: dict[str, Any]) -> str:
    """What a derivation cost, in a line."""
    if not derivation:
        return "derived: the most probable network of all"
    left = ", ".join(
        f"{share:.2%} of {name}" for name, share in derivation["slack"].items()
    )
    gap = derivation["log_prob_gap"]
    exact = "the best there is" if gap == 0 else f"at most {gap:.3g} short of the best"
    given_up = derivation["log_prob_given_up"]
    if not derivation["is_spent"]:
        exact += "; no network was asked to spend more, or none does"
    return (
        f"derived: left unspent {left}; log-probability {given_up:.3g} given up, "
        f"{exact}"
    )
