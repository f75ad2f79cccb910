"""Readers of data: Omniglot's zips, MNIST's files, and folders of images."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from fastslow.data import load_folder, load_mnist, load_omniglot
from mutations import damage
from omniglot_sample import CHARACTERS, members, write_zips
from robustness.harness import Reader

_MIB = 2**20
_SUFFIXES = (".png", ".jpg", ".gif", ".bmp", ".tif", ".webp", ".pgm")


def omniglot_reader(folder: Path) -> Reader:
    """The zips, damaged as files, or packed rightly around a damaged picture; read with an empty cache."""
    write_zips(folder)
    path, part = folder / "images_evaluation.zip", "images_evaluation"
    content, pictures = path.read_bytes(), members(part)

    def write(random: Random) -> None:
        if random.randint(0, 3):
            path.write_bytes(damage(content, random))
            return
        name = random.choice(sorted(pictures))
        _pack(path, pictures | {name: damage(pictures[name], random)})

    def read() -> Any:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        with mock.patch.dict(os.environ, {"FASTSLOW_CACHE": str(folder / "cache")}):
            return load_omniglot(folder, complete=False)

    original = read()

    def judge(data: Any) -> str:
        if data.images.shape[1:] != (28, 28) or len(data.images) != len(data.labels):
            return "it has images of other sizes"
        if len(data.images) == len(original.images) and torch.equal(data.images, original.images):
            return "identical" if data.class_names == original.class_names else "different"
        # A name in the zip's directory may be damaged: a picture is then missing. One packed rightly is what it is.
        rightly = zipfile.ZipFile(path).comment == b"packed again"
        known = all(any(torch.equal(image, other) for other in original.images) for image in data.images)
        return "different" if rightly or known else "it has other pictures"

    names = [f"{part}/{character}/0001_01.png" for character in CHARACTERS[part]]
    hostile = {
        "a picture of 60000 x 60000": lambda: _zip({names[0]: _png(60_000)}),
        "a picture that unpacks to 64 MiB": lambda: _zip({names[0]: bytes(64 * _MIB)}),
        "200,000 members": lambda: _zip({f"{names[0]}{i}": b"" for i in range(200_000)}),
        "zeros": lambda: 32 * _MIB,
    }
    return Reader("Omniglot", write, read, judge, ("images_",), path, hostile)


def mnist_reader(folder: Path) -> Reader:
    """Images and labels, damaged as files, or packed rightly around damaged ones."""
    images, labels = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28), np.array([1, 2, 9], np.uint8)
    plain = {"train-images-idx3-ubyte.gz": _idx(images), "train-labels-idx1-ubyte.gz": _idx(labels)}
    packed = {name: gzip.compress(content, mtime=0) for name, content in plain.items()}
    again: list[bool] = []

    def write(random: Random) -> None:
        name = random.choice(sorted(plain))
        again[:] = [not random.randint(0, 3)]
        for other, content in packed.items():
            (folder / other).write_bytes(content)
        new = gzip.compress(damage(plain[name], random)) if again[0] else damage(packed[name], random)
        (folder / name).write_bytes(new)

    def judge(data: Any) -> str:
        if np.array_equal(data.images.numpy(), images) and data.labels.tolist() == labels.tolist():
            return "identical"
        fits = data.images.dtype == torch.uint8 and len(data.images) == len(data.labels) and data.labels.max() < 10
        return "different" if again[0] and fits else "it has other digits"

    hostile = {
        "3 GiB of zeros": lambda: gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**20, 60, 50)),
        "64 MiB of zeros": lambda: gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**16, 32, 32) + bytes(80 * _MIB)),
        "zeros": lambda: 60 * _MIB,
    }
    return Reader("MNIST", write, lambda: load_mnist(folder), judge, ("ubyte.gz",),
                  folder / "train-images-idx3-ubyte.gz", hostile)  # fmt: skip


def folder_reader(folder: Path) -> Reader:
    """A folder of images of one's own, each in another format; one of them is damaged."""
    pixels = np.full((40, 40), 255, dtype=np.uint8)
    pixels[13:27, 13:27] = 0
    files = {f"{suffix[1:]}/1{suffix}": _saved(pixels, suffix) for suffix in _SUFFIXES}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    original, hit = load_folder(folder), ["png/1.png"]

    def write(random: Random) -> None:
        (folder / hit[0]).write_bytes(files[hit[0]])
        hit[:] = [random.choice(sorted(files))]
        content = damage(files[hit[0]], random)
        for _ in range(random.randint(0, 3)):  # without checksums, most of what is damaged is read
            at = random.randint(0, max(0, len(content) - 1))
            content = content[:at] + bytes([random.randint(0, 255)]) + content[at + 1 :]
        (folder / hit[0]).write_bytes(content)

    def judge(data: Any) -> str:
        if data.images.shape != original.images.shape or data.images.dtype != torch.uint8:
            return f"its images are {data.images.dtype} of shape {tuple(data.images.shape)}"
        if data.class_names != original.class_names or data.labels.tolist() != original.labels.tolist():
            return "its classes are others"
        others = torch.tensor([name != hit[0].split("/")[0] for name in data.class_names])[data.labels]
        if not torch.equal(data.images[others], original.images[others]):
            return "images that are not damaged are read otherwise"
        return "identical" if torch.equal(data.images, original.images) else "different"

    hostile = {
        "60000 x 60000": lambda: _png(60_000), "7000 x 7000": lambda: _saved(np.zeros((7000, 7000), np.uint8), ".png"),
        "script": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n", "zeros": lambda:
        100 * _MIB,
    }  # fmt: skip
    return Reader("folder of images", write, lambda: load_folder(folder), judge, (str(folder),),
                  folder / "png/1.png", hostile)  # fmt: skip


def _idx(values: np.ndarray) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def _saved(pixels: np.ndarray, suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, Image.registered_extensions()[suffix])
    return file.getvalue()


def _png(side: int) -> bytes:
    """A picture that announces more than it holds."""
    parts = {b"IHDR": struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0), b"IDAT": zlib.compress(bytes(9)), b"IEND": b""}
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
              for kind, data in parts.items()]  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _pack(file: Path | io.BytesIO, contents: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        archive.comment = b"packed again"


def _zip(contents: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    _pack(file, contents)
    return file.getvalue()
