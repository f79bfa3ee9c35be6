"""Configurations come back from JSON as they were, or are refused by field."""

import dataclasses
import json
import pathlib

import pytest

from nas_jax import config
from nas_jax.config import Experiment, SpaceConfig, TreeConfig
from nas_jax.config.from_json import from_json
from tests import small_run

SPACE = SpaceConfig | TreeConfig


def written(experiment=small_run.EXPERIMENT):
    return json.loads(json.dumps(dataclasses.asdict(experiment)))


@pytest.mark.parametrize(
    "experiment", [small_run.EXPERIMENT, Experiment("tree", space=TreeConfig())]
)
def test_what_was_written_comes_back(experiment):
    experiment = dataclasses.replace(
        experiment,
        data=config.DataConfig(
            train_weights=300, valid=1500, test=None, path="x", mean=(0.5,) * 3
        ),
    )
    assert from_json(Experiment, written(experiment)) == experiment


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("search", "batch", "20"),
        ("search", "batch", 20.5),
        ("search", "batch", True),
        ("search", "lr", None),
        ("search", "lr", [0.1]),
        ("search", "lr", float("nan")),
        ("search", "objective", "other"),
        ("search", "estimator", 3),
        ("search", "estimator_options", [0.5]),
        ("search", "limits", "macs:0.6x"),
        ("search", "limits", ["macs:0.6x", 3]),
        ("space", "cells", [2.0]),
        ("space", "cells", [[2]]),
        ("space", "candidates", ["mb3_k3", []]),
        ("space", "cells", [10**9]),
        ("space", "stage_widths", [10**9]),
        ("space", "first_block_channels", 10**9),
        ("space", "input_size", 10**9),
        ("space", "width_mult", float("inf")),
        ("data", "path", 3),
        ("data", "flip", 1),
        ("data", "unheard", 1),
        ("latency", "threads", 10**17),
    ],
)
def test_field_of_another_type_or_size_is_refused(part, field, value):
    document = written()
    document[part][field] = value
    with pytest.raises(ValueError) as info:
        from_json(Experiment, document)
    assert type(info.value) is ValueError
    assert field in str(info.value) or part in str(info.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: config.TrainConfig(epochs="2"),
            "train.epochs: expected an integer, got '2'",
        ),
        (
            lambda: config.TrainConfig(lr=True),
            "train.lr: expected a number, got True",
        ),
        (
            lambda: config.DataConfig(path=pathlib.Path("x")),
            "data.path: expected a text, got PosixPath('x')",
        ),
        (
            lambda: config.SearchConfig(estimator="full "),
            "search.estimator: expected a name of small letters, digits and _, got "
            "'full '",
        ),
        (
            lambda: SpaceConfig(stage_widths=[8, 16]),
            "space.stage_widths: expected a tuple, got [8, 16]",
        ),
        (
            lambda: Experiment("x", space=None),
            "space: expected an instance of SpaceConfig, got None",
        ),
    ],
)
def test_field_of_another_type_is_refused_where_it_is_written(make, line):
    with pytest.raises(ValueError) as info:
        make()
    assert str(info.value) == line


@pytest.mark.parametrize("document", [None, [], "x", {}, {"name": "a", "space": []}])
def test_document_of_something_else_is_refused(document):
    with pytest.raises(ValueError):
        from_json(Experiment, document)


@pytest.mark.parametrize("seed", [2**32, 2**70])
def test_seed_beyond_what_every_library_takes_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        dataclasses.replace(small_run.EXPERIMENT, seed=seed)


def test_choice_of_spaces_goes_by_the_keys():
    tree = dataclasses.asdict(TreeConfig())
    assert isinstance(from_json(SPACE, json.loads(json.dumps(tree))), TreeConfig)
    assert isinstance(from_json(SPACE, {"cells": [1] * 6}), SpaceConfig)


def test_number_that_no_float_holds_exactly_is_refused():
    with pytest.raises(ValueError, match=r"search.batch: expected below 900719925474"):
        config.SearchConfig(batch=2**53 + 1)
    with pytest.raises(ValueError, match=r"search.target_macs: expected below 90071"):
        config.SearchConfig(cost="macs", target_macs=2**53 + 1)
