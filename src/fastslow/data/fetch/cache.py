"""Decoded images kept between runs: a convenience, so whatever goes wrong here is never an error."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fastslow.data.fetch.locate import cache_folder


def load_cached(file_name: str, num_images: int) -> UInt8[np.ndarray, "images height width"] | None:
    """The images stored under `file_name`, or `None` if they are absent, damaged or not `num_images`."""
    try:
        with np.load(cache_folder() / file_name, allow_pickle=False) as archive:
            images = archive["images"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        return None
    return images if images.ndim == 3 and len(images) == num_images else None


def store_cached(file_name: str, images: UInt8[np.ndarray, "images height width"]) -> bool:
    """Stores images under `file_name`: whole or not at all, even when several processes write.

    Returns:
        Whether it worked; a folder that cannot be written to, or a full disk, gives False.
    """
    folder = cache_folder()
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file_name}.", suffix=".tmp", dir=folder)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, images=images)
        temporary.replace(folder / file_name)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return False
    return True
