"""Words of the command line."""

import dataclasses

import numpy as np

from fuzz.case import reader, texts
from nas_jax.cli import flags
from nas_jax.config import Experiment, overrides, shipped
from nas_jax.config.search import parse_limit
from nas_jax.runs import trade_off
from nas_jax.spaces import builders


def _words(where):
    return (where / "words").read_bytes().decode("utf-8", "surrogateescape").split("\n")


_DIGITS = shipped.load_experiment("digits_cpu")
_FIELDS = list(flags.of_config(Experiment, None))


@reader(
    "overrides",
    "words",
    "fields",
    texts(
        "--seed\n3\n--search.target-ms\n0.2\n--space.stage-widths\n16\n24\n40",
        "--data.flip\n--search.limits\nmacs:0.6x\nparams:15000\n--latency.batch=4",
        "--space.cells\n2\n3\n3\n--search.prune-below\n0.01\n--data.path\nNone",
        "--data.mean\n0.5\n--data.std\n0.25\n--search.lr\n0.1\n--train.batch\n8",
    ),
)
def _(where):
    given = flags.read(_FIELDS, _words(where), "nas_jax search")
    builders.build(overrides.apply(_DIGITS, given).space)


@reader("targets", "words", "fields", texts("0.3,0.45,0.6", "0.25ms,0.3ms", "1e-1"))
def _(where):
    targets = _words(where)[0].split(",")
    for one in trade_off.experiments(_DIGITS, targets):
        assert 0 < (one.search.target_ms or one.search.target_ratio or 0) < np.inf


@reader(
    "limits",
    "words",
    "fields",
    texts("macs:0.6x\nparams:5e4\nlatency:80:t.json", "flash:1.5MiB\npeak_memory:64KB"),
)
def _(where):
    search = dataclasses.replace(_DIGITS.search, limits=tuple(_words(where)))
    for text in search.limits:
        assert 0 < parse_limit(text).amount < np.inf
