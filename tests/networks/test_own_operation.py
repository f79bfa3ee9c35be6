"""An operation of a user's own, from one file of the user's own to a finished run."""

import dataclasses
import json
import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import cli, report, supernet
from nas_jax.config import shipped
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.networks import counts, layers, parts
from nas_jax.networks.onnx import graphs
from nas_jax.runs import run_folder
from nas_jax.spaces import architecture, architecture_json, builders, operations
from nas_jax.spaces.operations import OPERATIONS, Block, OpSpec
from nas_jax.spaces.parts import Conventions
from tests import compiled, oracles, small_run


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Operations registered in a test are forgotten after it."""
    before = dict(OPERATIONS)
    yield
    OPERATIONS.clear()
    OPERATIONS.update(before)


@pytest.fixture
def fused():
    """The shipped example's experiment, and its operation in a block."""
    experiment = shipped.load_experiment("own_operation")
    return experiment, Block(OpSpec.parse("fused3_k3"), 4, 6, 2, 7, shortcut=False)


def test_shipped_example_offers_its_operation_in_every_layer(fused):
    searched = builders.mobile(fused[0].space)
    assert all(OpSpec.parse("fused3_k3") in one.candidates for one in searched.layers)


def test_operation_equals_its_description_in_jax_and_in_onnx(fused):
    """Dense 3x3, BN, ReLU6, 1x1, BN: by loops, by Linen and by ONNX Runtime."""
    _, block = fused
    rng = np.random.default_rng(0)
    params, stats = graphs.random_weights(block, rng)
    x = rng.normal(size=(2, 7, 7, 4)).astype(np.float32)
    y = oracles.conv_bn_eval(x, params["expand"], stats["expand"], 2)
    expected = oracles.conv_bn_eval(
        oracles.relu6(y), params["project"], stats["project"]
    )
    ours, _ = parts.apply(block, params, stats, jnp.asarray(x), False)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    model = graphs.part(block, params, stats)
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
    searched = builders.mobile(config)
    params, stats = supernet.init(jax.random.key(0), searched)
    rows = supernet.rows_of(searched, jnp.array([1]))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(3, 16, 16, 1)))
    sampled = supernet.gather(params, rows), supernet.gather(stats, rows)
    logits, _ = supernet.apply(searched, *sampled, rows, images)
    found = architecture.from_path(searched, np.array([1]), "own")
    plain = supernet.extract(searched, params, stats, found)
    expected, _ = compiled.apply(found, *plain, images, train=True)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


SE = Path(__file__).with_name("se_mbconv.py")


def exported(block, rng, batch=2):
    """Output of a block in JAX and in ONNX Runtime."""
    params, stats = graphs.random_weights(block, rng)
    shape = (batch, block.input_size, block.input_size, block.in_channels)
    x = rng.normal(size=shape).astype(np.float32)
    ours, _ = parts.apply(block, params, stats, jnp.asarray(x), False)
    model = graphs.part(block, params, stats)
    (output,) = onnx_runtime.session(model, 1).run(None, {"x": x.transpose(0, 3, 1, 2)})
    return np.asarray(ours), output.transpose(0, 2, 3, 1)


@pytest.mark.parametrize(("name", "stride"), [("se3_k3", 2), ("se6_k5", 1)])
def test_squeeze_and_excitation_with_hard_swish_is_the_same_in_onnx(name, stride):
    shipped.load_experiment(str(SE))
    block = Block(OpSpec.parse(name), 4, 6, stride, 7, shortcut=False)
    ours, output = exported(block, np.random.default_rng(0))
    np.testing.assert_allclose(output, ours, atol=1e-4)


def test_counts_of_squeeze_and_excitation_by_hand():
    """Widths 4 -> 12 -> 6, 3 in the gate, at 7x7 and then 4x4 pixels."""
    shipped.load_experiment(str(SE))
    block = Block(OpSpec.parse("se3_k3"), 4, 6, 2, 7, shortcut=False)
    assert counts.macs(block) == 4 * 12 * 49 + (9 + 6) * 12 * 16 + 2 * 12 * 3
    gate = 2 * 12 * 3 + 3 + 12
    assert counts.params(block) == (4 + 9 + 6) * 12 + 2 * (12 + 12 + 6) + gate


@pytest.mark.parametrize("activation", layers.ACTIVATIONS)
def test_every_activation_is_the_same_in_onnx(activation):
    @operations.register(f"with_{activation}", macs=lambda block: 0).module
    class Activated(layers.Sequential):
        def layers(self):
            mix = layers.ConvBNAct(5, 3, activation=activation, name="mix")
            return [mix, layers.NormAct(activation, name="norm")]

    block = Block(OpSpec.parse(f"with_{activation}"), 4, 5, 1, 6, shortcut=False)
    ours, output = exported(block, np.random.default_rng(1))
    np.testing.assert_allclose(output, ours, atol=1e-4)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation 'mish': expected one of none, re"):
        layers.activation("mish")


@pytest.mark.slow
def test_search_with_squeeze_and_excitation_ends_in_an_exported_network(
    tmp_path, capsys
):
    assert cli.main(["describe", str(SE), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["candidates_per_layer"] == [3]
    run = tmp_path / "run"
    assert cli.main(["search", str(SE), "--out", str(run)]) == 0
    table = json.loads((run / "latency_table.json").read_text())
    assert any(key.startswith("se3_k3 ") for key in table["entries"])
    del OPERATIONS["se{expansion}_k{kernel}"]  # as in another process
    assert cli.main(["export", str(run), "--format", "onnx"]) == 0


DOUBLE = """
import flax.linen as nn
from nas_jax.spaces import operations

@operations.register("plain", macs=lambda block: 0).module
class Plain(nn.Module):
    block: object
    def __call__(self, x, train):
        return x

@operations.register("plain", macs=lambda block: 0).module
class Plain(nn.Module):
    block: object
    def __call__(self, x, train):
        return 2 * x
"""
TAKES = """
from nas_jax.spaces import operations
operations.register("mb{expansion}_k3", macs=lambda block: 0)
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOUBLE, r"line 11: .*'plain': expected the module .* \(Plain\), got another"),
        (TAKES, r"line 3: .*'mb\{expansion\}_k3': expected a name of small letters"),
    ],
)
def test_file_that_registers_a_name_that_is_taken_is_refused(text, message, tmp_path):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        shipped.load_experiment(str(tmp_path / "own.py"))


WITHOUT = f"{small_run.FILE.replace('zero', 'plain')}\n" + DOUBLE[: DOUBLE.rindex("@")]


@pytest.mark.parametrize("verb", ["search", "measure"])
def test_operation_without_an_onnx_form_is_refused_at_once(
    verb, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(WITHOUT)
    assert cli.main([verb, "own.py", "--out", "made"]) == 2
    message = capsys.readouterr().err
    assert "'plain': expected a way to write it in ONNX, got none" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "made").exists()


OWN_SPACE = """
import dataclasses
from nas_jax.spaces import builders
from tests import small_run

def get_config():
    space = builders.mobile(small_run.EXPERIMENT.space)
    layers = tuple(
        dataclasses.replace(layer, candidates=layer.candidates[place:])
        for place, layer in enumerate(space.layers)
    )
    own = builders.own(dataclasses.replace(space, name="by_hand", layers=layers))
    return dataclasses.replace(small_run.EXPERIMENT, name="by_hand", space=own)
"""


def test_space_built_in_the_file_is_built_again_from_the_run(tmp_path, monkeypatch):
    """Its layers offer different operations, which no `SpaceConfig` says."""
    monkeypatch.setattr(builders, "_OWN_SPACES", {})
    (tmp_path / "own.py").write_text(OWN_SPACE)
    experiment = shipped.load_experiment(str(tmp_path / "own.py"))
    searched = builders.build(experiment.space)
    assert searched.mask.tolist() == [[True, True, True], [False, True, True]]
    folder = run_folder.create(
        experiment, tmp_path / "run", tmp_path, tmp_path / "own.py"
    )
    builders._OWN_SPACES.clear()
    assert run_folder.read_experiment(folder) == experiment
    assert builders.build(experiment.space) == searched
    builders._OWN_SPACES.clear()
    kept = folder / "experiment.py"
    kept.write_text(OWN_SPACE.replace("candidates[place:]", "candidates"))
    other = run_folder.read_experiment(folder).space
    with pytest.raises(ValueError, match=r"'by_hand': expected the space with digest"):
        builders.build(other)


def test_run_is_read_with_the_operations_of_its_own_file(fused, tmp_path):
    """What `derive`, `train` and `evaluate` do in a process that never saw the file."""
    experiment, _ = fused
    source = shipped.experiment_file("own_operation")
    folder = run_folder.create(experiment, tmp_path / "run", tmp_path, source)
    found = architecture.homogeneous(
        builders.mobile(experiment.space), OpSpec.parse("fused3_k3")
    )
    (folder / "architecture.json").write_text(architecture_json.to_json(found))
    del OPERATIONS["fused{expansion}_k3"]
    with pytest.raises(ValueError, match="unknown operation 'fused3_k3'"):
        run_folder.read_architecture(folder / "architecture.json")
    assert run_folder.read_experiment(folder) == experiment
    assert run_folder.read_architecture(folder / "architecture.json") == found


def test_report_of_such_a_run_can_be_written_again(fused, tmp_path):
    experiment, _ = fused
    source = shipped.experiment_file("own_operation")
    folder = run_folder.create(experiment, tmp_path / "run", tmp_path, source)
    del OPERATIONS["fused{expansion}_k3"]
    assert report.write(folder).is_file()


class Plain(nn.Module):
    block: Block

    @nn.compact
    def __call__(self, x, train):
        return x * self.param("gain", nn.initializers.ones, (1, 1, 1, x.shape[-1]))


TAKEN = ("zero", "identity", "mbconv", "mb3_k3", "mb{expansion}_k3", "sep_k{kernel}")


@pytest.mark.parametrize("name", [*TAKEN, "Big", "a b", "", "a{width}", "{kernel}"])
def test_name_that_is_taken_or_no_word_is_refused(name):
    before = dict(OPERATIONS)
    with pytest.raises(
        ValueError, match=re.escape(f"operation {name!r}: expected a name")
    ):
        operations.register(name, macs=lambda block: 0)
    assert before == OPERATIONS


def test_parameter_without_a_known_start_is_refused():
    """`gain` would otherwise silently begin at some value."""
    operations.register("plain", macs=lambda block: 0).module(Plain)
    block = Block(OpSpec.parse("plain"), 4, 4, 1, 7, shortcut=False)
    with pytest.raises(ValueError, match=r"parameters named kernel, .* got \['gain'\]"):
        parts.init(jnp.zeros(0), block)


def test_module_that_takes_no_block_is_refused():
    with pytest.raises(ValueError, match="'blind': expected a module with a field bl"):

        @operations.register("blind", macs=lambda block: 0).module
        class Blind(nn.Module):
            pass


def test_another_module_under_a_known_name_is_refused():
    """Steps compiled with the first would go on with its shapes."""

    class Other(nn.Module):
        block: Block

        @nn.compact
        def __call__(self, x, train):
            return 2 * x

    operations.register("plain", macs=lambda block: 0).module(Plain)
    operations.register("plain", macs=lambda block: 0).module(Plain)
    with pytest.raises(ValueError, match="expected the module that has this name"):
        operations.register("plain", macs=lambda block: 0).module(Other)


def test_own_operation_in_a_network_of_another_epsilon_is_refused():
    @operations.register("normed", macs=lambda block: 0).module
    class Normed(nn.Module):
        block: Block

        @nn.compact
        def __call__(self, x, train):
            return layers.ConvBNAct(4, name="mix")(x, train)

    block = Block(OpSpec.parse("normed"), 4, 4, 1, 7, shortcut=False)
    assert isinstance(parts.module(block), Normed)
    with pytest.raises(ValueError, match=r"the default epsilon 0\.001 .* with 1e-05"):
        parts.module(block, Conventions(bn_eps=1e-5))


def test_operation_without_an_onnx_form_says_what_to_give():
    operations.register("plain", macs=lambda block: 0).module(Plain)
    block = Block(OpSpec.parse("plain"), 4, 4, 1, 7, shortcut=False)
    with pytest.raises(
        ValueError,
        match=r"'plain': expected a way .* method to_onnx\(graph, path, value\)",
    ):
        graphs.part(block, {}, {})
