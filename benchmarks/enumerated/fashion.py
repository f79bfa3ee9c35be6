"""The space of the fashion task as an experiment, of which a latency table is made.

Command: nas_jax measure benchmarks/enumerated/fashion.py --out
latency_tables/enumerated_fashion_cpu_onnxruntime.json
"""

from benchmarks.enumerated import task
from nas_jax.config import Experiment, LatencyConfig


def get_config() -> Experiment:
    return Experiment(
        name="enumerated_fashion",
        space=task.FASHION.space,
        latency=LatencyConfig(batch=64),
    )
