"""Learning without torch: exported models on onnxruntime and numpy (`pip install "fastslow[runtime]"`)."""

from fastslow.runtime.classifier import ExportedClassifier

__all__ = ["ExportedClassifier"]
