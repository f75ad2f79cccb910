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
from fastslow.data.fetching.fetch import Source
from fastslow.data.fetching.locate import find_path
from fastslow.errors import InputError, shown, shown_reason

FILES = Source(
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    sizes={
        "train-images-idx3-ubyte.gz": 9_912_422,
        "train-labels-idx1-ubyte.gz": 28_881,
        "t10k-images-idx3-ubyte.gz": 1_648_877,
        "t10k-labels-idx1-ubyte.gz": 4_542,
    },
    checksums={
        "train-images-idx3-ubyte.gz": {
            "md5": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "sha256": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        "train-labels-idx1-ubyte.gz": {
            "md5": "d53e105ee54ea40749a09fcbcd1e9432",
            "sha256": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        "t10k-images-idx3-ubyte.gz": {
            "md5": "9fb629c4189551a2d022fa330f9573f3",
            "sha256": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        "t10k-labels-idx1-ubyte.gz": {
            "md5": "ec29112dd5afa0611ce80d1b7f02629c",
            "sha256": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    },
)
_PREFIXES = {"train": "train", "test": "t10k"}
_NUM_DIGITS = 10
_MAX_VALUES = 2**26  # in one file; the training images are 47 million
_CURE = "fetch it again with `fastslow data fetch mnist`"


def load_mnist(data_dir: str | Path | None = None, part: str = "train") -> ClassImages:
    """Reads the training or the test digits, or both.

    Args:
        data_dir: holds the official `*-ubyte.gz` files, itself or in its `mnist` sub-folder. `None`: see
            `fastslow.data.fetching.locate.data_folder`.
        part: "train" (60,000 images), "test" (10,000) or "all" (70,000, those for training first).

    Returns:
        Images (num_images, 28, 28), ink 255, in the order of the file; classes "0" to "9".

    Raises:
        InputError: if there is no such part, or a file is missing or damaged; the message names the file.
    """
    if part == "all":
        parts = [load_mnist(data_dir, name) for name in _PREFIXES]
        if len({half.images.shape[1:] for half in parts}) > 1:
            sizes = " and ".join(str(tuple(half.images.shape[1:])) for half in parts)
            raise InputError(f"MNIST's training and test images have different sizes, {sizes}; {_CURE}")
        return ClassImages(
            torch.cat([half.images for half in parts]),
            torch.cat([half.labels for half in parts]),
            parts[0].class_names,
        )
    if part not in _PREFIXES:
        raise InputError(f"MNIST has no part {shown(part)}; choose train or test, or all")
    images_path = find_path("mnist", (f"{_PREFIXES[part]}-images-idx3-ubyte.gz",), data_dir)
    labels_path = find_path("mnist", (f"{_PREFIXES[part]}-labels-idx1-ubyte.gz",), data_dir)
    images, labels = read_idx(images_path, num_axes=3), read_idx(labels_path, num_axes=1)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels; "
            "one label per image was expected: fetch both again with `fastslow data fetch mnist`"
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
            values. No more than it may hold is unpacked.
    """
    try:
        if path.stat().st_size > _MAX_VALUES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, more than {_MAX_VALUES}; {_CURE}")
        with gzip.open(path) as file:
            header = file.read(4 + 4 * num_axes)
            if header[:4] != bytes((0, 0, 8, num_axes)) or len(header) < 4 + 4 * num_axes:
                raise InputError(
                    f"{path} begins with the bytes {header[:4].hex(' ') or '(none)'}, not with "
                    f"{bytes((0, 0, 8, num_axes)).hex(' ')} and {num_axes} sizes as MNIST's does; {_CURE}"
                )
            sizes = struct.unpack(f">{num_axes}I", header[4:])
            if not 0 < math.prod(sizes) <= _MAX_VALUES:
                raise InputError(f"{path} announces {sizes} values; 1 to {_MAX_VALUES} were expected; {_CURE}")
            values = file.read(math.prod(sizes) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({shown_reason(error)}); {_CURE}") from error
    if len(values) != math.prod(sizes):
        amount = "more" if len(values) > math.prod(sizes) else f"only {len(values)}"
        raise InputError(f"{path} announces {math.prod(sizes)} values, but holds {amount}; {_CURE}")
    return np.frombuffer(values, dtype=np.uint8).reshape(sizes).copy()
