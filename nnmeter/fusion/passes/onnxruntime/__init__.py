"""What ONNX Runtime's optimizers do to a graph."""
