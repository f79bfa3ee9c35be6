# %% [markdown]
# # Reading a run
#
# A run is a folder, and everything printed or drawn can be made again from it. This
# reads the first run found in `runs/`. Where there is none, it makes one in a small
# space, in a minute.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from nas_jax import cli
from nas_jax.runs import run_folder
from nas_jax.spaces import builders

if not list(Path("runs").glob("*/result.json")):
    command = (
        "search digits_cpu --target 0.8x --space.cells 1 1 1 "
        "--space.candidates mb3_k3 mb6_k3 mb3_k5 "
        "--search.warmup-epochs 40 --search.joint-epochs 40 --search.trials 1 "
        "--latency.repeats 5 --random-networks 0 --train.epochs 30"
    )
    assert cli.main(command.split()) == 0

# %%
run = sorted(Path("runs").glob("*/result.json"))[0].parent
experiment = run_folder.read_experiment(run)
searched = builders.build(experiment.space)
result = json.loads((run / "result.json").read_text())
print(run, "seed", result["seed"], "commit", result["commit"], "on", result["device"])

# %% [markdown]
# ## The networks
#
# Accuracy is a share of the test images, with the half width of its 95 % interval in
# the normal approximation. Compare differences with it before believing them.

# %%
for name, one in result["networks"].items():
    accuracy = one["test_accuracy"]
    half_width = 1.96 * np.sqrt(accuracy * (1 - accuracy) / one["test_images"])
    measured = one["measured_ms"]
    print(
        f"{name:10} {accuracy:.1%} ± {half_width:.1%}  {one['params']:>8,} parameters  "
        f"predicted {one['predicted_ms']:.3f} ms  measured {measured['median']:.3f} ms "
        f"[{measured['q25']:.3f}, {measured['q75']:.3f}]"
    )

# %% [markdown]
# ## How the search got there

# %%
text = (run / "metrics.jsonl").read_text(encoding="utf-8")
lines = [json.loads(line) for line in text.splitlines()]
epochs = [line for line in lines if "search/probs" in line]
warmup = sum(line["phase"] == "warmup" for line in epochs)
names = ("search/valid_accuracy", "search/expected_latency_ms", "search/entropy")
figure, axes = plt.subplots(1, 3, figsize=(12, 3))
for axis, name in zip(axes, names, strict=True):
    watched = [(place, line[name]) for place, line in enumerate(epochs) if name in line]
    axis.plot(*zip(*watched, strict=True))
    axis.axvline(warmup, color="grey", linewidth=1)
    axis.set(title=name, xlabel="epoch")
axes[1].axhline(epochs[-1]["search/target_ms"], linestyle=":", color="black")
plt.show()

# %% [markdown]
# ## What was chosen, and how surely
#
# The most probable candidate of a layer need not be the one chosen: the whole network
# has to keep the target.

# %%
network = run_folder.read_architecture(run / "architecture.json")
probs = np.array(run_folder.last_probabilities(run))
columns = {op: index for index, op in enumerate(searched.candidates)}
for layer, block in enumerate(network.blocks):
    likely = searched.candidates[int(probs[layer].argmax())].name
    chance = probs[layer, columns[block.op]]
    print(f"layer {layer}: {block.op.name:8} p = {chance:.2f}, most probable {likely}")
