"""Plain networks: modules of the parts, counts, checkpoints, ONNX."""
