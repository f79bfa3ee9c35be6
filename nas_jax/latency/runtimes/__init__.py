"""Runtimes on which latency is measured, imported when they are asked for."""

from nas_jax.config.experiment import LatencyConfig
from nas_jax.latency.measurement.timing import Device


def open_device(runtime: str, config: LatencyConfig, converter: str | None) -> Device:
    """A runtime set up on this machine.

    `converter` is the Python of an environment with litert-converter. Raises
    `ValueError` for a runtime that is not installed, with what installs it.
    """
    if runtime == "litert":
        from nas_jax.latency.runtimes import litert

        return litert.device(config, converter)
    if converter is not None:
        raise ValueError(f"--converter: expected with --runtime litert, got {runtime}")
    if runtime == "xla":
        from nas_jax.latency.runtimes import xla

        return xla.device(config)
    if runtime != "onnxruntime":
        raise ValueError(
            f"runtime: expected onnxruntime, xla or litert, got {runtime!r:.60}"
        )
    from nas_jax.latency.runtimes import onnx_runtime

    return onnx_runtime.device(config)
