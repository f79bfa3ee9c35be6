# %% [markdown]
# # Quickstart: a search on scanned digits
#
# scikit-learn's digits, a space of 86,436 networks, and a latency table of this space
# that was measured beforehand in ONNX Runtime on an AMD EPYC. The schedule is a fifth
# of that of `nas_jax search digits_cpu`, so that all of this is done in minutes on two
# cores: enough to watch, too short for a good network.

# %%
import dataclasses
import sys

import jax
import matplotlib.pyplot as plt

from nas_jax import search
from nas_jax.base import stream
from nas_jax.config import shipped
from nas_jax.latency import tables
from nas_jax.runs import setup
from nas_jax.search import baselines
from nas_jax.training import loop

experiment = shipped.load_experiment("digits_cpu")
config = dataclasses.replace(experiment.search, warmup_epochs=200, joint_epochs=100)
experiment = dataclasses.replace(experiment, search=config)
ready = setup.load(experiment)
space, splits = ready.space, ready.splits
print({name: len(split.labels) for name, split in splits.items()})
print([op.name for op in space.candidates], "in", len(space.layers), "layers")

# %% [markdown]
# ## The target
#
# Half of what the hand-designed network takes by the table.

# %%
table = tables.load(shipped.table_file("latency_tables/digits_cpu_onnxruntime.json"))
targets = setup.resolve_targets(ready, table)
print(f"target {targets.target:.4f} ms on {table.provenance['device']}")


# %% [markdown]
# ## The search
#
# `search.run` is a generator: its consumer plots, logs, saves. In a notebook
# the figure below is drawn again every 20 epochs.


# %%
def draw(history, probs):
    """Accuracy and expected latency over epochs; the newest path probabilities."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.2))
    name = "search/valid_accuracy"  # not of every epoch
    watched = [(place, one[name]) for place, one in enumerate(history) if name in one]
    left.plot(*zip(*watched, strict=True))
    left.set(title="validation accuracy", xlabel="epoch", ylim=(0, 1))
    middle.plot([one["search/expected_latency_ms"] for one in history])
    middle.axhline(targets.target, linestyle=":", color="black")
    middle.set(title="expected latency, ms", xlabel="epoch")
    right.imshow(probs, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    right.set(title="path probabilities", ylabel="layer")
    right.set_xticks(
        range(len(space.candidates)), [op.name for op in space.candidates], rotation=45
    )
    return figure


def show(figure):
    """Replaces the cell's output in a notebook; does nothing elsewhere."""
    if "ipykernel" in sys.modules:
        from IPython import display

        display.clear_output(wait=True)
        display.display(figure)
    plt.close(figure)


history = []
key = stream(jax.random.key(experiment.seed), "search")
for epoch in search.run(ready, targets, key=key):
    history.append(epoch.metrics)
    if epoch.epoch % 20 == 19:
        show(draw(history, epoch.probs))
show(draw(history, epoch.probs))

# %% [markdown]
# ## The network
#
# The most probable networks that keep the target and spend it; of these the one that
# the supernet classifies best with.

# %%
finalists = search.derive(space, epoch.probs, targets)
accuracy = epoch.reached.accuracy(splits["valid"])
best = max(finalists, key=lambda finalist: accuracy(finalist.cost.path))
searched = dataclasses.replace(best.architecture, name="searched")
unspent = best.cost.slack["latency"]
print([block.op.name for block in searched.blocks], f"{unspent:.2%} unspent")

# %% [markdown]
# ## Trained from scratch, beside the hand-designed network
#
# Both see the same images in the same order. The test images are looked at once.

# %%
schedule = dataclasses.replace(experiment.train, epochs=60)
recipe = dataclasses.replace(ready.recipe, config=schedule)
results = {}
for network in (searched, baselines.hand_designed(space)):
    key = stream(jax.random.key(experiment.seed), "train")
    for epoch in loop.run(key, network, recipe):
        if epoch.epoch % 20 == 19:
            print(network.name, epoch.epoch + 1, f"{epoch.metrics['train/loss']:.3f}")
    model = loop.trained(network, epoch.state, recipe.devices)
    correct = loop.accuracy(model, splits["test"])
    ms = tables.predict_ms(table, network)
    results[network.name] = (ms, correct)
    print(f"{network.name}: {correct:.1%} right, {ms:.3f} ms by table")

# %%
assert results["searched"][0] <= targets.target
figure, axes = plt.subplots(figsize=(5, 3.5))
for name, (ms, correct) in results.items():
    axes.plot(ms, correct, "o", label=name)
axes.axvline(targets.target, linestyle=":", color="black", label="target")
axes.set(xlabel="latency by table, ms", ylabel="test accuracy")
axes.legend()
show(figure)
