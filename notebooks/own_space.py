# %% [markdown]
# # A space and an operation of your own
#
# `experiments/own_operation.py` registers a fused inverted bottleneck in a file of 60
# lines. Here it competes in a small space, counted in multiply-adds, so that no latency
# table is needed.
#
# To install, in a checkout: `pip install .`; or `pip install git+URL of it`.

# %%
import jax

import nas_jax as nas

small = nas.config.SpaceConfig(
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
search = nas.config.SearchConfig(
    warmup_epochs=10,
    joint_epochs=10,
    batch=50,
    arch_batch=50,
    arch_every=1,
    arch_lr=0.05,
    cost="macs",
    target_ratio=0.6,
)
experiment = nas.load_experiment(
    "own_operation",  # registers fused3_k3
    {"space": small, "search": search, "data.shift_pixels": 0},
)
setup = nas.load(experiment)
size = nas.counts.describe_space(setup.space)
macs = f"{size['macs_min']:,} to {size['macs_max']:,} MACs"
print(f"{size['architectures']} networks, {macs}")

# %% [markdown]
# What each operation costs in each layer; a layer whose shape changes offers no `zero`.

# %%
for index, layer in enumerate(setup.space.layers):
    blocks = [layer.block(op) for op in layer.candidates]
    print(index, {block.op.name: f"{nas.counts.macs(block):,}" for block in blocks})

# %% [markdown]
# ## Search for 0.6 of the hand-designed network's multiply-adds

# %%
targets = nas.targets(setup)
for epoch in nas.search.run(setup, targets, key=jax.random.key(0)):
    print(
        epoch.phase,
        f"accuracy {epoch.metrics['search/valid_accuracy']:.1%}",
        f"expected {epoch.metrics['search/expected_macs']:,.0f} MACs",
        f"of {targets.target:,.0f}",
    )

# %%
best = nas.search.derive(setup.space, epoch.probs, targets, max_slack=0.05)[0]
network = best.architecture
macs = nas.counts.describe(network)["macs"]
print([block.op.name for block in network.blocks], f"{macs:,} MACs")
assert macs <= targets.target
