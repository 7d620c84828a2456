"""PyTorch definitions, for training only; what they become at inference is ONNX in `models`."""
