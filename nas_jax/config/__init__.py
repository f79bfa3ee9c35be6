"""Configuration as frozen dataclasses, and the files it comes from. Imports no JAX."""

from nas_jax.config.data import DataConfig as DataConfig
from nas_jax.config.experiment import DevicesConfig as DevicesConfig
from nas_jax.config.experiment import Experiment as Experiment
from nas_jax.config.experiment import LatencyConfig as LatencyConfig
from nas_jax.config.experiment import TrainConfig as TrainConfig
from nas_jax.config.search import SearchConfig as SearchConfig
from nas_jax.config.space import ElasticConfig as ElasticConfig
from nas_jax.config.space import EndsConfig as EndsConfig
from nas_jax.config.space import OwnSpace as OwnSpace
from nas_jax.config.space import SpaceConfig as SpaceConfig
from nas_jax.config.space import TreeConfig as TreeConfig
