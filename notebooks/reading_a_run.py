# %% [markdown]
# # Reading a run
#
# A run is a folder, and everything printed or drawn can be made again from it. This
# makes a run in a small space, in a minute, and reads it; put your own in its place.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import matplotlib.pyplot as plt

import nas_jax as nas

nas.command(
    "search digits_cpu --out run --target 0.8x --space.cells 1 1 1 "
    "--space.candidates mb3_k3 mb6_k3 mb3_k5 "
    "--search.warmup-epochs 40 --search.joint-epochs 40 --search.trials 1 "
    "--latency.repeats 5 --random-networks 0 --train.epochs 30"
)

# %%
run = nas.load_run("run")
print({key: run.record[key] for key in ("seed", "commit", "device")})

# %% [markdown]
# ## The networks
#
# Accuracy is a share of the test images, with the half width of its 95 % interval in
# the normal approximation. Compare differences with it before believing them.

# %%
for name, one in run.networks.items():
    accuracy = one["test_accuracy"]
    half_width = 1.96 * (accuracy * (1 - accuracy) / one["test_images"]) ** 0.5
    measured = one["measured_ms"]
    print(
        f"{name:10} {accuracy:.1%} ± {half_width:.1%}  {one['params']:>8,} parameters  "
        f"predicted {one['predicted_ms']:.3f} ms  measured {measured['median']:.3f} ms "
        f"[{measured['q25']:.3f}, {measured['q75']:.3f}]"
    )

# %% [markdown]
# ## How the search got there

# %%
epochs = run.epochs
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
candidates = run.space.candidates
for layer, block in enumerate(run.architecture.blocks):
    chances = dict(zip(candidates, epochs[-1]["search/probs"][layer], strict=True))
    likely = max(chances, key=lambda op: chances[op])
    print(
        f"layer {layer}: {block.op.name:8} p = {chances[block.op]:.2f}, "
        f"most probable {likely.name}"
    )
