"""Three drawings that need no file: what an exported model is asked when it tests itself."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8


def trial_drawings(size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """A bar, a cross and a corner, bright on dark.

    Args:
        size: edge of the images, pixels.
    """
    drawings = np.zeros((3, size, size), np.uint8)
    near, middle, far, wide = size // 4, size // 2, size - size // 4, max(1, size // 14)
    for drawing in drawings[:2]:
        drawing[near:far, middle : middle + wide] = 255
    drawings[1, middle : middle + wide, near:far] = 255
    drawings[2, near:far, near : near + wide] = 255
    drawings[2, far - wide : far, near:far] = 255
    return drawings
