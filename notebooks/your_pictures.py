# %% [markdown]
# # Your pictures
#
# From a folder of pictures to a network that sees what is on them. The pictures here
# are some of the garments that come with the package, written as PNG files, a folder
# per class; put your own folder in their place.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import matplotlib.pyplot as plt

import nas_jax as nas

print(nas.example_pictures("pictures", 1000))

# %% [markdown]
# ## An experiment for them
#
# The commands are those of a terminal. `start` counts the pictures, looks for copies,
# and writes an experiment that can be read and changed. `--quick` asks for a first
# look: small images, few and short trainings. Leave it out for a good network.

# %%
nas.command("start pictures --quick --out mine.py")

# %% [markdown]
# ## A search
#
# For half of the hand-designed network's latency on this machine. The parts of the
# space are timed, networks within the target are drawn, and trainings decide.

# %%
nas.command("search mine.py --out run")

# %% [markdown]
# Read the differences with their intervals: after so short a training they say little.

# %%
run = nas.load_run("run")
run.plot()
plt.show()

# %%
nas.draw(run.architecture)

# %% [markdown]
# ## What it sees
#
# `run/report.html` shows all of this and more, class by class; `nas_jax export` writes
# the network for other runtimes. Most of these pictures were trained on: what counts is
# the test above.

# %%
nas.command("predict run pictures/Bag/97.png pictures/Sandal/9*.png --top 2")
