"""Tree cells against an oracle in NumPy, in every form in which they run.

The oracle is written from the description of the cell (ProxylessNAS, section 4.1, and
the authors' `proxyless_cifar.config`), with loops and without the package.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import report, supernet
from nas_jax.config import (
    Experiment,
    SearchConfig,
    SpaceConfig,
    TrainConfig,
    TreeConfig,
)
from nas_jax.data.batches import Batch
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import counts, network, parts
from nas_jax.networks.onnx import graphs
from nas_jax.runs import run_folder
from nas_jax.search import cost, derivation
from nas_jax.search import loop as search_loop
from nas_jax.search.search_state import SearchProblem
from nas_jax.spaces import architecture, architecture_json, builders, space, topology
from nas_jax.spaces.operations import Block, OpSpec
from nas_jax.spaces.parts import Classifier, Norm, NormConv, Stem, Widen
from nas_jax.training import loop as training_loop
from tests import compiled, oracles

NAMES = ("identity", "sep_k3", "sep_k5", "sep_k7", "dil_k3", "avg_k3", "max_k3")
OPS = tuple(OpSpec.parse(name) for name in NAMES)
SIZE = 6


def one_cell(candidates=OPS, width=4, stride=2):
    """A space of a single cell: small enough to compile in a test."""
    cell = topology.Cell(8, width, 12, stride, SIZE)
    side = cell.output_size
    layer = space.LayerSpec(candidates, width, width, 1, side, residual=False)
    return space.SearchSpace(
        name="one_cell",
        candidates=candidates,
        stem=Stem(3, 8, 1, SIZE, activation="none"),
        first_block=None,
        layers=(layer,) * topology.EDGES,
        head=Norm(12, side, activate=True),
        classifier=Classifier(12, 10, side),
        cells=(cell,),
    )


def drawn(found, seed=0):
    """Weights, running statistics and images of ordinary size."""
    rng = np.random.default_rng(seed)
    pairs = {
        slot: graphs.random_weights(part, rng) for slot, part in found.slots.items()
    }
    params, batch_stats = (
        network.assemble({slot: pair[which] for slot, pair in pairs.items()})
        for which in (0, 1)
    )
    images = rng.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    return params, batch_stats, images


# --- the oracle ----------------------------------------------------------------------


def norm(x, params, stats, relu):
    y = oracles.batch_norm_eval(x, **params["bn"], **stats["bn"], eps=EPS)
    return np.maximum(y, 0) if relu else y


EPS = 1e-3


def dilate(kernel, dilation):
    side = (kernel.shape[0] - 1) * dilation + 1
    spread = np.zeros((side, side, *kernel.shape[2:]))
    spread[::dilation, ::dilation] = kernel
    return spread


def operation(name, x, params, stats):
    if name == "identity":
        return x
    kind, k = name.split("_k")
    k = int(k)
    if kind in ("avg", "max"):
        y = np.zeros_like(x)
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                rows = slice(max(i - k // 2, 0), i + k // 2 + 1)
                columns = slice(max(j - k // 2, 0), j + k // 2 + 1)
                window = x[:, rows, columns]
                reduce = np.mean if kind == "avg" else np.max
                y[:, i, j] = reduce(window, axis=(1, 2))
        return y
    y = norm(x, params, stats, relu=True)
    kernel = dilate(params["depthwise"]["kernel"], 2 if kind == "dil" else 1)
    y = oracles.conv2d_nhwc(y, kernel, 1, kernel.shape[0] // 2, groups=x.shape[-1])
    return oracles.conv2d_nhwc(y, params["pointwise"]["kernel"], 1, 0)


def norm_conv(x, params, stats, relu, stride=1, groups=1):
    y = norm(x, params["norm"], stats["norm"], relu)
    kernel = params["conv"]["kernel"]
    return oracles.conv2d_nhwc(y, kernel, stride, kernel.shape[0] // 2, groups)


def oracle(found, params, stats, images):
    """Logits of a network with one tree cell."""
    cell, names = found.cells[0], [block.op.name for block in found.blocks]
    x = oracles.conv_bn_eval(images, params["stem"], stats["stem"], eps=EPS)

    def fixed(name):
        return params[f"cell_0_{name}"], stats[f"cell_0_{name}"]

    def edge(index, value):
        own = params["blocks"][index], stats["blocks"][index]
        return operation(names[index], value, *own)

    y = norm_conv(x, *fixed("in"), relu=False)
    y = norm_conv(y, *fixed("root"), relu=True, stride=cell.stride, groups=2)
    # output channel g * w + c of group g goes to place 2 c + g
    shuffled = np.empty_like(y)
    for group in range(2):
        for channel in range(cell.width):
            source = y[..., group * cell.width + channel]
            shuffled[..., 2 * channel + group] = source
    total = 0
    for branch in range(2):
        half = shuffled[..., branch * cell.width : (branch + 1) * cell.width]
        child = 0
        for first in (6 * branch, 6 * branch + 3):
            twig = edge(first, half)
            child = child + edge(first + 1, twig) + edge(first + 2, twig)
        total = total + half + norm(child, *fixed(f"branch_{branch}"), relu=False)
    y = norm(norm_conv(total, *fixed("out"), relu=True), *fixed("norm"), relu=False)
    if cell.stride == 2:
        x = x.reshape(len(x), SIZE // 2, 2, SIZE // 2, 2, -1).mean((2, 4))
    x = np.concatenate([x, np.zeros((*x.shape[:-1], 12 - x.shape[-1]))], axis=-1)
    x = norm(x + y, params["head"], stats["head"], relu=True)
    return oracles.classifier_eval(x, params["classifier"])


# every operation as an edge and as a leaf, in both branches
ORDERS = [
    [NAMES[(index + shift) % len(NAMES)] for index in range(topology.EDGES)]
    for shift in (0, 3)
]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("names", ORDERS)
def test_network_and_its_onnx_graph_equal_the_oracle(names, stride):
    chosen = [OpSpec.parse(name) for name in names]
    found = architecture.from_ops(one_cell(stride=stride), chosen, "tree")
    params, batch_stats, images = drawn(found)
    expected = oracle(found, params, batch_stats, images)
    ours = network.predict(found, params, batch_stats, images)
    np.testing.assert_allclose(ours, expected, atol=2e-5, rtol=2e-5)
    model = graphs.network(found, params, batch_stats)
    exported = onnx_runtime.run(model, images)
    np.testing.assert_allclose(exported, expected, atol=5e-5, rtol=5e-5)


@pytest.mark.parametrize("name", NAMES[1:])
def test_graph_of_one_operation_equals_the_package(name):
    block = Block(OpSpec.parse(name), 4, 4, 1, 7, shortcut=False)
    params, stats = graphs.random_weights(block, np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(2, 7, 7, 4)).astype(np.float32)
    ours, _ = parts.apply(block, params, stats, jnp.asarray(x), False)
    model = graphs.part(block, params, stats)
    (output,) = onnx_runtime.session(model, 1).run(None, {"x": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(output.transpose(0, 2, 3, 1), ours, atol=2e-5)


# --- the supernet --------------------------------------------------------------------


def test_path_through_the_supernet_is_the_plain_network():
    """Logits in training mode, and the running statistics that each leaves."""
    few = tuple(OpSpec.parse(name) for name in ("identity", "sep_k3", "max_k3"))
    searched = one_cell(few)
    params, batch_stats = supernet.init(jax.random.key(0), searched)
    path = jnp.arange(topology.EDGES) % 3
    rows = supernet.rows_of(searched, path)
    images = np.random.default_rng(0).normal(size=(4, SIZE, SIZE, 3))
    images = jnp.asarray(images, jnp.float32)

    @jax.jit
    def along(params, batch_stats):
        sampled = supernet.gather(params, rows)
        stats = supernet.gather(batch_stats, rows)
        logits, new = supernet.apply(searched, sampled, stats, rows, images)
        return logits, supernet.scatter(batch_stats, new, rows)

    logits, after = along(params, batch_stats)
    found = architecture.from_path(searched, np.asarray(path), "path")
    plain = supernet.extract(searched, params, batch_stats, found)
    expected, stats = compiled.apply(found, *plain, images, train=True)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    ours = supernet.extract(searched, params, after, found)[1]
    assert jax.tree.structure(ours) == jax.tree.structure(stats)
    chex.assert_trees_all_close(ours, stats, atol=1e-5, rtol=1e-7)


# --- the paper's space ---------------------------------------------------------------


@pytest.mark.slow
def test_paper_space_builds_by_shapes_alone():
    paper = builders.cifar10_tree()
    assert (len(paper.cells), len(paper.layers)) == (54, 648)
    assert paper.architectures == 7**648
    shapes, _ = jax.eval_shape(lambda key: supernet.init(key, paper), jax.random.key(0))
    stored = sum(leaf.size for leaf in jax.tree.leaves(shapes["layers"]))
    weights = counts.describe_space(paper)["supernet_weights"]
    fixed = {name: own for name, own in shapes.items() if name != "layers"}
    fixed_size = sum(leaf.size for leaf in jax.tree.leaves(fixed))
    # tables pad every row to the longest candidate: no weight is missing
    assert stored > weights - fixed_size > 0


@pytest.mark.parametrize("cells_per_stage, last", [(1, 40), (2, 88), (18, 400)])
def test_pyramid_ends_at_its_last_width_and_never_narrows(cells_per_stage, last):
    cells = topology.pyramid(cells_per_stage, last, stem_channels=16, input_size=32)
    assert len(cells) == 3 * cells_per_stage
    assert cells[-1].out_channels == last
    assert [cell.stride for cell in cells].count(2) == 2
    assert cells[-1].output_size == 8
    for cell in cells:
        assert cell.width % 2 == 0
        assert cell.out_channels >= cell.in_channels


def test_counts_equal_the_shapes_of_the_weights():
    found = architecture.from_ops(one_cell(), [*OPS, *OPS[:5]], "tree")
    params, _ = network.shapes(found)
    total = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert counts.describe(found)["params"] == total


def test_multiply_adds_of_the_new_parts_by_hand():
    assert counts.macs(Block(OpSpec.parse("sep_k5"), 4, 6, 1, 7, False)) == (
        (25 * 4 + 4 * 6) * 49
    )
    assert counts.macs(NormConv(4, 8, 2, 7, kernel=3, groups=2)) == 9 * 2 * 8 * 16
    assert counts.macs(Widen(4, 8, 2, 8)) == counts.macs(Norm(4, 8)) == 0


@pytest.mark.slow
def test_small_tree_searches_end_to_end():
    """B = 1, F = 40 on generated images: search, derivation, training, ONNX."""
    searched = builders.cifar10_tree(1, 40)
    assert (len(searched.layers), searched.cells[-1].out_channels) == (36, 40)
    rng = np.random.default_rng(0)
    labels = np.arange(32, dtype=np.int32) % 10
    patterns = rng.normal(size=(10, 32, 32, 3))
    images = patterns[labels] + 0.5 * rng.normal(size=(32, 32, 32, 3))
    data = Batch(images.astype(np.float32), labels)
    config = SearchConfig(
        warmup_epochs=1,
        joint_epochs=2,
        batch=16,
        arch_batch=16,
        arch_every=1,
        arch_start_epoch=0,
        arch_lr=0.1,
        objective="none",
    )
    costs, fixed = counts.costs(searched, counts.macs)
    model = cost.CostModel(jnp.asarray(costs, jnp.float32), fixed)
    start = np.full(searched.mask.shape, 1 / 7)
    *_, last = search_loop.run(
        jax.random.key(0),
        SearchProblem(searched, config, model, 1.0),
        search_loop.SearchData(data, data, data, lambda key, images: images),
    )
    probs = np.asarray(last.probs)
    assert np.abs(probs - start).max() > 0.01
    found = derivation.derive(searched, probs, costs)
    assert len(found.blocks) == 36
    training = TrainConfig(epochs=2, batch=16, lr=0.05)
    key, keep = jax.random.key(0), lambda key, images: images
    *_, trained = training_loop.run(
        key, found, training_loop.Recipe(training, data, keep)
    )
    state = trained.state
    model = graphs.network(found, state.params, state.batch_stats)
    logits = network.predict(found, state.params, state.batch_stats, data.images)
    exported = onnx_runtime.run(model, data.images)
    np.testing.assert_allclose(exported, logits, atol=1e-4)


# --- JSON and refusals ---------------------------------------------------------------


def test_json_gives_the_network_back():
    found = architecture.from_ops(one_cell(), [*OPS, *OPS[:5]], "tree")
    found = dataclasses.replace(found, bn_eps=1e-5)
    assert architecture_json.from_json(architecture_json.to_json(found)) == found


def test_cell_with_an_operation_too_few_is_refused():
    found = architecture.from_ops(one_cell(), [*OPS, *OPS[:5]], "tree")
    with pytest.raises(ValueError, match="expected 12 operations for each of 1 cells"):
        dataclasses.replace(found, blocks=found.blocks[:-1])


def test_operation_of_another_width_is_refused():
    found = architecture.from_ops(one_cell(), [*OPS, *OPS[:5]], "tree")
    wider = dataclasses.replace(found.blocks[0], in_channels=8)
    with pytest.raises(ValueError, match="expected operations on 4 channels at side 3"):
        dataclasses.replace(found, blocks=(wider, *found.blocks[1:]))


def test_cell_that_narrows_is_refused():
    with pytest.raises(ValueError, match="at least as many channels out as in"):
        topology.Cell(16, 4, 8, 1, 8)


def test_zero_has_no_place_in_a_cell():
    with pytest.raises(ValueError, match="'zero' needs a shortcut"):
        one_cell((OpSpec("zero"), *OPS))


@pytest.mark.parametrize("config", [TreeConfig(cells_per_stage=2), SpaceConfig()])
def test_run_folder_gives_back_the_kind_of_space(config, tmp_path):
    experiment = Experiment("tree", space=config)
    folder = run_folder.create(experiment, tmp_path / "run", tmp_path)
    assert run_folder.read_experiment(folder) == experiment
    assert report.write(folder).is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input_size": 30}, r"space\.input_size: expected a multiple of 4 .* got 30"),
        (
            {"cells_per_stage": 0},
            r"space\.cells_per_stage: expected at least 1",
        ),
        (
            {"last_channels": 12},
            r"space\.last_channels: expected a multiple of 8",
        ),
        ({"stem_channels": 72}, r"space\.stem_channels: expected at most 64"),
        ({"classes": 1}, r"space\.classes: expected at least 2, .*got 1$"),
        ({"candidates": ()}, r"space\.candidates: expected distinct names"),
    ],
)
def test_wrong_configuration_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TreeConfig(**values)
