"""`python -m nas_jax` is the same as `nas_jax`."""

import sys

from nas_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
