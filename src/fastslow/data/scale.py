"""The values of an image in [0, 1], whatever type they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
from numpy.typing import NDArray

from fastslow.errors import InputError, shown, shown_reason

Pixels = Shaped[np.ndarray, "height width *channels"]

#: Whole numbers up to 1 are ink and paper where both cover this share of the pixels, and dust on a page of bytes else.
_LEAST_INK = 0.01
#: In a wider type, values are plainly of 8 or 12 bits where the brightest is above this share of what these can hold.
_PLAINLY = 7 / 8


def in_unit(pixels: Pixels, name: str) -> Float32[np.ndarray, "height width *channels"]:
    """Values in [0, 1], scaled by what the image holds, see `preparation.prepare`.

    Args:
        pixels: shape (height, width), or (height, width, channels).
        name: what the image is called in messages.

    Raises:
        InputError: if the values are no numbers, not finite, or fit no rule; the message names the image.
    """
    if pixels.dtype.kind not in "buif" or pixels.size == 0:
        raise InputError(f"{name} has {pixels.size} values of type {pixels.dtype}; at least one number was expected")
    least, most = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise InputError(f"{name} holds NaN or infinity; clean it first")
    scale = _full(pixels, most)
    if least < 0 or scale is None:
        raise InputError(
            f"{name} has values from {least:.3g} to {most:.3g}; expected 0 to 1, 0 to 255 (bytes) or 0 to 65535 "
            "(16 bits): shift and scale them first"
        )
    return pixels.astype(np.float32) / np.float32(scale)


def refuse_masked(value: object, name: str) -> None:
    """Refuses an array of NumPy that says of some of its entries that they are none.

    Raises:
        InputError: if it does; the message names it.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        masked = int(np.ma.getmaskarray(value).sum())
        raise InputError(
            f"got {name} of which {masked} are masked; leave those examples out, or fill them in (array.filled(VALUE))"
        )


def tensor_values(tensor: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - torch is not imported for it
    """The numbers of a tensor of torch, wherever it lies, in a type that NumPy has.

    Raises:
        InputError: if it is sparse, quantised or without values; the message names it.
    """
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        short = plain.is_floating_point() and plain.element_size() < 4
        values: NDArray[Any] = (plain.float() if short else plain).numpy()
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"got {name} as a tensor of {tensor.dtype} and {tensor.layout} on {tensor.device}, whose numbers cannot be "
            "read; give a plain one, by .to_dense() or .dequantize()"
        ) from error
    return values


def as_pixels(value: object, name: str) -> NDArray[Any]:
    """An array of real numbers in the machine's byte order.

    Raises:
        InputError: if the value is none, or masked.
    """
    refuse_masked(value, name)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} cannot be made an array ({shown_reason(error)}); give images of one size") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"got {name}={shown(value)}; an array of real numbers was expected")
    if array.dtype.isnative and array.flags.c_contiguous:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def _full(pixels: Pixels, most: float) -> int | None:
    """The value that stands for full brightness, where the largest is `most`; `None` if there is no such rule."""
    if most <= 1 and (pixels.dtype.kind not in "ui" or _are_truths(pixels)):
        return 1
    if pixels.dtype == np.uint16:
        return next((top for top in (255, 4095) if _PLAINLY * top < most <= top), 65535)
    return next((top for top in (255, 65535) if most <= top), None)


def _are_truths(pixels: Pixels) -> bool:
    """Whether whole numbers up to 1 stand for paper and ink, in one of the channels at least."""
    ones = (pixels == 1).mean((0, 1))
    return bool((np.minimum(ones, 1 - ones) >= _LEAST_INK).any())
