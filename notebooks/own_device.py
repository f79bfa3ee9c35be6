# %% [markdown]
# # A latency table of your own device
#
# The parts of a small space, timed one by one in ONNX Runtime on this CPU, and whole
# networks to see what the sum over parts is worth. Few repeats, so that it is done in
# seconds; `nas_jax measure EXPERIMENT --out TABLE.json --held-out 60` does it properly.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import nas_jax as nas

setup = nas.load(
    nas.load_experiment(
        "digits_cpu",
        {
            "space.cells": (1, 1, 1),
            "space.candidates": ("mb3_k3", "mb6_k3", "mb6_k5"),
        },
    )
)
table = nas.latency.measure(setup.space, batch=64, repeats=8, loop_ms=0.5)
print(table.provenance["device"], "with", table.provenance["runtime"])
for key, entry in table.entries.items():
    print(f"{key:42} {entry.mean_ms:.4f} ms, sd {entry.std_ms:.4f}")

# %% [markdown]
# ## Against whole networks
#
# Spread from the fastest to the slowest. What a call costs once is in the measured time
# and in the table's `fixed_ms`. The reference network is timed again beside them, and
# tells whether this machine is slower now than when the table was measured.

# %%
table, record = nas.latency.validate(
    table, setup.space, networks=12, batch=64, repeats=8, loop_ms=0.5
)
found = table.validation
print({name: found[name] for name in ("kendall_tau", "within_10_percent", "bias_ms")})
print(f"pace of the machine: {record['pace']['factor']:.2f}")
nas.latency.plot(record)

# %% [markdown]
# ## Kept
#
# A table says where it comes from and how good it is. A search takes it with
# `--latency.table mine.json`.

# %%
nas.latency.save(table, "mine.json")
nas.command("table show mine.json")
