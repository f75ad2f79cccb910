"""Trained models as ONNX graphs: what learns and answers without torch, see `fastslow.runtime`."""
