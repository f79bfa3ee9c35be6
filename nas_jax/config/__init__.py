"""Configuration as frozen dataclasses, and the files it comes from. Imports no JAX."""

from nas_jax.config.data import DataConfig
from nas_jax.config.devices import DevicesConfig
from nas_jax.config.experiment import Experiment, LatencyConfig, TrainConfig
from nas_jax.config.search import SearchConfig
from nas_jax.config.space import SpaceConfig, TreeConfig

__all__ = [
    "DataConfig",
    "DevicesConfig",
    "Experiment",
    "LatencyConfig",
    "SearchConfig",
    "SpaceConfig",
    "TrainConfig",
    "TreeConfig",
]
