"""Another edge for images that are read at the size of their files."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from fastslow.data.checks import refuse_unless_whole
from fastslow.errors import InputError

_AT_ONCE = 4096  # images; what bounds the memory that their float copies take
_MAX_BYTES = 2**29


def refuse_too_large(num_images: int, size: int) -> int:
    """Refuses an edge that is no positive whole number, or at which so many images take over 512 MiB.

    Returns:
        The edge, an `int` of Python.

    Raises:
        InputError: the message says how far one may go.
    """
    size = refuse_unless_whole("image_size", size, 1)
    if num_images * size**2 > _MAX_BYTES:
        fits = int((_MAX_BYTES / num_images) ** 0.5)
        raise InputError(f"got image_size={size}; {num_images} images fit in memory up to {fits} pixels: lower it")
    return size


def resized(images: UInt8[Tensor, "images height width"], size: int) -> UInt8[Tensor, "images size size"]:
    """Squares of another edge, by bicubic interpolation (averaged over the area where they shrink).

    Images of that size already are given back as they are.

    Args:
        images: grey images.
        size: the new edge, pixels.

    Raises:
        InputError: see `refuse_too_large`.
    """
    size = refuse_too_large(len(images), size)
    if images.shape[1:] == (size, size):
        return images
    result = torch.empty(len(images), size, size, dtype=torch.uint8, device=images.device)
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE].unsqueeze(1).to(torch.float32)
        scaled = F.interpolate(part, (size, size), mode="bicubic", align_corners=False, antialias=True)
        result[start : start + len(part)] = scaled.squeeze(1).round_().clamp_(0, 255).to(torch.uint8)
    return result
