"""Drawings of two values, paper and ink, as scans have them: found quickly, and given the edges that a pen leaves.

The drawings of one task are prepared in a few array operations: beside an encoder, each takes ten times as long as
alone. Sums of neighbours are matrix products, which is quick for images of tens of pixels.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Bool, Float32, Shaped

#: Ink this bright, in [0, 1], needs no change: the palest of Omniglot's drawings has 160 of 255.
BRIGHT_INK = 0.6


def clean_binary(
    images: Shaped[np.ndarray, "images height width"],
) -> tuple[Float32[np.ndarray, "images height width"], Bool[np.ndarray, " images"]]:
    """Which images are paper of 0 and one ink, bright, on less than half of all pixels and of those at the border.

    Args:
        images: of bytes, with ink from 0.6 x 255 on, or of booleans or floats, with ink from 0.6 to 1.

    Returns:
        1 where an image is brightest, else 0, and which images are so.
    """
    flat, full = images.reshape(len(images), -1), 255 if images.dtype == np.uint8 else 1
    most = flat.max(1, keepdims=True)
    ink = flat == most
    lit = ink.astype(np.float32)
    counted, half = _places(*images.shape[1:])
    two_valued = (flat != 0) == ink
    fits = lit @ counted < half
    fits &= (most >= BRIGHT_INK * full) & (most <= full)
    binary: Bool[np.ndarray, " images"] = fits.all(1) & not_rounded(images)
    if not two_valued.all():  # of all at once, which is quicker than of each
        binary &= two_valued.all(1)
    return lit.reshape(images.shape), binary


def not_rounded(images: Shaped[np.ndarray, "images height width"]) -> Bool[np.ndarray, " *images"]:
    """Which images are from 0 to 1 before 32 bits round them to it, or to 0; bytes and what 32 bits hold are."""
    if images.dtype == np.uint8 or np.can_cast(images.dtype, np.float32):
        return np.array(True)
    inside: Bool[np.ndarray, " images"]
    inside = (images.min((1, 2), initial=0) >= 0) & (images.max((1, 2), initial=0) <= 1)
    return inside


def smooth(ink: Shaped[np.ndarray, "images height width"]) -> Float32[np.ndarray, "images height width"]:
    """Edges as a pen leaves them: each pixel and a fifth of its neighbours, across and down, up to 1 in each image.

    Args:
        ink: 1 where there is ink, else 0.
    """
    smoothed: Float32[np.ndarray, "images height width"] = _neighbours(ink.shape[1]) @ ink @ _neighbours(ink.shape[2])
    smoothed /= smoothed.reshape(len(ink), ink.shape[1] * ink.shape[2]).max(1)[:, None, None]
    return smoothed


def border_of(images: Shaped[np.ndarray, "images height width"]) -> Shaped[np.ndarray, "images border"]:
    """The outermost pixels of each image."""
    return np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], 1)


@functools.cache
def _neighbours(edge: int) -> Float32[np.ndarray, "edge edge"]:
    """Whole numbers, so that sums are exact in whichever order."""
    return (
        5 * np.eye(edge, dtype=np.float32) + np.eye(edge, k=1, dtype=np.float32) + np.eye(edge, k=-1, dtype=np.float32)
    )


@functools.cache
def _places(height: int, width: int) -> tuple[Float32[np.ndarray, "pixels 2"], Float32[np.ndarray, "2"]]:
    """How often each pixel counts among all, and among those of the border; and half of either."""
    border = border_of(np.arange(height * width).reshape(1, height, width))[0]
    times = np.bincount(border, minlength=height * width)
    counted = np.stack([np.ones(height * width), times], 1).astype(np.float32)
    return counted, counted.sum(0) / 2
