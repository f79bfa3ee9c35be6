"""The command line: every verb is a function that returns its answer."""

from nas_jax.cli.main import main as main
