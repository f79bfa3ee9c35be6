"""What cuts of a given network lose, against plain networks and every sum."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from nas_jax.networks import inherit
from nas_jax.search import saliency
from nas_jax.search.targets import Costs
from nas_jax.spaces import elastic
from nas_jax.spaces.architecture import homogeneous
from nas_jax.spaces.operations import OpSpec
from tests import compiled, small_elastic
from tests.drawn import drawn

KEY = jax.random.key(5)
SPACE = elastic.build(small_elastic.SPACE)
LARGEST = elastic.build(dataclasses.replace(small_elastic.SPACE, classes=7)).shapes[-1]
GIVEN = drawn(homogeneous(LARGEST, OpSpec.parse("mb6_k3")))
IMAGES = {
    side: np.random.default_rng(side).normal(size=(16, side, side, 1)).astype("float32")
    for side in SPACE.sides
}


@pytest.fixture(scope="module")
def judge():
    return saliency.Judge(GIVEN, SPACE, IMAGES, KEY)


@pytest.fixture(scope="module")
def found(judge):
    tried = saliency.cuts(SPACE, GIVEN.architecture)
    losses = {choice: judge.lost(one) for choice, one in tried.items()}
    return saliency.of(SPACE, GIVEN.architecture, losses)


def answers(one):
    """Of a plain network, with batch statistics of its images; less their mean."""
    wide = dataclasses.replace(
        one, classifier=dataclasses.replace(one.classifier, classes=7)
    )
    params, stats, _ = inherit.inherit(GIVEN, wide, KEY)
    images = IMAGES[one.stem.input_size]
    logits = np.asarray(compiled.apply(wide, params, stats, images, train=True)[0])
    centred = logits - logits.mean(0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def test_the_given_network_loses_nothing(judge):
    assert judge.lost(GIVEN.architecture) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", range(4))
def test_a_loss_is_that_of_the_plain_network_with_cut_weights(judge, shape):
    names = [op.name for op in SPACE.shapes[shape].candidates]
    path = np.array([names.index(op) for op in ("mb6_k3", "zero", "mb3_k3", "mb6_k3")])
    one = SPACE.network(shape, path, "one")
    expected = 1 - (answers(one) * answers(GIVEN.architecture)).sum(1).mean()
    assert judge.lost(one) == pytest.approx(expected, abs=1e-4)
    assert expected > 0.01


def test_each_choice_has_its_loss_alone(judge, found):
    names = [op.name for op in SPACE.middle.candidates]
    shape = SPACE.shapes[-1]
    assert found.layers.shape == SPACE.middle.mask.shape
    assert (np.isinf(found.layers) == ~SPACE.middle.mask).all()
    kept = names.index("mb6_k3")
    assert (found.layers[:, kept] == 0).all()
    path = np.full(len(shape.layers), kept)
    path[1] = names.index("zero")
    alone = judge.lost(SPACE.network(len(SPACE.shapes) - 1, path, "one"))
    assert found.layers[1, names.index("zero")] == pytest.approx(alone, abs=1e-5)
    assert found.shapes[-1] == pytest.approx(0, abs=1e-6)
    assert (found.shapes[:-1] > 0).all()


def test_larger_operations_begin_as_the_given_one(found):
    space = dataclasses.replace(
        small_elastic.SPACE, candidates=("mb3_k3", "mb6_k5", "mb6_k3", "zero")
    )
    tried = saliency.cuts(elastic.build(space), GIVEN.architecture)
    ops = {
        op.name for choice in tried if isinstance(choice, tuple) for op in choice[1:]
    }
    assert ops == {"mb3_k3", "zero"}


def test_the_best_of_every_shape_has_the_least_sum(found):
    rng = np.random.default_rng(1)
    costs = [Costs(rng.uniform(1, 2, SPACE.middle.mask.shape), 1.0) for _ in range(4)]
    target = 7.5
    best = {}
    for shape, own in enumerate(costs):
        options = [np.flatnonzero(row) for row in SPACE.shapes[shape].mask]
        for path in itertools.product(*options):
            if own.of_path(np.array(path)) <= target:
                each = found.layers[np.arange(len(path)), path]
                loss = found.shapes[shape] + each.sum()
                best[shape] = min(best.get(shape, (np.inf,)), (loss, path))
    chosen = saliency.ranked(SPACE, found, costs, target, 8)
    assert len({(shape, *path) for shape, path in chosen}) == len(chosen) == 8
    first = chosen[: len(best)]
    assert [shape for shape, _ in first] == sorted(best, key=lambda one: best[one][0])
    for shape, path in first:
        each = found.layers[np.arange(len(path)), path]
        assert found.shapes[shape] + each.sum() == pytest.approx(best[shape][0])
    for shape, path in chosen:
        assert costs[shape].of_path(path) <= target
