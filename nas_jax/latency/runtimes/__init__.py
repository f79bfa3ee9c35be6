"""Runtimes on which latency is measured, imported when they are asked for."""

from nas_jax.config.experiment import LatencyConfig
from nas_jax.config.naming import meant
from nas_jax.latency.measurement.timing import Device

NAMES = ("onnxruntime", "onnxruntime-int8", "xla", "litert", "litert-int8")


def open_device(runtime: str, config: LatencyConfig, converter: str | None) -> Device:
    """A runtime set up on this machine.

    `converter` is the Python of an environment with litert-converter. Raises
    `ValueError` for a runtime that is not known, or not installed, with what installs
    it.
    """
    if runtime not in NAMES:
        raise ValueError(
            f"runtime: expected one of {', '.join(NAMES)}, got {runtime!r:.60}"
            f"{meant(runtime, NAMES)}"
        )
    if runtime in ("litert", "litert-int8"):
        from nas_jax.latency.runtimes import litert

        return litert.device(config, converter, is_int8=runtime == "litert-int8")
    if converter is not None:
        raise ValueError(f"--converter: expected with --runtime litert, got {runtime}")
    if runtime == "xla":
        from nas_jax.latency.runtimes import xla

        return xla.device(config)
    if runtime == "onnxruntime-int8":
        from nas_jax.latency.runtimes import onnx_int8

        return onnx_int8.device(config)
    from nas_jax.latency.runtimes import onnx_runtime

    return onnx_runtime.device(config)
