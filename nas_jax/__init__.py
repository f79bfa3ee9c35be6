"""ProxylessNAS in JAX: search a fast network directly on your data and hardware."""
