"""`benchmarks estimators`: bias, noise and cost of the gradient estimators.

A supernet of 48 networks on 8x8 digits is trained for some steps, then every estimator
draws gradients on one batch, to be compared with the exact one. With `--with-file FILE`
the estimator of the experiment in this file is compared, too.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import estimator_gradients
from benchmarks.settings import EstimatorsConfig
from nas_jax.base import PRNGKey, stream
from nas_jax.config import provenance, shipped
from nas_jax.config.data import DataConfig
from nas_jax.config.experiment import TrainConfig
from nas_jax.config.search import ESTIMATOR_ALIASES, SearchConfig
from nas_jax.config.space import SpaceConfig
from nas_jax.data import digits
from nas_jax.data.batches import Batch, batch_at, permutations
from nas_jax.latency.measurement import timing
from nas_jax.search import arch_step, baselines, schedule, search_state, weight_step
from nas_jax.search.search_state import SearchProblem, SearchState
from nas_jax.spaces import builders
from nas_jax.spaces.space import SearchSpace
from nas_jax.training import loop, optim
from nas_jax.training.progress import Progress

SPACE = SpaceConfig(
    name="bench",
    input_size=8,
    input_channels=1,
    classes=10,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(3,),
    strides=(2,),
    candidates=("mb3_k3", "mb6_k3", "mb3_k5", "zero"),
    head_channels=32,
)
_BASE = SearchConfig(
    warmup_epochs=50,
    warmup_lr=0.1,
    batch=50,
    arch_batch=100,
    alpha_init_std=0.5,
    expectation="full",
    objective="none",
)
CONFIGS = {
    "two_path": _BASE,
    "full": dataclasses.replace(_BASE, estimator="full"),
    "reinforce, leave_one_out": dataclasses.replace(_BASE, estimator="reinforce"),
    "reinforce, reference": dataclasses.replace(
        _BASE, estimator="reinforce", reinforce_baseline="reference"
    ),
}
HOW_TO_READ = (
    "scale, cosine: the mean gradient along the exact one, 1 and 1 without bias; bias: "
    "length of the mean error in lengths of the exact gradient, with its standard "
    "error; sd: noise of a single step, in the same unit; time: one architecture step "
    "over one training step of a plain network. Adam divides by the size of the "
    "gradients, so a wrong scale costs nothing and a low cosine does. reinforce: ten "
    "networks of three layers, reward minus the loss; nothing here says how its noise "
    "grows with the layers."
)


def configs(file: str = "") -> dict[str, SearchConfig]:
    """Settings by estimator: ours, and that of an experiment's file.

    Raises:
      ValueError: if the file is no experiment, or names no estimator of its own.
    """
    if not file:
        return CONFIGS
    theirs = shipped.load_experiment(file).search
    if theirs.estimator in ESTIMATOR_ALIASES.values():
        raise ValueError(
            f"--with-file {file}: expected an experiment with an estimator of its own, "
            f"got {theirs.estimator}, which is compared anyway"
        )
    config = dataclasses.replace(
        _BASE, estimator=theirs.estimator, estimator_options=theirs.estimator_options
    )
    return {**CONFIGS, theirs.estimator: config}


def run(config: EstimatorsConfig, watch: Progress) -> dict[str, Any]:
    """The comparison, ready for JSON: settings, provenance and a row per estimator."""
    draws, seed, compared = config.draws, config.seed, configs(config.with_file)
    searched = builders.mobile(SPACE)
    key = stream(jax.random.key(seed), "bench")
    splits = digits.load(DataConfig(), SPACE.input_size, seed)
    state = trained(key, searched, splits["train_weights"])
    batch = Batch(*(array[: _BASE.arch_batch] for array in splits["train_alphas"]))
    paths = estimator_gradients.all_paths(searched)
    losses = estimator_gradients.path_losses(searched, state, paths, batch)
    alphas = np.asarray(state.alphas)
    exact = estimator_gradients.exact_gradient(alphas, searched.mask, paths, losses)
    times = step_times(searched, state, batch, compared)
    rows = []
    for name, search in compared.items():
        draw_key = stream(key, name)
        if search.estimator == "reinforce":
            gradients = estimator_gradients.reinforce_draws(
                searched, search, state.alphas, paths, losses, draw_key, draws
            )
        else:
            gradients = estimator_gradients.gradient_draws(
                searched, search, state, batch, draw_key, draws
            )
        measured = estimator_gradients.quality(gradients, exact)._asdict()
        rows.append(
            {
                "estimator": name,
                **measured,
                "step_ms": times[name],
                "time": times[name] / times["plain"],
            }
        )
    return {
        "name": "estimators",
        "networks": len(paths),
        "expected_loss": estimator_gradients.expected_loss(
            alphas, searched.mask, paths, losses
        ),
        "losses": [losses.min(), losses.max()],
        "draws": draws,
        "reinforce_samples": _BASE.reinforce_samples,
        "seed": seed,
        "plain_step_ms": times["plain"],
        "rows": rows,
        **provenance.record(),
    }


def trained(key: PRNGKey, searched: SearchSpace, data: Batch) -> SearchState:
    """The supernet after its warm-up; the alphas are as drawn."""
    per_epoch = optim.steps_per_epoch(len(data.labels), _BASE.batch)
    tx = schedule.search_weights(_BASE, per_epoch)
    state = search_state.init(key, searched, _BASE, tx, schedule.search_alphas(_BASE))
    step = weight_step.make_weight_step(
        searched, _BASE, tx=tx, augment=lambda key, images: images
    )
    order = permutations(key, "weight_order", len(data.labels))
    for index in range(_BASE.warmup_epochs * per_epoch):
        state, _ = step(state, batch_at(data, order, _BASE.batch, index))
    return state


def step_times(
    searched: SearchSpace,
    state: SearchState,
    batch: Batch,
    compared: Mapping[str, SearchConfig],
) -> dict[str, float]:
    """Milliseconds of every architecture step and of the plain training step.

    Measured side by side, in turns.
    """
    calls = {}
    for name, config in compared.items():
        step = arch_step.make_arch_step(schedule.search_alphas(config))
        problem = estimator_gradients.without_costs(searched, config)
        calls[name] = repeated(_on(step, problem), state, batch)
    calls["plain"] = _plain_step(searched, state.key, batch)
    times = timing.time_calls(calls, timing.Protocol(repeats=12, loop_ms=5.0))
    return {name: timing.steady(values) for name, values in times.items()}


def _on(step: arch_step.ArchStep, problem: SearchProblem) -> Callable[..., Any]:
    return lambda state, batch: step(state, batch, problem)


def _plain_step(
    searched: SearchSpace, key: PRNGKey, batch: Batch
) -> Callable[[], None]:
    """A training step of the hand-designed network on the same batch."""
    plain = baselines.hand_designed(searched)
    config = TrainConfig(batch=len(batch.labels))
    recipe = loop.Recipe(config, batch, lambda key, images: images)
    step = loop.make_train_step(plain, recipe)
    return repeated(step, loop.init(key, plain, recipe), batch)


def repeated(
    step: Callable[..., tuple[Any, Any]], state: Any, batch: Batch
) -> Callable[[], None]:
    """A call that takes the next step and waits; the steps donate their state."""
    current = jax.tree.map(functools.partial(jnp.array, copy=True), state)

    def call() -> None:
        nonlocal current
        current, _ = step(current, batch)
        jax.block_until_ready(current)

    return call


def table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows of the comparison, as text."""
    header = ("estimator", "scale", "cosine", "bias ± error", "sd", "time")
    return [
        header,
        *(
            (
                row["estimator"],
                f"{row['scale']:.3f}",
                f"{row['cosine']:.3f}",
                f"{row['bias']:.3f} ± {row['bias_error']:.3f}",
                f"{row['sd']:.2f}",
                f"{row['time']:.2f}",
            )
            for row in result["rows"]
        ),
    ]
