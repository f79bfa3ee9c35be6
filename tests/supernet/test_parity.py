"""Array by array against the reference implementation: the network and its weights.

`pytest -s` prints the worst error of every group; origin and bound: `parity.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import supernet
from nas_jax.config import SearchConfig
from nas_jax.networks import counts, network
from nas_jax.search import cost, gates, search_state, weight_step
from nas_jax.spaces.architecture import from_path
from nas_jax.training import losses
from tests.parity import (
    EDGES,
    FIXED,
    SPACE,
    STORED,
    check,
    cost_model,
    initial,
    optimisers,
    print_worst_errors,
    train_batch,
)


@pytest.fixture(scope="module", autouse=True)
def worst_errors():
    yield
    print()
    print_worst_errors()


def named(tree):
    """(reference name, array) of everything stored per parameter or statistic."""
    for ours, theirs in {**FIXED, "classifier": "classifier"}.items():
        for path, value in jax.tree.leaves_with_path(tree[ours]):
            yield theirs + "/" + "/".join(key.key for key in path), value


def named_candidates(params, batch_stats):
    for edge, layer in enumerate(SPACE.layers):
        for k, op in enumerate(layer.candidates):
            for tree in supernet.candidate(SPACE, params, batch_stats, edge, op):
                for path, value in jax.tree.leaves_with_path(tree):
                    inner = "/".join(key.key for key in path)
                    yield f"block{edge + 1}/op{k}/{inner}", value


def test_static_quantities():
    state, model = initial(SearchConfig()), cost_model()
    mask = jnp.asarray(SPACE.mask)
    probs = gates.probabilities(state.alphas, mask)
    grad = jax.grad(lambda a: cost.expected_full(model, a, mask))(state.alphas)
    check("static", "latency/expected", cost.expected(model, probs))
    check("static", "entropy/mean", gates.entropy(probs))
    for edge in EDGES:
        n = len(STORED[f"alpha/block{edge}"])
        check("static", f"prob/block{edge}", probs[edge - 1, :n])
        check("static", f"latency/alpha_grad/block{edge}", grad[edge - 1, :n], 1e-7)


def test_multiply_adds():
    costs, fixed = counts.costs(SPACE, counts.macs)
    parts = [counts.macs(part) for part in SPACE.fixed_parts]
    check("macs", "macs/fixed", np.array(parts), 0)
    assert fixed == STORED["macs/fixed"].sum()
    for edge in EDGES:
        n = len(STORED[f"alpha/block{edge}"])
        check("macs", f"macs/block{edge}", costs[edge - 1, :n], 0)
    model = cost.CostModel(jnp.asarray(costs, jnp.float32), fixed)
    alphas = initial(SearchConfig()).alphas
    expected = cost.expected_full(model, alphas, jnp.asarray(SPACE.mask))
    check("macs", "macs/expected", expected)


@pytest.mark.parametrize("case", range(5))
def test_forward(case):
    state = initial(SearchConfig())
    prefix = f"forward/path{case}"
    path = STORED[f"{prefix}/ops"]
    batch = train_batch(0)
    logits = train_logits(state, jnp.asarray(path), batch.images)
    check("forward", f"{prefix}/logits_train", logits)
    check("forward", f"{prefix}/ce", losses.cross_entropy(logits, batch.labels))
    smooth = losses.cross_entropy(logits, batch.labels, 0.1)
    check("forward", f"{prefix}/ce_smooth", smooth)
    check("forward", f"{prefix}/logits_eval", eval_logits(state, path))


@jax.jit
def train_logits(state: search_state.SearchState, path, images):
    rows = supernet.rows_of(SPACE, path)
    sampled = supernet.gather(state.params, rows)
    stats = supernet.gather(state.batch_stats, rows)
    return supernet.apply(SPACE, sampled, stats, rows, images)[0]


def eval_logits(state: search_state.SearchState, path: np.ndarray):
    architecture = from_path(SPACE, path, "extracted")
    params, stats = supernet.extract(
        SPACE, state.params, state.batch_stats, architecture
    )
    return network.predict(architecture, params, stats, train_batch(0).images)


def test_weight_steps():
    config = SearchConfig(label_smoothing=0.1)
    tx, _ = optimisers(config)
    state = before = initial(config)

    @jax.jit
    def step(state, path, batch):
        grads, stats, metrics = weight_step.path_gradients(
            SPACE, config, state, path, batch
        )
        after = weight_step.apply_path_gradients(SPACE, tx, state, path, grads, stats)
        return grads, after, metrics

    for index in (1, 2, 3):
        path = STORED["weight/ops"][index - 1]
        grads, state, metrics = step(state, jnp.asarray(path), train_batch(index - 1))
        check_gradients(index, state, path, grads)
        check("weight loss", f"weight/step{index}/loss", metrics["search/loss"])
        check_state(index, state)
    for case in (0, 1):
        logits = eval_logits(state, STORED[f"forward/path{case}/ops"])
        check("eval after steps", f"weight/step3/logits_eval_path{case}", logits)
    check_unsampled(before, state)


def check_gradients(index: int, state: search_state.SearchState, path, grads) -> None:
    tables = supernet.scatter(
        jax.tree.map(jnp.zeros_like, state.params),
        grads,
        supernet.rows_of(SPACE, jnp.asarray(path)),
    )
    arrays = dict(named(tables)) | dict(named_candidates(tables, state.batch_stats))
    for name, value in arrays.items():
        # stored for the active path only
        stored = f"weight/step{index}/grad/{name}"
        if stored in STORED:
            check("weight gradients", stored, value)


def check_state(index: int, state: search_state.SearchState) -> None:
    arrays = dict(named(state.params)) | dict(named(state.batch_stats))
    arrays |= dict(named_candidates(state.params, state.batch_stats))
    for name, value in arrays.items():
        stored = f"weight/step{index}/params/{name}"
        if stored in STORED:
            is_stat = name.endswith(("mean", "var"))
            check("BN statistics" if is_stat else "weights", stored, value)
    momentum = optax.tree.get(state.weight_opt, "trace")
    arrays = dict(named(momentum)) | dict(named_candidates(momentum, state.batch_stats))
    for name, value in arrays.items():
        stored = f"weight/step{index}/momentum/{name}"
        if stored in STORED:
            check("momentum", stored, value)


def check_unsampled(
    before: search_state.SearchState, after: search_state.SearchState
) -> None:
    sampled = {
        f"block{edge}/op{k}"
        for ops in STORED["weight/ops"]
        for edge, k in zip(EDGES, ops, strict=True)
    }
    old = dict(named_candidates(before.params, before.batch_stats))
    untouched = 0
    for name, value in named_candidates(after.params, after.batch_stats):
        if name.rsplit("/", 3)[0] not in sampled and not any(
            name.startswith(one + "/") for one in sampled
        ):
            np.testing.assert_array_equal(value, old[name], err_msg=name)
            untouched += 1
    assert untouched > 0
