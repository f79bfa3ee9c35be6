"""The command as a process of its own: `nas_jax`, and `python -m nas_jax`.

A wish to stop is heard from here on, before anything else is imported.
"""

import sys
from typing import Any

from nas_jax import stopping


def main() -> int:
    """Runs the command of `sys.argv`; returns the exit code."""

    def command() -> int:
        from nas_jax.cli.main import main

        return main()

    sys.unraisablehook = _unraisable
    return stopping.process(command)


def _unraisable(found: Any) -> None:
    """Passes over what Orbax says of reads that go on when one beside them failed."""
    if str(found.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(found)


if __name__ == "__main__":
    sys.exit(main())
