"""The flags of a command that several processes run together."""

import argparse


def flags(parser: argparse.ArgumentParser) -> None:
    """What one of several processes is told."""
    several = parser.add_argument_group("several processes, docs/devices.md")
    several.add_argument(
        "--distributed",
        action="store_true",
        help="this process is one of several; alone, Slurm, a TPU slice or GKE tell",
    )
    several.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 listens"
    )
    several.add_argument(
        "--processes", type=int, metavar="N", help="how many there are"
    )
    several.add_argument(
        "--process-id", type=int, metavar="I", help="which one this is, from 0"
    )


def start(options: argparse.Namespace) -> None:
    """Joins the other processes, if there are; before JAX computes anything.

    Raises `ValueError` for flags that do not fit, and if the others do not come.
    """
    told = (options.coordinator, options.processes, options.process_id)
    if options.distributed:
        from nas_jax import distributed

        distributed.start(*told)
    elif any(value is not None for value in told):
        raise ValueError(
            "--coordinator, --processes, --process-id: expected with --distributed, "
            "got alone; add it"
        )
