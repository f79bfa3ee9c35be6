"""The PyTorch peer of the engine bench: the same numbers as ours, step by step.

Without PyTorch only the message about it is tested.
"""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import torch_network, torch_peer
from nas_jax import supernet
from nas_jax.base import PathPair
from nas_jax.config import SearchConfig, SpaceConfig, TreeConfig
from nas_jax.data.batches import Batch
from nas_jax.search import (
    arch_step,
    cost,
    estimators,
    schedule,
    search_state,
    weight_step,
)
from nas_jax.spaces import builders
from nas_jax.training import optim

# `zero` stands in the middle: rows are not columns. Layers 0 and 1 offer it.
SPACE = builders.mobile(
    SpaceConfig(
        name="tiny",
        input_size=8,
        classes=5,
        stem_channels=8,
        first_block_channels=8,
        stem_stride=1,
        stage_widths=(8, 16),
        cells=(2, 1),
        strides=(1, 2),
        candidates=("mb3_k3", "zero", "mb6_k5"),
        head_channels=24,
    )
)
PATHS = np.array([[0, 2, 2], [1, 2, 0], [0, 0, 2]])
# Zero active, inactive, first of all, and twice in a row
PAIRS = PathPair(
    np.array([[1, 0, 2], [0, 1, 0], [2, 2, 2], [1, 1, 0]]),
    np.array([[2, 2, 0], [1, 0, 2], [0, 1, 0], [0, 2, 2]]),
)
# A decay strong enough to be seen; the peer's own settings are compared separately.
CONFIG = SearchConfig(
    objective="none", expectation="pair", alpha_init_std=0.5, weight_decay=0.1
)
WEIGHTS_TX = optim.sgd(
    optax.constant_schedule(CONFIG.lr),
    momentum=CONFIG.momentum,
    weight_decay=CONFIG.weight_decay,
)
ALPHAS_TX = schedule.search_alphas(CONFIG)
PROBLEM = search_state.SearchProblem(
    SPACE, CONFIG, cost.CostModel(jnp.zeros(SPACE.mask.shape), 1.0), 1.0
)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def strong_decay(monkeypatch):
    assert SearchConfig() == torch_peer.CONFIG
    monkeypatch.setattr(torch_peer, "CONFIG", CONFIG)


@functools.cache
def initial():
    return search_state.init(jax.random.key(0), SPACE, CONFIG, WEIGHTS_TX, ALPHAS_TX)


def batch():
    numbers = np.random.default_rng(0)
    images = numbers.normal(size=(6, 8, 8, 3)).astype(np.float32)
    return Batch(images, numbers.integers(0, 5, 6).astype(np.int32))


def parts(modules):
    """Parts of PyTorch's network by name or (layer, candidate)."""
    yield from modules["before"].named_children()
    for layer, candidates in enumerate(modules["layers"]):
        for name, module in candidates.items():
            yield (layer, name), module
    yield from modules["after"].named_children()


def owned(params, batch_stats, where):
    """What ours owns there."""
    if isinstance(where, str):
        return params[where], batch_stats[where]
    layer, name = where
    op = next(op for op in SPACE.candidates if op.name == name)
    return supernet.candidate(SPACE, params, batch_stats, layer, op)


def twins(torch, module, params, stats):
    """(PyTorch's tensor, our array in its axes) of a part."""
    inner = [name for name in ("expand", "depthwise", "project") if name in params]
    ours = [(params[name], stats[name]) for name in inner] or [(params, stats)]
    convs = [m for m in module if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    norms = [m for m in module if isinstance(m, torch.nn.BatchNorm2d)]
    for (own, _), conv in zip(ours, convs, strict=True):
        kernel = np.asarray(own["kernel"])
        axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        yield conv.weight, kernel.transpose(axes)
        if conv.bias is not None:
            yield conv.bias, np.asarray(own["bias"])
    for (own, own_stats), norm in zip(ours, norms, strict=bool(norms)):
        yield norm.weight, np.asarray(own["bn"]["scale"])
        yield norm.bias, np.asarray(own["bn"]["bias"])
        yield norm.running_mean, np.asarray(own_stats["bn"]["mean"])
        yield norm.running_var, np.asarray(own_stats["bn"]["var"])


def all_twins(torch, modules, params, batch_stats):
    for where, module in parts(modules):
        for pair in twins(torch, module, *owned(params, batch_stats, where)):
            yield where, *pair


def fill(torch, modules, params, batch_stats):
    """Copies our numbers into PyTorch's."""
    with torch.no_grad():
        for _, tensor, array in all_twins(torch, modules, params, batch_stats):
            assert tuple(tensor.shape) == array.shape
            tensor.copy_(torch.tensor(array))


def peer_like(torch, state, channels_last=False, **more):
    peer = torch_peer.Peer(SPACE, batch(), channels_last=channels_last, **more)
    fill(torch, peer.network, state.params, state.batch_stats)
    peer.alphas.copy_(torch.tensor(np.asarray(state.alphas)))
    return peer


def ops_of(path):
    return [SPACE.candidates[k] for k in path]


def snapshot(modules):
    tensors = modules.state_dict().items()
    return {name: value.numpy().copy() for name, value in tensors}


def assert_close(peers, ours, relative=1e-4, absolute=1e-6):
    ours = np.asarray(ours, np.float64)
    error = np.abs(np.asarray(peers, np.float64) - ours).max()
    assert error <= relative * np.abs(ours).max() + absolute


our_logits = jax.jit(estimators.path_logits, static_argnums=0)


@pytest.mark.parametrize("channels_last", [False, True])
def test_logits_of_a_path_are_ours(torch, channels_last):
    state = initial()
    peer = peer_like(torch, state, channels_last)
    assert peer._images.is_contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )
    for path in PATHS:
        found = (
            torch_network.run_path(SPACE, peer.network, ops_of(path), peer._images)
            .detach()
            .numpy()
        )
        expected = our_logits(SPACE, state, jnp.asarray(path), batch())
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_logits_of_a_plain_network_are_ours(torch):
    state, path = initial(), PATHS[1]
    plain = torch_network.build(SPACE, [(op,) for op in ops_of(path)], seed=0)
    fill(torch, plain, state.params, state.batch_stats)
    images = torch.tensor(batch().images).permute(0, 3, 1, 2)
    found = torch_network.run_path(SPACE, plain, ops_of(path), images).detach().numpy()
    expected = our_logits(SPACE, state, jnp.asarray(path), batch())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@functools.cache
def our_weight_steps():
    """The states after each of three steps along `PATHS`."""
    step = jax.jit(
        lambda state, path: weight_step.apply_path_gradients(
            *(SPACE, WEIGHTS_TX, state, path),
            *weight_step.path_gradients(SPACE, CONFIG, state, path, batch())[:2],
        )
    )
    states = [initial()]
    for path in PATHS:
        states.append(step(states[-1], jnp.asarray(path)))
    return states[1:]


@pytest.mark.parametrize("channels_last", [False, True])
def test_weight_steps_move_what_ours_move_and_nothing_else(
    torch, strong_decay, channels_last
):
    peer = peer_like(torch, initial(), channels_last)
    step = peer.weight_step(PATHS)
    for path, expected in zip(PATHS, our_weight_steps(), strict=True):
        before = snapshot(peer.network)
        step()
        arrays = all_twins(torch, peer.network, expected.params, expected.batch_stats)
        for _, tensor, array in arrays:
            assert_close(tensor.detach().numpy(), array)
        sampled = {f"layers.{i}.{op.name}." for i, op in enumerate(ops_of(path))}
        sampled |= {"before.", "after."}
        for name, value in snapshot(peer.network).items():
            is_moved = not np.array_equal(value, before[name])
            assert is_moved == name.startswith(tuple(sampled)), name


def test_gate_gradients_and_alphas_are_ours(torch):
    state = initial()
    peer = peer_like(torch, state)
    step, frozen = peer.arch_step(PAIRS), peer._frozen()
    weights = {name: value.clone() for name, value in peer.network.named_parameters()}
    for pair in zip(*PAIRS, strict=True):
        ours = PathPair(*map(jnp.asarray, pair))
        found = peer.gate_gradients(frozen, list(zip(*map(ops_of, pair), strict=True)))
        expected, _, _ = estimators.two_path_gradients(PROBLEM, state, ours, batch())
        assert_close(found.numpy(), expected, absolute=1e-7)
        is_zero = np.stack(pair, axis=1) == 1
        np.testing.assert_array_equal(found.numpy() == 0, is_zero)
        before = state.alphas
        estimate = arch_step.estimate(PROBLEM, state, ours, batch())
        state, _ = arch_step.update_alphas(PROBLEM, state, ours, estimate, tx=ALPHAS_TX)
        step()
        assert_close(peer.alphas.numpy() - before, state.alphas - before, 1e-3, 1e-7)
    for name, value in peer.network.named_parameters():
        assert torch.equal(value, weights[name])
        assert value.grad is None


def test_arch_steps_see_the_weights_as_they_are(torch, strong_decay):
    peer = peer_like(torch, initial())
    frozen = peer._frozen()
    peer.weight_step(PATHS)()
    state = our_weight_steps()[0]
    for _, tensor, array in all_twins(torch, frozen, state.params, state.batch_stats):
        assert_close(tensor.numpy(), array)
        assert not tensor.requires_grad


def test_plain_networks_train_in_turn_each_with_its_own_weights(torch, monkeypatch):
    built, build = [], torch_network.build

    def keep(*arguments):
        built.append(build(*arguments))
        return built[-1]

    monkeypatch.setattr(torch_network, "build", keep)
    peer = torch_peer.Peer(SPACE, batch(), channels_last=False)
    step = peer.plain_step(PATHS[:2])
    assert [sum(map(len, modules["layers"])) for modules in built] == [3, 2]
    for trained in (0, 1, 0):
        before = [snapshot(modules) for modules in built]
        step()
        for index, modules in enumerate(built):
            after = snapshot(modules)
            moved = [
                not np.array_equal(after[name], before[index][name]) for name in after
            ]
            assert all(moved) if index == trained else not any(moved)


def test_initial_values_are_the_seeds_and_as_wide_as_ours(torch):
    def made(seed):
        offered = [layer.candidates for layer in SPACE.layers]
        return snapshot(torch_network.build(SPACE, offered, seed))

    state_before = torch.random.get_rng_state()
    one, again, other = made(0), made(0), made(1)
    assert torch.equal(torch.random.get_rng_state(), state_before)
    assert all(np.array_equal(one[name], again[name]) for name in one)
    depthwise = "layers.1.mb6_k5.3.weight"
    assert one[depthwise].shape == (48, 1, 5, 5)
    assert not np.array_equal(one[depthwise], other[depthwise])
    # groups are not divided out: the fan is k k out
    assert one[depthwise].std() == pytest.approx((2 / (25 * 48)) ** 0.5, rel=0.1)
    linear = one["after.classifier.2.weight"]
    assert 0.9 < np.abs(linear).max() * 24**0.5 <= 1
    assert not one["after.classifier.2.bias"].any()


@pytest.mark.parametrize(
    ("searched", "message"),
    [
        (builders.tree(TreeConfig(cells_per_stage=1)), "expected a chain of blocks"),
        (
            builders.mobile(SpaceConfig(candidates=("mb3_k3", "sep_k3"))),
            "got sep_k3; the PyTorch peer does not have them",
        ),
    ],
)
def test_other_spaces_are_refused(torch, searched, message):
    with pytest.raises(ValueError, match=message):
        torch_peer.Peer(searched, batch(), channels_last=False)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (np.zeros((0, 3), int), "expected at least one"),
        (np.array([[0, 0, 1]]), "offered by its layer"),
    ],
)
def test_what_is_no_path_is_refused(torch, paths, message):
    peer = torch_peer.Peer(SPACE, batch(), channels_last=False)
    for make in (peer.plain_step, peer.weight_step, lambda p: peer.arch_step((p, p))):
        with pytest.raises(ValueError, match=message):
            make(paths)


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not torch_peer.available()
    with pytest.raises(
        ValueError, match=r"expected PyTorch, .* pip install 'nas_jax\[torch\]'$"
    ):
        torch_peer.Peer(SPACE, batch(), channels_last=False)
