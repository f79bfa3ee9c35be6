"""The command as a process of its own: `nas_jax`, and `python -m nas_jax`.

Stop requests are handled from here on, before anything else is imported.
"""

import sys

from nas_jax.runs import stopping


def main() -> int:
    """Runs the command of `sys.argv`; returns the exit code."""

    def command() -> int:
        from nas_jax.cli.main import main

        return main()

    return stopping.process(command)


if __name__ == "__main__":
    sys.exit(main())
