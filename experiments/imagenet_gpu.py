"""The paper's search for a GPU: ImageNet, width 1.35, batch 8, 5.1 ms.

Command: nas_jax search imagenet_gpu --latency.table V100_TABLE.json
Hardware: the reference assumes four GPUs; the table stands for one V100.
Obtained: not yet run.

The target is what the published GPU network takes. By reward, as imagenet_cpu.py, with
the reference's dropout for this network.
"""

import dataclasses

from nas_jax.config import Experiment, SpaceConfig, shipped


def get_config() -> Experiment:
    cpu = shipped.load_experiment("imagenet_cpu")
    return dataclasses.replace(
        cpu,
        name="imagenet_gpu",
        space=SpaceConfig(name="imagenet_gpu", width_mult=1.35),
        latency=dataclasses.replace(
            cpu.latency, table="latency_tables/imagenet_gpu.json", batch=8
        ),
        search=dataclasses.replace(cpu.search, target_ms=5.1),
        train=dataclasses.replace(cpu.train, dropout=0.3),
    )
