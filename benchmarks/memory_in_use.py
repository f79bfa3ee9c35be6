"""Memory that ONNX Runtime holds at once during an inference, by the operating system.

Without arena, layout and rooms that wait to be reused ONNX Runtime asks for the memory
of every value when it is made, and gives it back after the last node that reads it.
With `ENVIRONMENT` each of these requests goes to the operating system, so the peak of a
process is what is in use at once. Called in a fresh process, which imports little.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks import fresh_process

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "4096"}
"""The C library hands on every request for a page or more."""


def of_run(graph: bytes, shape: tuple[int, ...]) -> int:
    """Bytes by which an inference of images `shape` raises what the process holds.

    The second one: the first makes what stays. The graph is run as it is.
    """
    options, levels = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"]
    )
    images = np.ones(shape, np.float32)
    session.run(None, {"images": images})
    # the peak begins anew
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = fresh_process.peak_resident_bytes()
    session.run(None, {"images": images})
    return fresh_process.peak_resident_bytes() - before
