"""An encoder of which weights and activations are whole numbers of 8 bits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fastslow.export.graphs import quietly

#: Images that go through the encoder together while ranges are measured.
_AT_ONCE = 20


def quantised(graph: Any, images: Float32[np.ndarray, "images 1 size size"]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """The graph of an encoder in 8 bits: weights by output channel, activations by the ranges that images give.

    Args:
        graph: takes `images`.
        images: prepared, to measure ranges on.
    """
    import onnx
    from onnxruntime import quantization as q  # type: ignore[import-untyped]

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts = iter(np.split(images, range(_AT_ONCE, len(images), _AT_ONCE)))

        def get_next(self) -> dict[str, Any] | None:
            part = next(self.parts, None)
            return None if part is None else {"images": part}

    with tempfile.TemporaryDirectory() as folder, quietly():
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        onnx.save(graph, before)
        kinds = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
        q.quantize_static(before, after, Reader(), per_channel=True, quant_format=q.QuantFormat.QDQ, **kinds)
        return onnx.load(after)
