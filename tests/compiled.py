"""Networks, each in one compiled program: op by op they take five times as long."""

import jax

from nas_jax.networks import network
from nas_jax.supernet import shared

init = jax.jit(network.init, static_argnums=1)
apply = jax.jit(network.apply, static_argnums=0, static_argnames="train")
apply_masked = jax.jit(shared.apply, static_argnums=0, static_argnames="train")
