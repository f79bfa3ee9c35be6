"""Array by array against the reference implementation (mit-han-lab/proxylessnas).

`tests/data/parity_supernet_a.npz` holds numbers computed with the reference in PyTorch
2.13 (float32, CPU) for one tiny supernet: inputs, gradients, momentum, architecture
steps of mode `two`. The complete file, where it lies beside the checkout, is used
instead. Bound for every array: max|ours - stored| <= 1e-4 max|stored| + 1e-6 (1e-7 for
gates and alphas). `pytest -s` prints the worst error of every group.

Excluded by name: `bn_after` (our architecture steps leave batch statistics alone), and
gates and alphas of edges whose active operation is Zero except under `plain/` (the
reference loses gradients there; ours treat Zero as any candidate, with output 0).
"""

import dataclasses
import functools
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nas_jax import (
    gates,
    latency,
    objective,
    optim,
    search_state,
    space,
    steps,
    supernet,
    train,
)
from nas_jax.architecture import from_path
from nas_jax.batches import Batch
from nas_jax.config import SearchConfig, SpaceConfig

HERE = Path(__file__).resolve().parent
COMPLETE = HERE.parents[1] / "shared" / "parity" / "supernet_a.npz"
STORED = np.load(
    COMPLETE if COMPLETE.exists() else HERE / "data" / "parity_supernet_a.npz"
)
REFERENCE_COST = 28.59884262084961  # `ref` of both penalties
SPACE = space.mobile(
    SpaceConfig(
        name="parity",
        input_size=16,
        classes=10,
        stage_widths=(8, 16),
        cells=(2, 2),
        strides=(1, 2),
    )
)
EDGES = range(1, 5)
FIXED = {"stem": "stem", "first_block": "block0/op0", "head": "head"}
WORST: dict[str, float] = defaultdict(float)
COUNT: dict[str, int] = defaultdict(int)


@pytest.fixture(scope="module", autouse=True)
def worst_errors():
    yield
    print(f"\n{STORED.fid.name if STORED.fid else ''}")
    for group, error in WORST.items():
        print(f"{group:24s} {COUNT[group]:5d} arrays, worst error {error:.1e}")


def check(group: str, name: str, ours, absolute: float = 1e-6) -> None:
    stored = STORED[name].astype(np.float64)
    ours = np.asarray(ours, np.float64)
    assert ours.shape == stored.shape, name
    scale = np.abs(stored).max()
    error = np.abs(ours - stored).max()
    relative = max(error - absolute, 0.0) / scale if scale else error
    WORST[group] = max(WORST[group], relative)
    COUNT[group] += 1
    assert error <= 1e-4 * scale + absolute, (name, error, scale)


def stored_tree(prefix: str, part: str, like):
    def leaf(path, value):
        name = "/".join(key.key for key in path)
        return jnp.asarray(STORED[f"{prefix}/{part}/{name}"])

    return jax.tree.map_with_path(leaf, like)


@functools.cache
def initial(config: SearchConfig) -> search_state.SearchState:
    """The state that every case starts from."""
    weights_tx, alphas_tx = optimisers(config)
    state = search_state.init(jax.random.key(0), SPACE, config, weights_tx, alphas_tx)
    trees = []
    for tree in (state.params, state.batch_stats):
        tree = dict(tree)
        for ours, theirs in {**FIXED, "classifier": "classifier"}.items():
            tree[ours] = stored_tree("init", theirs, tree[ours])
        trees.append(tree)
    for edge, layer in enumerate(SPACE.layers):
        for k, op in enumerate(layer.candidates):
            if op.kind == "zero":
                continue
            own = supernet.candidate(SPACE, state.params, state.batch_stats, edge, op)
            for index, like in enumerate(own):
                values = stored_tree("init", f"block{edge + 1}/op{k}", like)
                trees[index] = supernet.insert(SPACE, trees[index], edge, op, values)
    alphas = np.zeros(SPACE.mask.shape, np.float32)
    for edge in EDGES:
        stored = STORED[f"alpha/block{edge}"]
        alphas[edge - 1, : len(stored)] = stored
    return dataclasses.replace(
        state, params=trees[0], batch_stats=trees[1], alphas=jnp.array(alphas)
    )


def optimisers(config: SearchConfig):
    constant = optim._sgd(
        optax.constant_schedule(0.025), momentum=0.9, weight_decay=4e-5
    )
    return constant, optim.search_alphas(config)


def cost_model() -> latency.CostModel:
    costs = np.zeros(SPACE.mask.shape, np.float32)
    for edge in EDGES:
        stored = STORED[f"latency/block{edge}"]
        costs[edge - 1, : len(stored)] = stored
    return latency.CostModel(jnp.array(costs), float(STORED["latency/fixed"].sum()))


def train_batch(step: int) -> Batch:
    return Batch(
        jnp.asarray(STORED["data/train_images"][step]),
        jnp.asarray(STORED["data/train_labels"][step]),
    )


VALID = Batch(
    jnp.asarray(STORED["data/valid_images"]), jnp.asarray(STORED["data/valid_labels"])
)


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
    grad = jax.grad(lambda a: latency.expected_full(model, a, mask))(state.alphas)
    check("static", "latency/expected", latency.expected(model, probs))
    check("static", "entropy/mean", gates.entropy(probs))
    for edge in EDGES:
        n = len(STORED[f"alpha/block{edge}"])
        check("static", f"prob/block{edge}", probs[edge - 1, :n])
        check("static", f"latency/alpha_grad/block{edge}", grad[edge - 1, :n], 1e-7)


@pytest.mark.parametrize("case", range(5))
def test_forward(case):
    state = initial(SearchConfig())
    prefix = f"forward/path{case}"
    path = STORED[f"{prefix}/ops"]
    batch = train_batch(0)
    logits = train_logits(state, jnp.asarray(path), batch.images)
    check("forward", f"{prefix}/logits_train", logits)
    check("forward", f"{prefix}/ce", objective.cross_entropy(logits, batch.labels))
    smooth = objective.cross_entropy(logits, batch.labels, 0.1)
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
    return train.predict(architecture, params, stats, train_batch(0).images)


def test_weight_steps():
    config = SearchConfig(label_smoothing=0.1)
    tx, _ = optimisers(config)
    state = before = initial(config)

    @jax.jit
    def step(state, path, batch):
        grads, stats, metrics = steps.path_gradients(SPACE, config, state, path, batch)
        after = steps.apply_path_gradients(SPACE, tx, state, path, grads, stats)
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


LOSSES = {
    "none": {"objective": "none"},
    "add_linear": {"objective": "add_linear", "penalty": 0.1},
    "mul_log": {"objective": "mul_log"},
}
ZERO = {2: 6, 4: 6}  # edge -> index of its Zero


@functools.cache
def arch_step(config: SearchConfig):
    """Everything that one architecture step computes, compiled once for all pairs."""
    tx, model = optim.search_alphas(config), cost_model()

    @jax.jit
    def run(state, pair):
        gate_grads, grads, metrics = steps.two_path_gradients(
            SPACE, config, model, REFERENCE_COST, state, pair, VALID
        )
        updates, _ = tx.update(grads, state.arch_opt, state.alphas)
        after = steps.apply_alpha_gradients(config, tx, state, pair, grads)
        return gate_grads, grads, metrics, state.alphas + updates, after.alphas

    return run


@pytest.mark.parametrize("case", ["no_zero", "zero_inactive", "zero_active"])
@pytest.mark.parametrize("loss", LOSSES)
def test_arch_step_two(case, loss):
    config = SearchConfig(expectation="pair", arch_lr=1e-3, **LOSSES[loss])
    state, model = initial(config), cost_model()
    prefix = f"arch/two/{case}"
    pair = gates.PathPair(
        jnp.asarray(STORED[f"{prefix}/active"]),
        jnp.asarray(STORED[f"{prefix}/inactive"]),
    )
    gate_grads, grads, metrics, stepped, after = arch_step(config)(state, pair)
    group = f"arch two, {loss}"
    where = f"{prefix}/{loss}"
    check(group, f"{where}/loss", metrics["search/arch_loss"])
    check(group, f"{where}/ce", metrics["search/arch_ce"])
    if f"{where}/expected_latency" in STORED:
        expected = latency.expected_pair(model, state.alphas, pair)
        check(group, f"{where}/expected_latency", expected)
    all_gates = gates.scatter_pair(gate_grads, pair, len(SPACE.candidates))
    for edge in EDGES:
        n = len(STORED[f"alpha/block{edge}"])
        row = edge - 1
        if ZERO.get(edge) == int(pair.active[row]):
            if loss == "none":
                plain = f"{prefix}/plain"
                check(group, f"{plain}/gate_grad/block{edge}", all_gates[row, :n], 1e-7)
                check(group, f"{plain}/alpha_grad_ce/block{edge}", grads[row, :n], 1e-7)
            continue
        check(group, f"{where}/gate_grad/block{edge}", all_gates[row, :n], 1e-7)
        check(group, f"{where}/alpha_grad/block{edge}", grads[row, :n], 1e-7)
        check(group, f"{where}/alpha_after_adam/block{edge}", stepped[row, :n])
        check(group, f"{where}/alpha_after_rescale/block{edge}", after[row, :n])
