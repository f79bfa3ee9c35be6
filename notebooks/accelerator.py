# %% [markdown]
# # On a GPU or a TPU
#
# Nothing names the machine: JAX computes where it can. This compiles and times the
# steps of a search in a tiny space, wherever it is executed, a CPU included. Choose
# another runtime type in the notebook's settings, or start with `JAX_PLATFORMS=cpu`.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import jax

import nas_jax as nas

print("JAX", jax.__version__, "on", jax.devices())

# %% [markdown]
# ## The steps of a search
#
# `--plan` compiles them, runs each a few times, and says what a whole search would
# take: milliseconds, memory, hours. On several devices it adds how well they scale.

# %%
nas.command(
    "search digits_cpu --plan --latency.table digits_cpu_onnxruntime "
    "--target 0.8x --space.cells 1 1 1 --space.candidates mb3_k3 mb6_k3 mb3_k5"
)

# %% [markdown]
# ## The latency of this device
#
# To search *for* the machine that JAX computes on, its parts are timed in XLA, several
# inferences to a call, so that the launch is shared. On a CPU such a table says little:
# people deploy in other runtimes.

# %%
tiny = {"space.cells": (1, 1, 1), "space.candidates": ("mb3_k3",)}
space = nas.load(nas.load_experiment("digits_cpu", tiny)).space
# on a CPU XLA takes all cores; elsewhere the number says nothing
settings = {"threads": nas.config.provenance.cores(), "repeats": 4, "loop_ms": 0.5}
table = nas.latency.measure(space, "xla", **settings)
for key, entry in table.entries.items():
    print(f"{key:42} {entry.mean_ms:.4f} ms")
