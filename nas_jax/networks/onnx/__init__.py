"""Networks as ONNX graphs, batch normalisation folded."""
