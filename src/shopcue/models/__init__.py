"""Trained networks behind small protocols, run by ONNX Runtime; nothing here imports torch."""
