# %% [markdown]
# # A space and an operation of your own
#
# `experiments/own_operation.py` registers a fused inverted bottleneck in a file of 60
# lines. Here it competes in a small space, counted in multiply-adds, so that no latency
# table is needed.

# %%
import dataclasses

import jax
import numpy as np

from nas_jax import (
    architecture,
    counts,
    derive,
    limits,
    problem,
    rng,
    search_loop,
    shipped,
)
from nas_jax.config import SearchConfig, SpaceConfig
from nas_jax.search_state import SearchProblem

experiment = shipped.load_experiment("own_operation")  # registers fused3_k3
small = SpaceConfig(
    name="small",
    input_size=8,
    input_channels=1,
    classes=10,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8, 16),
    cells=(1, 2),
    strides=(1, 2),
    candidates=("mb3_k3", "mb6_k3", "fused3_k3", "zero"),
    head_channels=16,
)
experiment = dataclasses.replace(
    experiment,
    space=small,
    data=dataclasses.replace(experiment.data, shift_pixels=0),
    search=SearchConfig(
        warmup_epochs=10,
        joint_epochs=10,
        batch=50,
        arch_batch=50,
        arch_every=1,
        arch_lr=0.05,
        cost="macs",
        target_ratio=0.6,
    ),
)
given = problem.load(experiment)
size = counts.describe_space(given.space)
macs = f"{size['macs_min']:,} to {size['macs_max']:,} MACs"
print(f"{size['architectures']} networks, {macs}")

# %% [markdown]
# What each operation costs in each layer; a layer whose shape changes offers no `zero`.

# %%
for index, layer in enumerate(given.space.layers):
    blocks = [layer.block(op) for op in layer.candidates]
    print(index, {block.op.name: f"{counts.macs(block):,}" for block in blocks})

# %% [markdown]
# ## Search for 0.6 of the hand-designed network's multiply-adds

# %%
config = experiment.search
kept_to, _ = limits.resolve(config, given.space, None, "no table")
cost, target = limits.stacked(kept_to)
splits = given.splits
for epoch in search_loop.run(
    rng.stream(jax.random.key(0), "search"),
    SearchProblem(given.space, config, cost, target),
    search_loop.SearchData(
        splits["train_weights"], splits["train_alphas"], splits["valid"], given.augment
    ),
):
    print(
        epoch.phase,
        f"accuracy {epoch.metrics['search/valid_accuracy']:.1%}",
        f"expected {epoch.metrics['search/expected_macs']:,.0f} of {target:,.0f} MACs",
    )

# %%
probs = np.asarray(epoch.probs)
best = derive.most_probable_within(given.space, probs, kept_to, max_slack=0.05)
network = architecture.from_path(given.space, best.path, "searched")
macs = counts.describe(network)["macs"]
print([block.op.name for block in network.blocks], f"{macs:,} MACs")
assert macs <= target
