# %% [markdown]
# # On a GPU or a TPU
#
# Nothing names the machine: JAX computes where it can. This compiles and times the two
# steps of a search in a tiny space, wherever it is executed, a CPU included. Choose
# another runtime type in the notebook's settings, or start with `JAX_PLATFORMS=cpu`.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import dataclasses
import time

import jax

from nas_jax.base import stream
from nas_jax.config import LatencyConfig, SearchConfig, SpaceConfig, provenance, shipped
from nas_jax.latency import tables
from nas_jax.latency.measurement import operations
from nas_jax.latency.runtimes import xla
from nas_jax.runs import setup, targets
from nas_jax.search import loop
from nas_jax.search.search_state import SearchProblem
from nas_jax.training import host, memory

settings = host.prepare(cache=False)
print("JAX", jax.__version__, "on", settings.platform, jax.devices())

# %%
experiment = shipped.load_experiment("digits_cpu")
experiment = dataclasses.replace(
    experiment,
    space=SpaceConfig(
        name="tiny",
        input_size=8,
        input_channels=1,
        classes=10,
        stem_channels=8,
        stem_stride=1,
        first_block_channels=None,
        stage_widths=(8,),
        cells=(2,),
        strides=(1,),
        candidates=("mb3_k3", "mb6_k3", "zero"),
        head_channels=16,
    ),
    data=dataclasses.replace(experiment.data, shift_pixels=0),
    search=SearchConfig(
        warmup_epochs=1, joint_epochs=2, batch=50, cost="macs", target_ratio=0.6
    ),
)
given = setup.load(experiment)
aim = targets.resolve(experiment.search, given.space)

# %% [markdown]
# ## One step of each kind
#
# A call returns before the device is done; `block_until_ready` waits for it.

# %%
key = stream(jax.random.key(0), "search")
problem = SearchProblem(given.space, experiment.search, aim.costs, aim.values)
state = loop.begin(key, problem, given.search_data)
programs = loop.programs(key, problem, given.search_data, state)
for name in ("weight step", "architecture step"):
    program = programs[name]
    rest = program.arguments[1:]
    start = time.perf_counter()
    compiled = program.function.lower(state, *rest).compile()
    seconds = time.perf_counter() - start
    state, _ = compiled(state, *rest)
    start = time.perf_counter()
    for _ in range(10):
        state, metrics = compiled(state, *rest)
    jax.block_until_ready(state)
    ms = 100 * (time.perf_counter() - start)
    needed = memory.needed_bytes(compiled)
    print(f"{name}: compiled in {seconds:.1f} s, {ms:.2f} ms, {needed:,} bytes")
assert int(state.step) == 11

# %% [markdown]
# ## The latency of this device
#
# To search *for* the machine that JAX computes on, its parts are timed in XLA, several
# inferences to a call, so that the launch is shared. On a CPU such a table says little:
# people deploy in other runtimes.

# %%
# on a CPU XLA takes all cores; elsewhere the number says nothing
latency = LatencyConfig(batch=8, threads=provenance.cores(), repeats=4, loop_ms=0.5)
device = xla.device(latency)
part = tables.required_parts(given.space)[-1]
table = operations.measure_table(device, given.space, parts=[part], spread_s=0.0)
print(f"{part.key}: {table.entries[part.key].mean_ms:.4f} ms on {device.name}")
