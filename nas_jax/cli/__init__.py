"""The command line; every verb is a function that returns what it found."""

from nas_jax.cli.main import main

__all__ = ["main"]
