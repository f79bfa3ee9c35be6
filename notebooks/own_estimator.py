# %% [markdown]
# # An estimator of your own
#
# An estimator makes the gradient that moves the alphas, the architecture's parameters.
# Two functions are one: what a step draws, and the gradient made of it. This one
# relaxes the gates of all candidates by Gumbel noise (Jang et al., 2017).
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import jax
import matplotlib.pyplot as plt

import nas_jax as nas

estimators, gates = nas.search.estimators, nas.search.gates


def sample(key, alphas, mask, config):
    noise = jax.random.gumbel(key, alphas.shape, alphas.dtype)
    return jax.numpy.where(mask, alphas + noise, -jax.numpy.inf)


def estimate(problem, state, scores, batch):
    path = scores.argmax(axis=1)
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
small = {
    "space.cells": (1, 2),
    "space.stage_widths": (8, 16),
    "space.strides": (1, 2),
    "space.candidates": ("mb3_k3", "mb6_k3", "mb3_k5", "zero"),
    "space.head_channels": 16,
    "data.shift_pixels": 0,
    "search.warmup_epochs": 10,
    "search.joint_epochs": 30,
    "search.arch_start_epoch": 0,
    "search.watch_every_epochs": 1,
    "search.cost": "macs",
    "search.target_ratio": 0.6,
}
options = {"relaxed": ("temperature=0.5",), "two_path": ()}
histories = {}
for name in options:
    own = {"search.estimator": name, "search.estimator_options": options[name]}
    setup = nas.load(nas.load_experiment("digits_cpu", small | own))
    aim = nas.targets(setup)
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
