"""`python -m benchmarks NAME`: the benches, their flags, their output.

What a bench imports is imported when its flags have been read.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.devices_settings import DevicesBenchConfig
from benchmarks.quality_settings import (
    EnumeratedConfig,
    EnumerationConfig,
    FamiliesConfig,
    LeverageConfig,
    PromiseConfig,
    SpecialisationConfig,
)
from benchmarks.settings import (
    EngineConfig,
    EstimatorsConfig,
    ExportConfig,
    GpuConfig,
    InputConfig,
    LatencyCoverageConfig,
    MemoryConfig,
    RecipeConfig,
    ResumeConfig,
    ScalingConfig,
    SoakConfig,
    SpaceStartsConfig,
)
from nas_jax.cli import flags, terminal
from nas_jax.cli.main import run as run_command
from nas_jax.cli.terminal import Answer
from nas_jax.config import files, overrides
from nas_jax.config.naming import meant
from nas_jax.training import host

Config = (
    EngineConfig
    | EstimatorsConfig
    | ScalingConfig
    | EnumerationConfig
    | EnumeratedConfig
    | SpecialisationConfig
    | FamiliesConfig
    | LeverageConfig
    | PromiseConfig
    | InputConfig
    | ExportConfig
    | RecipeConfig
    | ResumeConfig
    | SoakConfig
    | LatencyCoverageConfig
    | MemoryConfig
    | SpaceStartsConfig
    | DevicesBenchConfig
    | GpuConfig
)


class Bench(NamedTuple):
    """A module of this folder, and its settings, if it can be told any.

    The module has `run`, `table`, `HOW_TO_READ` and, if `draws`, `plot`. One that
    `resumes` is given the file of `--json`, and goes on with what is in it.
    """

    module: str
    config: Config | None = None
    draws: bool = False
    resumes: bool = False


BENCHES = {
    "estimators": Bench("estimators", EstimatorsConfig()),
    "pruning": Bench("pruning"),
    "engine": Bench("engine", EngineConfig()),
    "scaling": Bench("scaling", ScalingConfig(), draws=True),
    "gpu": Bench("gpu", GpuConfig(), resumes=True),
    "input": Bench("input", InputConfig()),
    "devices": Bench("devices", DevicesBenchConfig()),
    "enumeration": Bench("enumerated.enumeration", EnumerationConfig()),
    "enumerated": Bench("enumerated.run", EnumeratedConfig()),
    "export": Bench("export", ExportConfig()),
    "specialisation": Bench("specialisation", SpecialisationConfig()),
    "leverage": Bench("leverage.bench", LeverageConfig()),
    "promise": Bench("promise", PromiseConfig()),
    "families": Bench("families", FamiliesConfig(), draws=True),
    "recipe": Bench("recipe", RecipeConfig()),
    "guidelines": Bench("guidelines.bench"),
    "resume": Bench("resume", ResumeConfig()),
    "soak": Bench("soak", SoakConfig()),
    "latency_coverage": Bench("latency_coverage", LatencyCoverageConfig()),
    "memory": Bench("memory", MemoryConfig()),
    "space_starts": Bench("space_starts", SpaceStartsConfig()),
}
_PROG = "python -m benchmarks"
_PICTURES = (".pdf", ".png", ".svg")


@dataclass(frozen=True)
class Output:
    """What is written besides the table."""

    json: Path | None = None
    """file for the numbers"""
    plot: Path | None = None
    """picture to draw, of scaling and families"""
    no_cache: bool = False
    """compile anew"""

    def check(self, name: str) -> None:
        """Raises `ValueError` for what could not be written afterwards."""
        is_begun = self.json is not None and self.json.is_file()
        if not (BENCHES[name].resumes and is_begun):
            files.require_new("--json", self.json)
        files.require_new("--plot", self.plot)
        if self.plot is not None:
            if not BENCHES[name].draws:
                able = ", ".join(one for one, bench in BENCHES.items() if bench.draws)
                raise ValueError(f"bench {name}: expected no --plot (it is for {able})")
            if self.plot.suffix not in _PICTURES:
                raise ValueError(
                    f"--plot {self.plot}: expected a name that ends in one of "
                    f"{', '.join(_PICTURES)}"
                )


def main(words: Sequence[str] | None = None) -> int:
    """Runs a bench by its command: NAME, its fields, --json FILE, --plot FILE."""
    given = list(sys.argv[1:] if words is None else words)
    return run_command(lambda: command(given), given)


def command(words: Sequence[str]) -> flags.Command | str:
    """The bench and its settings by the words of a command, or the help asked for.

    Raises `ValueError` for an unknown bench, an unknown field or a refused value.
    """
    known, name = ", ".join(BENCHES), words[0] if words else "--help"
    if name in ("--help", "-h"):
        return f"usage: {_PROG} NAME [fields] [--json FILE] [--plot FILE]\n\n{known}"
    if name not in BENCHES:
        raise ValueError(
            f"bench {name!r}: expected one of {known}{meant(name, BENCHES)}"
        )
    config, prog = BENCHES[name].config, f"{_PROG} {name}"
    fields = [] if config is None else list(flags.of_config(type(config), config))
    written = list(flags.of_options(Output, "output"))
    all_ = [*fields, *written, flags.DEBUG, flags.HELP]
    # `with` is no name in Python
    named = ["--with-file" if word == "--with" else word for word in words[1:]]
    given = flags.read(all_, named, prog)
    if "help" in given:
        return flags.help_of(
            all_, prog, f"The bench {name}: what it costs or is worth."
        )
    output = Output(
        **{one.name: given.pop(one.name) for one in written if one.name in given}
    )
    given.pop("debug", None)
    if config is not None:
        config = overrides.replaced(config, given)
    output.check(name)
    return flags.Command(run, {"name": name, "config": config, "output": output}, False)


def run(name: str, config: Config | None, output: Output) -> Answer:
    """Measures and writes the numbers and the picture; the answer is the table."""
    if isinstance(config, GpuConfig):
        # its parts are processes of their own, which need the memory
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Before the first computation: threads that exist already keep their own heaps.
    timed = isinstance(config, EngineConfig | ScalingConfig | InputConfig)
    pixels = getattr(config, "pixels", 0) if timed else 0
    host.prepare(cache=not output.no_cache, pixels=pixels)
    module: Any = importlib.import_module(f"benchmarks.{BENCHES[name].module}")
    given: tuple[Any, ...] = () if config is None else (config, terminal.Terminal())
    if BENCHES[name].resumes:
        given = (*given, output.json)
    result = module.run(*given)
    if output.json is not None:
        output.json.write_text(json.dumps(result, indent=1) + "\n")
    if output.plot is not None:
        module.plot(result, output.plot)
    table = terminal.aligned(module.table(result))
    return Answer(result, f"{table}\n{module.HOW_TO_READ}")
