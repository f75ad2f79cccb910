"""MNIST: handwritten digits in IDX files (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastslow.data.base import ClassImages
from fastslow.data.fetch.locate import find_path
from fastslow.errors import InputError

_PREFIXES = {"train": "train", "test": "t10k"}
_NUM_DIGITS = 10
_CURE = "fetch it again with `fastslow data fetch mnist`"


def load_mnist(data_dir: Path | None = None, part: str = "train") -> ClassImages:
    """Reads the training or the test digits.

    Args:
        data_dir: holds the official `*-ubyte.gz` files, itself or in its `mnist` sub-folder. `None`: see
            `fastslow.data.fetch.locate.data_folder`.
        part: "train" (60,000 images) or "test" (10,000).

    Returns:
        Images (num_images, 28, 28), ink 255, in the order of the file; classes "0" to "9".

    Raises:
        InputError: if there is no such part, or a file is missing or damaged; the message names the file.
    """
    if part not in _PREFIXES:
        raise InputError(f"MNIST has no part {part!r}; choose train or test")
    images_path = find_path("mnist", (f"{_PREFIXES[part]}-images-idx3-ubyte.gz",), data_dir)
    labels_path = find_path("mnist", (f"{_PREFIXES[part]}-labels-idx1-ubyte.gz",), data_dir)
    images, labels = read_idx(images_path, num_axes=3), read_idx(labels_path, num_axes=1)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels; "
            "one label an image was expected: fetch both again with `fastslow data fetch mnist`"
        )
    if len(labels) and labels.max() >= _NUM_DIGITS:
        raise InputError(f"{labels_path} holds the label {labels.max()}; digits 0 to 9 were expected; {_CURE}")
    names = tuple(str(digit) for digit in range(_NUM_DIGITS))
    return ClassImages(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)), names)


def read_idx(path: Path, *, num_axes: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Reads a gzipped IDX file of unsigned bytes.

    The format: four bytes 0, 0, 8 (unsigned bytes), number of axes; a big-endian 32-bit size for each axis;
    the values, last axis fastest.

    Args:
        path: the file.
        num_axes: how many axes it must have.

    Returns:
        The values, uint8, of the shape the file announces.

    Raises:
        InputError: if the file cannot be unpacked, does not begin as it should, or has too few or too many
            values.
    """
    try:
        with gzip.open(path) as file:
            header = file.read(4 + 4 * num_axes)
            if header[:4] != bytes((0, 0, 8, num_axes)) or len(header) < 4 + 4 * num_axes:
                raise InputError(
                    f"{path} begins with the bytes {header[:4].hex(' ') or '(none)'}, not with "
                    f"{bytes((0, 0, 8, num_axes)).hex(' ')} and {num_axes} sizes as MNIST's does; {_CURE}"
                )
            sizes = struct.unpack(f">{num_axes}I", header[4:])
            values = file.read(math.prod(sizes) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); {_CURE}") from error
    if len(values) != math.prod(sizes):
        amount = "more" if len(values) > math.prod(sizes) else f"only {len(values)}"
        raise InputError(f"{path} announces {math.prod(sizes)} values, but holds {amount}; {_CURE}")
    return np.frombuffer(values, dtype=np.uint8).reshape(sizes).copy()
