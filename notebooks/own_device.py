# %% [markdown]
# # A latency table of your own device
#
# The parts of a small space, timed one by one in ONNX Runtime on this CPU, and whole
# networks to see what the sum over parts is worth. Few repeats, so that it is done in
# seconds; `nas_jax measure EXPERIMENT --out TABLE.json --held-out 60` does it properly.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from nas_jax.config import LatencyConfig, shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations, whole_networks
from nas_jax.latency.measurement.journal import Journal
from nas_jax.latency.runtimes import onnx_runtime
from nas_jax.spaces import builders

experiment = shipped.load_experiment("digits_cpu")
small = dataclasses.replace(
    experiment.space, cells=(1, 1, 1), candidates=("mb3_k3", "mb6_k3", "mb6_k5")
)
searched = builders.build(small)
config = LatencyConfig(batch=64, repeats=8, loop_ms=0.5)
device = onnx_runtime.device(config)
parts = tables.required_parts(searched)
print(len(parts), "parts on", device.name, device.runtime, device.version)

# %%
table = operations.measure_table(device, searched, spread_s=1.0)
for key, entry in table.entries.items():
    print(f"{key:42} {entry.mean_ms:.4f} ms, sd {entry.std_ms:.4f}")

# %% [markdown]
# ## Against whole networks
#
# Spread from the fastest to the slowest. What a call costs once is in the measured time
# and in the table's `fixed_ms`.

# %%
drawn = whole_networks.draw(table, searched, 12, seed=0)
measured_ms = whole_networks.measure(device, drawn, Journal(None, {}))
predicted_ms = np.array([tables.predict_ms(table, one) for one in drawn])
found = whole_networks.quality(predicted_ms, measured_ms)
print({name: found[name] for name in ("kendall_tau", "within_10_percent", "bias_ms")})

# %%
figure, axes = plt.subplots(figsize=(4, 4))
axes.plot(measured_ms, predicted_ms, "o")
longest = max(measured_ms.max(), predicted_ms.max())
axes.plot([0, longest], [0, longest], ":", color="black")
axes.set(xlabel="measured, ms", ylabel="sum over parts, ms")
plt.show()

# %% [markdown]
# ## Kept
#
# A table says where it comes from. A search takes it with `--latency.table`.

# %%
file = Path("mine.json")
tables.save(table, file)
again = tables.load(file)
assert again.entries == table.entries
print(again.provenance)
