# %% [markdown]
# # An estimator of your own
#
# An estimator makes the gradient that moves the alphas, the architecture's parameters.
# Two functions are one: what a step draws, and the gradient made of it. This one
# relaxes the gates of all candidates by Gumbel noise (Jang et al., 2017).
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
from dataclasses import replace

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import nas_jax as nas
from nas_jax.config import SpaceConfig
from nas_jax.runs import targets
from nas_jax.search import estimators, gates


def sample(key, alphas, mask, config):
    noise = jax.random.gumbel(key, alphas.shape, alphas.dtype)
    return jnp.where(mask, alphas + noise, -jnp.inf)


def estimate(problem, state, scores, batch):
    path = jnp.argmax(scores, axis=1)
    seen, by_cost, metrics = estimators.gate_gradients(problem, state, path, batch)
    temperature = estimators.options(problem.config)["temperature"]
    relaxed = jax.nn.softmax(scores / temperature, axis=1)
    gradient = gates.alpha_gradient(relaxed, seen) / temperature
    return estimators.Estimate(gradient + by_cost, state.baseline, metrics)


relaxed = estimators.register(
    estimators.Estimator("relaxed", sample, estimate, options={"temperature": 1.0})
)

# %% [markdown]
# `gate_gradients` computes the gradient of every gate, one candidate after the other,
# in the memory of one path. `by_cost` is the exact gradient of the expected cost.
#
# ## Two searches
#
# In a small space, counted in multiply-adds: with it, at a temperature of one half,
# and with the paper's two paths.

# %%
experiment = nas.load_experiment("digits_cpu")
small = replace(
    experiment,
    space=SpaceConfig(
        name="small",
        input_size=8,
        input_channels=1,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8, 16),
        cells=(1, 2),
        strides=(1, 2),
        candidates=("mb3_k3", "mb6_k3", "mb3_k5", "zero"),
        head_channels=16,
    ),
    data=replace(experiment.data, shift_pixels=0),
    search=replace(
        experiment.search,
        warmup_epochs=10,
        joint_epochs=30,
        arch_start_epoch=0,
        watch_every_epochs=1,
        cost="macs",
        target_ratio=0.6,
    ),
)
search = small.search
settings = {
    "relaxed": replace(
        search, estimator="relaxed", estimator_options=("temperature=0.5",)
    ),
    "two_path": replace(search, estimator="two_path"),
}
histories = {}
for name, search in settings.items():
    setup = nas.load(replace(small, search=search))
    aim = targets.resolve(setup.experiment.search, setup.space)
    epochs = list(nas.search.run(setup, aim, key=jax.random.key(0)))
    histories[name] = [one.metrics for one in epochs]
    best = nas.search.derive(setup.space, epochs[-1].probs, aim, max_slack=0.05)[0]
    print(f"{name}: {[block.op.name for block in best.architecture.blocks]}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3), layout="constrained")
shown = ("search/valid_accuracy", "search/expected_macs", "search/entropy")
for axis, key in zip(axes, shown, strict=True):
    for name, history in histories.items():
        axis.plot([one[key] for one in history], label=name)
    axis.set(title=key, xlabel="epoch")
axes[1].axhline(aim.target, linestyle=":", color="black")
axes[0].legend()
plt.show()

# %% [markdown]
# The constraint is the search's, not the estimator's. One seed in a space of seconds
# tells nothing of which is better; `python -m benchmarks estimators --with-file FILE`
# measures bias and noise, and `nas_jax sweep` runs seeds.
