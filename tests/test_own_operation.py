"""An operation of a user's own, from one file of the user's own to a finished run."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from nas_jax import (
    architecture,
    architecture_json,
    counts,
    network,
    onnx_graph,
    ops,
    report,
    run_folder,
    shipped,
    space,
    supernet,
)
from nas_jax.measure import onnx_runtime
from nas_jax.parts import OWN_OPERATIONS, Block, OpSpec


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Operations registered in a test are forgotten after it."""
    before = dict(OWN_OPERATIONS)
    yield
    OWN_OPERATIONS.clear()
    OWN_OPERATIONS.update(before)


@pytest.fixture
def fused():
    """The shipped example's experiment, and its operation in a block."""
    experiment = shipped.load_experiment("own_operation")
    return experiment, Block(OpSpec.parse("fused3_k3"), 4, 6, 2, 7, shortcut=False)


def test_shipped_example_offers_its_operation_in_every_layer(fused):
    searched = space.mobile(fused[0].space)
    assert all(OpSpec.parse("fused3_k3") in one.candidates for one in searched.layers)


def test_operation_equals_its_description_in_jax_and_in_onnx(fused):
    """Dense 3x3, BN, ReLU6, 1x1, BN: by loops, by Linen and by ONNX Runtime."""
    _, block = fused
    rng = np.random.default_rng(0)
    params, stats = onnx_graph.random_weights(block, rng)
    x = rng.normal(size=(2, 7, 7, 4)).astype(np.float32)
    y = oracles.conv_bn_eval(x, params["expand"], stats["expand"], 2)
    expected = oracles.conv_bn_eval(
        oracles.relu6(y), params["project"], stats["project"]
    )
    ours, _ = ops.apply(block, params, stats, jnp.asarray(x), False)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    model = onnx_graph.part(block, params, stats)
    (output,) = onnx_runtime.session(model, 1).run(None, {"x": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(output.transpose(0, 2, 3, 1), expected, atol=2e-5)


def test_counts_by_hand(fused):
    """9 * 4 * 12 + 12 * 6 weights at 4x4 pixels; BN has two numbers per channel."""
    _, block = fused
    assert counts.macs(block) == (9 * 4 * 12 + 12 * 6) * 16
    assert counts.params(block) == 9 * 4 * 12 + 12 * 6 + 2 * 12 + 2 * 6


def test_own_operation_runs_in_the_supernet(fused):
    experiment, _ = fused
    config = dataclasses.replace(
        experiment.space,
        stage_widths=(8,),
        cells=(1,),
        strides=(1,),
        candidates=("mb3_k3", "fused3_k3"),
    )
    searched = space.mobile(config)
    params, stats = supernet.init(jax.random.key(0), searched)
    rows = supernet.rows_of(searched, jnp.array([1]))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 16, 16, 1)))
    sampled = supernet.gather(params, rows), supernet.gather(stats, rows)
    logits, _ = supernet.apply(searched, *sampled, rows, images)
    found = architecture.from_path(searched, np.array([1]), "own")
    plain = supernet.extract(searched, params, stats, found)
    expected, _ = network.apply(found, *plain, images, train=True)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_run_is_read_with_the_operations_of_its_own_file(fused, tmp_path):
    """What `derive`, `train` and `evaluate` do in a process that never saw the file."""
    experiment, _ = fused
    source = shipped.experiment_file("own_operation")
    folder = run_folder.create(experiment, tmp_path / "run", tmp_path, source)
    found = architecture.homogeneous(
        space.mobile(experiment.space), OpSpec.parse("fused3_k3")
    )
    (folder / "architecture.json").write_text(architecture_json.to_json(found))
    OWN_OPERATIONS.clear()
    with pytest.raises(ValueError, match="unknown operation 'fused3_k3'"):
        run_folder.read_architecture(folder / "architecture.json")
    assert run_folder.read_experiment(folder) == experiment
    assert run_folder.read_architecture(folder / "architecture.json") == found


def test_report_of_such_a_run_can_be_written_again(fused, tmp_path):
    experiment, _ = fused
    source = shipped.experiment_file("own_operation")
    folder = run_folder.create(experiment, tmp_path / "run", tmp_path, source)
    OWN_OPERATIONS.clear()
    assert report.write(folder).is_file()


class Plain(nn.Module):
    block: Block

    @nn.compact
    def __call__(self, x, train):
        return x * self.param("gain", nn.initializers.ones, (1, 1, 1, x.shape[-1]))


@pytest.mark.parametrize("name", ["zero", "identity", "mb3_k3", "sep_k5", "Big", "a b"])
def test_name_that_is_taken_or_no_word_is_refused(name):
    with pytest.raises(ValueError, match=f"operation {name!r}: expected a name of"):
        ops.register(name, macs=lambda block: 0)
    assert name not in OWN_OPERATIONS


def test_parameter_without_a_known_start_is_refused():
    """`gain` would otherwise silently begin at some value."""
    ops.register("plain", macs=lambda block: 0)(Plain)
    block = Block(OpSpec.parse("plain"), 4, 4, 1, 7, shortcut=False)
    with pytest.raises(ValueError, match=r"parameters named kernel, .* got \['gain'\]"):
        ops.init(jnp.zeros(0), block)


def test_another_module_under_a_known_name_is_refused():
    """Steps compiled with the first would go on with its shapes."""

    class Other(nn.Module):
        block: Block

        @nn.compact
        def __call__(self, x, train):
            return 2 * x

    ops.register("plain", macs=lambda block: 0)(Plain)
    ops.register("plain", macs=lambda block: 0)(Plain)
    with pytest.raises(ValueError, match="expected the module that has this name"):
        ops.register("plain", macs=lambda block: 0)(Other)


def test_own_operation_in_a_network_of_another_epsilon_is_refused():
    ops.register("plain", macs=lambda block: 0)(Plain)
    block = Block(OpSpec.parse("plain"), 4, 4, 1, 7, shortcut=False)
    with pytest.raises(ValueError, match=r"the default epsilon 0\.001 .* with 1e-05"):
        ops.module(block, 1e-5)


def test_operation_without_an_onnx_form_says_what_to_give():
    ops.register("plain", macs=lambda block: 0)(Plain)
    block = Block(OpSpec.parse("plain"), 4, 4, 1, 7, shortcut=False)
    with pytest.raises(
        ValueError, match=r"'plain': expected a way .* to_onnx=\.\.\.\)"
    ):
        onnx_graph.part(block, {}, {})
