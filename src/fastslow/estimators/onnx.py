"""Encoders in ONNX files, by onnxruntime (`pip install "fastslow[onnx]"`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastslow.errors import InputError, shown, shown_path, shown_reason

#: Examples that a model sees at a time, unless it says how many it takes.
_AT_ONCE = 256
#: A file of more bytes is no encoder for one machine.
_MAX_BYTES = 2**30
#: What an input may hold, by onnxruntime's name.
_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}  # fmt: skip


def onnx_encoder(path: Path) -> tuple[Callable[[Any], np.ndarray], str]:
    """What turns examples into vectors, and the SHA-256 of the file.

    Args:
        path: of a model with one input whose first dimension counts examples; its first output is taken, a row an
            example, flattened.

    Raises:
        ValueError: if onnxruntime is not installed, or the file is missing, damaged or no such model.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(
            f'{shown_path(path)} is read by onnxruntime, which is not installed: pip install "fastslow[onnx]"'
        ) from error
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{shown_path(path)} is larger than {_MAX_BYTES} bytes; no encoder is")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown_path(path)} cannot be read ({shown_reason(error)}); give an .onnx file") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other base
        raise InputError(
            f"{shown_path(path)} is no ONNX model that can be run ({shown_reason(error)}); export it again"
        ) from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or not inputs[0].shape:
        found = [f"{one.name}: {one.type}{one.shape}" for one in inputs]
        raise InputError(
            f"{shown_path(path)} takes {shown(found)}; one input was expected, of {', '.join(_TYPES)}, whose first "
            "dimension counts examples"
        )
    name, kind, many = inputs[0].name, _TYPES[inputs[0].type], inputs[0].shape[0]
    at_once = many if isinstance(many, int) else _AT_ONCE

    def make(examples: Any) -> np.ndarray:  # noqa: ANN401 - whatever users have
        array = examples.detach().cpu().numpy() if isinstance(examples, torch.Tensor) else examples
        try:
            given = np.asarray(array)
            array = given.astype(kind)
            if kind is np.uint8 and not (array == given).all():
                raise InputError("it takes bytes, whole numbers from 0 to 255; others would be cut")
            made = [_run(session, name, array[at : at + at_once], many) for at in range(0, len(array), at_once)]
            return np.concatenate([rows.reshape(len(rows), -1) for rows in made])
        except Exception as error:  # as above; and arrays that cannot be made, or have no rows
            raise InputError(
                f"{shown_path(path)} makes no features of examples of shape {np.shape(array)} ({shown_reason(error)}); "
                f"it takes {inputs[0].type} of shape {inputs[0].shape}"
            ) from error

    return make, hashlib.sha256(content).hexdigest()


def _run(session: Any, name: str, part: np.ndarray, many: object) -> np.ndarray:  # noqa: ANN401 - of onnxruntime
    """Rows of one part; a model that takes so many at a time is given the last one as often as are missing."""
    given = part
    if isinstance(many, int) and len(part) < many:
        given = np.concatenate([part, np.repeat(part[-1:], many - len(part), 0)])
    rows: np.ndarray = session.run(None, {name: given})[0]
    if len(rows) != len(given):
        raise InputError(f"got {len(rows)} rows for {len(given)} examples")
    return rows[: len(part)]
