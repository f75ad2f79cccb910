"""What users hand over as images, as what an encoder takes; without torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from jaxtyping import Float32

from fastslow.data.pillow import without_pillow
from fastslow.data.preparation import Ink, prepare_stack
from fastslow.data.scale import as_pixels, tensor_values
from fastslow.errors import InputError


def prepared_drawings(
    images: object, *, size: int, ink: Ink, crop: bool
) -> Float32[np.ndarray, "images {size} {size}"]:
    """Images as grey values in [0, 1], each prepared by itself, see `data.preparation.prepare`.

    Args:
        images: shape (images, height, width), or with 3 or 4 channels at the end; arrays, lists, tensors of
            torch, or a list of Pillow's images of one size, whose palettes are looked up.
        size: edge that the encoder takes, pixels; squares of another size are resized.
        ink: see `prepare`.
        crop: likewise.

    Raises:
        ValueError: if shapes do not fit, or an image cannot be read as a drawing.
    """
    stack = as_pixels(_as_array(images), "images")
    fits = stack.ndim == 3 or (stack.ndim == 4 and stack.shape[3] <= 4)
    if not fits or stack.size == 0 or (not crop and stack.shape[1] != stack.shape[2]):
        raise InputError(
            f"got images of shape {stack.shape}; (examples, {size}, {size}) was expected, or another square, or with 3 "
            "or 4 channels at the end: make them square, at least one; crop=True takes any height and width"
        )
    return prepare_stack(stack, size=size, ink=ink, crop=crop)


def _as_array(images: Any) -> Any:  # noqa: ANN401 - whatever users have
    """A tensor as an array, from wherever it lies; torch is not imported for it: who has a tensor has it."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(images, torch.Tensor):
        return without_pillow(images)
    values = tensor_values(images, "images")
    return values.astype(np.float32) if values.dtype == np.float64 else values
