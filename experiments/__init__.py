"""Experiments: short Python files with `get_config()`."""
