"""Own images: a folder with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from fastslow.data.base import ClassImages
from fastslow.errors import InputError

_MAX_16_BIT = 65535


def load_folder(path: Path, image_size: int = 28, invert: bool | None = None) -> ClassImages:
    """Reads every image of every sub-folder; a sub-folder is a class.

    Images become grey, are scaled to fit a square with their aspect kept, centred, and padded with their own
    paper (the median of their border). Transparent pixels count as paper. Hidden files, deeper folders and
    files that are not named like an image are passed over.

    Args:
        path: the folder.
        image_size: edge of the square, in pixels.
        invert: whether ink is darker than paper in the files. `None` decides once for the whole data set: it
            is where the paper (the median over the images of the border's median) is brighter than mid grey.

    Returns:
        Images (num_images, image_size, image_size), ink bright; classes named and sorted as the sub-folders.

    Raises:
        InputError: if there is no such folder, it has no sub-folders, one of them holds no image, or an image
            cannot be read; the message names it.
    """
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; it must be at least 1 pixel")
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give one that holds a sub-folder of images for each class")
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise InputError(f"{path} has no sub-folders; put the images of each class in a sub-folder of its own")
    suffixes = {suffix for suffix, form in Image.registered_extensions().items() if form in Image.OPEN}
    images: list[UInt8[np.ndarray, "height width"]] = []
    papers: list[float] = []
    labels: list[int] = []
    for label, folder in enumerate(folders):
        files = [file for file in sorted(folder.iterdir()) if _is_image(file, suffixes)]
        if not files:
            raise InputError(f"class folder {folder} holds no image files; add some, or remove the folder")
        for file in files:
            image, paper = _read_square(file, image_size, clear=0 if invert is False else 255)
            images.append(image)
            papers.append(paper)
            labels.append(label)
    stacked = np.stack(images)
    if invert is None:
        invert = bool(np.median(papers) > 127.5)
    if invert:
        stacked = 255 - stacked
    return ClassImages(
        torch.from_numpy(stacked),
        torch.tensor(labels, dtype=torch.int64),
        tuple(folder.name for folder in folders),
    )


def _is_image(file: Path, suffixes: set[str]) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.suffix.lower() in suffixes


def _read_square(file: Path, size: int, *, clear: int) -> tuple[UInt8[np.ndarray, "height width"], float]:
    """One image as a grey square, and its paper's brightness; transparent pixels get the value `clear`."""
    try:
        with Image.open(file) as opened:
            grey = _to_grey(ImageOps.exif_transpose(opened), clear)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} is not a readable image ({error}); repair or remove it") from error
    pixels = np.asarray(grey)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    paper = float(np.median(border))
    scale = size / max(grey.size)
    width, height = (max(1, round(edge * scale)) for edge in grey.size)
    square = Image.new("L", (size, size), color=round(paper))
    square.paste(grey.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return np.array(square), paper


def _to_grey(image: Image.Image, clear: int) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bit: Pillow's own conversion would clip at 255
        values = np.asarray(image).astype(np.float64) * (255 / _MAX_16_BIT)
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, (clear, clear, clear, 255))
        return Image.alpha_composite(paper, coloured).convert("L")
    return image.convert("L")
