# %% [markdown]
# # Quickstart: a search on scanned digits
#
# A search in a space of 400 networks, for half of the hand-designed network's
# latency: a minute on two cores. Space and schedule are a part of those of `nas_jax
# search digits_cpu`: enough to watch, too short for a good network.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import jax
import matplotlib.pyplot as plt

import nas_jax as nas

experiment = nas.load_experiment(
    "digits_cpu",
    {
        "space.cells": (2, 1, 1),
        "space.candidates": ("mb3_k3", "mb6_k3", "mb3_k5", "mb6_k5", "zero"),
        "search.warmup_epochs": 50,
        "search.joint_epochs": 40,
        "search.watch_every_epochs": 5,
        "train.epochs": 30,
    },
)
setup = nas.load(experiment)
print({name: len(split.labels) for name, split in setup.splits.items()}, "images")
print(
    [op.name for op in setup.space.candidates], "in", len(setup.space.layers), "layers"
)

# %% [markdown]
# ## The target
#
# What every part costs stands in a table that was measured beforehand, in ONNX Runtime
# on an AMD EPYC. `nas.latency.measure(setup.space)` measures one here.

# %%
table = nas.latency.load("digits_cpu_onnxruntime")
targets = nas.targets(setup, table)
print(f"target {targets.target:.4f} ms on {table.provenance['device']}")

# %% [markdown]
# ## The search
#
# `search.run` is a generator over epochs: its consumer plots, logs, saves. In the
# warm-up only weights are trained; then weights and path probabilities take turns, and
# the expected latency is held at the target.

# %%
history = []
for epoch in nas.search.run(setup, targets, key=jax.random.key(0)):
    history.append(epoch.metrics)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3))
name = "search/valid_accuracy"  # not of every epoch
watched = [(place, one[name]) for place, one in enumerate(history) if name in one]
left.plot(*zip(*watched, strict=True))
left.set(title="validation accuracy", xlabel="epoch", ylim=(0, 1))
middle.plot([one["search/expected_latency_ms"] for one in history])
middle.axhline(targets.target, linestyle=":", color="black")
middle.set(title="expected latency, ms", xlabel="epoch")
right.imshow(epoch.probs, vmin=0, vmax=1, cmap="Blues", aspect="auto")
right.set(title="path probabilities", ylabel="layer", yticks=range(len(epoch.probs)))
names = [op.name for op in setup.space.candidates]
right.set_xticks(range(len(names)), names, rotation=45)
plt.show()

# %% [markdown]
# ## The network
#
# The most probable network of those that keep the target and spend it. A box is as
# wide as its output channels, as high as its expansion, and coloured by its kernel.

# %%
best = nas.search.derive(setup.space, epoch.probs, targets)[0]
print(f"{best.cost.slack['latency']:.2%} of the target unspent")
part_ms = {key: entry.mean_ms for key, entry in table.entries.items()}
nas.draw(best.architecture, part_ms)

# %% [markdown]
# ## Trained from scratch, and tested once

# %%
model = nas.training.fit(setup, best.architecture, key=jax.random.key(1))
accuracy = nas.training.accuracy(model, setup.splits["test"])
print(f"{accuracy:.1%} of {len(setup.splits['test'].labels)} test images are right")

# %% [markdown]
# `nas.run(experiment, out="runs/mine")` does all of this and more in one call: it
# trains other networks beside this one, exports and times them, and writes a report.
