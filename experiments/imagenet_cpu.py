"""The paper's search for a CPU: ImageNet, width 1.12, batch 1, 138.7 ms.

Command: nas_jax search imagenet_cpu --latency.table XEON_TABLE.json
Hardware: the reference assumes four GPUs; the table stands for a server with two Xeon
E5-2640 v4. On another CPU --latency.table None measures, and the target is another.
Obtained: not yet run.

The target is what the published CPU network takes. The reference searches for a CPU by
reward only: 300 updates per epoch of 10 networks each, on batches of 1000. Otherwise as
imagenet_mobile.py, with the reference's dropout for this network.
"""

import dataclasses

from nas_jax.config import Experiment, SpaceConfig, shipped


def get_config() -> Experiment:
    mobile = shipped.load_experiment("imagenet_mobile")
    return dataclasses.replace(
        mobile,
        name="imagenet_cpu",
        space=SpaceConfig(name="imagenet_cpu", width_mult=1.12),
        latency=dataclasses.replace(
            mobile.latency, table="latency_tables/imagenet_cpu.json"
        ),
        search=dataclasses.replace(
            mobile.search,
            estimator="reinforce",
            reinforce_baseline="reference",
            objective="mnasnet",
            arch_batch=1000,
            arch_every=16,
            target_ms=138.7,
        ),
        train=dataclasses.replace(mobile.train, dropout=0.2),
    )
