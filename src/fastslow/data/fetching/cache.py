"""Decoded images kept between runs: a convenience, so whatever goes wrong here is never an error."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from jaxtyping import UInt8

from fastslow.data.fetching.locate import cache_folder
from fastslow.errors import InputError
from fastslow.files import write_atomically

_DIGEST_BYTES = hashlib.sha256().digest_size


def load_cached(file_name: str, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "images height width"] | None:
    """The images stored under `file_name`, or `None` if they are absent, damaged or not of this shape.

    The file is the SHA-256 of the pixels, then the pixels: nothing in it says how much memory to take.
    """
    try:
        path = cache_folder() / file_name
        if path.stat().st_size != _DIGEST_BYTES + math.prod(shape):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    pixels = memoryview(content)[_DIGEST_BYTES:]
    if len(pixels) != math.prod(shape) or hashlib.sha256(pixels).digest() != content[:_DIGEST_BYTES]:
        return None
    return np.frombuffer(pixels, dtype=np.uint8).reshape(shape).copy()


def store_cached(file_name: str, images: UInt8[np.ndarray, "images height width"]) -> bool:
    """Stores images under `file_name`: whole or not at all, even when several processes write.

    Returns:
        Whether it worked; a folder that cannot be written to, or a full disk, gives False.
    """
    pixels = np.ascontiguousarray(images).tobytes()
    try:
        write_atomically(
            cache_folder() / file_name, lambda path: path.write_bytes(hashlib.sha256(pixels).digest() + pixels)
        )
    except (OSError, InputError):
        return False
    return True
