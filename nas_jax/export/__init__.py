"""Files that runtimes read: written from a trained network and compared with it."""

from nas_jax.export.export_folder import write

__all__ = ["write"]
