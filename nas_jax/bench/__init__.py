"""What the method's parts are worth, measured: `nas_jax bench NAME`."""
