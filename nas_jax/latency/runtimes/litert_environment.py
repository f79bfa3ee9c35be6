"""The Python of another environment, kept running, which writes LiteRT models."""

import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nas_jax.latency.runtimes import litert_convert
from nas_jax.latency.runtimes.litert_graph import Compute

CONVERTER = "litert-converter==0.5.0"
QUANTISER = "litert-quantizer==0.11.0"
"""What the environment needs besides for 8-bit models."""
ENVIRONMENT = f"python -m venv litert_env && litert_env/bin/pip install {CONVERTER}"
"""The command for the environment whose Python converts."""


class Converter:
    """The Python of another environment, kept running; see `litert_convert`.

    Raises `ValueError` if it cannot be started, or does not convert.
    """

    def __init__(self, python: str | None) -> None:
        if python is None:
            raise ValueError(
                "--converter: expected the Python of an environment with "
                f"{CONVERTER}, got none; make one with `{ENVIRONMENT}` and give "
                "--converter litert_env/bin/python"
            )
        self.python = python
        self._folder = Path(tempfile.mkdtemp(prefix="nas_jax_litert_"))
        self._log = self._folder / "log"
        try:
            with self._log.open("w") as log:
                self._process = subprocess.Popen(
                    [python, litert_convert.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        except OSError as error:
            shutil.rmtree(self._folder)
            raise ValueError(f"--converter {python}: cannot be run ({error})") from None
        self._end = weakref.finalize(self, _end, self._process, self._folder)

    def convert(self, compute: Compute, shape: tuple[int, ...]) -> bytes:
        """The LiteRT model of a function for inputs of this shape."""
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        # lowered for a GPU the weights stay as they are; the text names no device
        exported = jax.export.export(jax.jit(compute), platforms=("cuda",))(images)
        source = self._folder / "model.mlir"
        source.write_text(exported.mlir_module(), encoding="utf-8")
        cure = f"make one with `{ENVIRONMENT}`"
        return self._written([source], [], CONVERTER, cure)

    def quantise(
        self,
        model: bytes,
        images: Float[np.ndarray, "calls B H W C"],
        floats: tuple[str, ...] = ("input", "output"),
    ) -> bytes:
        """A float model in 8-bit integers, see `litert_quantise`.

        Args:
          model: the float model.
          images: its inputs, call by call, that give the ranges of the activations.
          floats: the ends, "input" and "output", that stay float32.
        """
        source, calls = self._folder / "float.tflite", self._folder / "images.npy"
        source.write_bytes(model)
        np.save(calls, images)
        cure = f"install it with `{self.python} -m pip install {QUANTISER}`"
        return self._written([source, calls], [",".join(floats)], QUANTISER, cure)

    def close(self) -> None:
        """Ends the process."""
        self._end()

    def _written(
        self, sources: list[Path], words: list[str], package: str, cure: str
    ) -> bytes:
        """What the process writes for a line of these."""
        target = self._folder / "model.tflite"
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            line = "\t".join([*map(str, sources), str(target), *words])
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer.strip() != "done":
            if not answer:
                process.wait()  # it ends, and has logged why
            lines = [answer.strip(), *self._log.read_text().strip().splitlines()]
            raise ValueError(
                f"--converter {self.python}: expected {package} in its environment, "
                f"got: {lines[-1]}; {cure}"
            )
        return target.read_bytes()


def _end(process: subprocess.Popen, folder: Path) -> None:
    # waits for the process and closes its pipes
    process.communicate()
    shutil.rmtree(folder)
