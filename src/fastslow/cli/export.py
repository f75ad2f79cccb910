"""`fastslow export`: a trained model as ONNX graphs that learn, for programs without torch."""

from __future__ import annotations

from pathlib import Path


def export(*, model: str, out: Path) -> None:
    """Write a folder from which `fastslow.runtime`, or any other program with onnxruntime, learns and answers.

    Args:
        model: pretrained:NAME, a run folder or a .safetensors file.
        out: folder to write: graphs (.onnx) and manifest.json.
    """
    from fastslow.export.folder import export_model, refuse_unusable

    refuse_unusable(out)

    from fastslow.methods.files import load_model
    from fastslow.runtime import ExportedClassifier

    export_model(load_model(model), out, source=model)
    for int8 in (False, True):
        ExportedClassifier(out, int8=int8).self_test()
    print(out)
