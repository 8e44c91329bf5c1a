"""Quantization as ONNX Runtime's own tools write it, one tool a module, on graphs without weights."""
