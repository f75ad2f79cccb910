"""Own images: a folder with one sub-folder per class."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fastslow.data.base import ClassImages
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.preparation import Ink, UnclearInkError, UnevenPaperError, prepare, refuse_unprepared
from fastslow.errors import InputError, as_path, shown_reason

#: What is read, by name of the file and of Pillow's reader: raster images only, none that starts another program.
SUFFIXES = {
    ".bmp": "BMP", ".gif": "GIF", ".jpeg": "JPEG", ".jpg": "JPEG", ".pbm": "PPM", ".pgm": "PPM", ".png": "PNG",
    ".pnm": "PPM", ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
FORMATS = tuple(sorted(set(SUFFIXES.values())))
#: The most pixels of a file; they are counted before any is decoded.
MAX_PIXELS = 50_000_000
#: Images of more pixels are averaged down to fewer first.
_ENOUGH_PIXELS = 4_000_000
#: Share of images without plain paper from which on a folder is taken to hold photographs.
_PHOTOGRAPHS = 0.2
_CURE = f"add some, remove the folder, or save them under a name in {', '.join(sorted(SUFFIXES))}"


class _Listing(NamedTuple):
    """What a folder holds: class folders, the images in them as (label, file), and entries that are neither."""

    folders: list[Path]
    files: list[tuple[int, Path]]
    others: list[Path]


def load_folder(path: str | Path, image_size: int = 28, ink: Ink = "auto", crop: bool = False) -> ClassImages:
    """Reads every image of every sub-folder; a sub-folder is a class.

    Each image is prepared by itself, see `data.preparation.prepare`: grey, ink bright, of full contrast, scaled to fit
    a square with its aspect kept, centred, and padded with its own paper. Read are BMP, GIF (its first picture), JPEG,
    PNG, PNM, TIFF (its first page) and WebP. Files of other names and deeper folders are passed over with a warning
    that counts them; hidden ones without.

    Args:
        path: the folder.
        image_size: edge of the square, in pixels.
        ink: whether ink is "bright" or "dark" in the files; "auto" decides image by image; "as_is" leaves the values
            as they are, for photographs. Where more than a fifth of the images have no plain paper, "auto" takes them
            all for photographs, with a warning; not where uneven paper, as of noisy scans, is all that is wrong.
        crop: cut each image to its ink, for drawings that are small on their page.

    Returns:
        Images (num_images, image_size, image_size), ink bright; classes named and sorted as the sub-folders.

    Raises:
        InputError: if there is no such folder, it has no sub-folders, one of them holds no image, or an image
            cannot be read, is too large, is blank, or has no ink to be told from its paper; the message names it.
    """
    (images,) = load_folders([path], image_size, ink, crop)
    return images


def load_folders(
    paths: Sequence[str | Path], image_size: int = 28, ink: Ink = "auto", crop: bool = False
) -> tuple[ClassImages, ...]:
    """Folders that belong together, each as by `load_folder`; "auto" counts the images of all of them as one.

    Raises:
        InputError: see `load_folder`.
    """
    refuse_unprepared(ink, crop)
    image_size = refuse_unless_whole("image_size", image_size, 1)
    listings = [_list(as_path(path, "folder")) for path in paths]
    stacks, refused = [], []
    for listing in listings:
        images, errors = _prepared(listing, image_size, ink, crop)
        stacks.append(images)
        refused += errors
    total, unclear = sum(map(len, stacks)), [error for error in refused if isinstance(error, UnclearInkError)]
    # Where all that is wrong is noise, these are noisy drawings.
    photographs = len(unclear) > _PHOTOGRAPHS * total and not all(isinstance(e, UnevenPaperError) for e in unclear)
    if photographs and ink == "auto" and not crop:
        warnings.warn(
            f"{len(unclear)} of the {total} images in {', '.join(map(str, paths))} have no plain paper: all are taken "
            "for photographs and left as they are; say ink='bright' or ink='dark' if they are drawings, ink='as_is' "
            "if not (--ink on the command line)",
            stacklevel=3,
        )
        return load_folders(paths, image_size, "as_is")
    if refused:
        raise refused[0]
    for path, listing in zip(paths, listings, strict=True):
        _tell([entry.relative_to(path) for entry in listing.others])
    return tuple(
        ClassImages(
            torch.from_numpy(images),
            torch.tensor([label for label, _ in listing.files], dtype=torch.int64, device="cpu"),
            tuple(_name(folder) for folder in listing.folders),
        )
        for listing, images in zip(listings, stacks, strict=True)
    )


def _prepared(listing: _Listing, image_size: int, ink: Ink, crop: bool) -> tuple[NDArray[np.uint8], list[InputError]]:
    """The images of a folder, and the errors of those that are no drawings: among photographs all kinds occur."""
    images = np.empty((len(listing.files), image_size, image_size), np.uint8)
    refused: list[InputError] = []
    for index, (_, file) in enumerate(listing.files):
        pixels = _read(file)
        try:
            prepared = prepare(pixels, size=image_size, ink=ink, crop=crop, name=str(file))
        except InputError as error:
            refused.append(error)
        else:
            images[index] = (prepared * 255).round()
    return images, refused


def _list(path: Path) -> _Listing:
    """Looks through the folder and its sub-folders; refuses what holds no classes, or a class without images."""
    try:
        if not path.is_dir():
            raise InputError(f"{path} is not a folder; give one that holds a sub-folder of images for each class")
        entries = _visible(path)
        folders = [entry for entry in entries if entry.is_dir()]
        others = sorted(set(entries) - set(folders))
        if not folders:
            raise InputError(f"{path} has no sub-folders; put the images of each class in a sub-folder of its own")
        files: list[tuple[int, Path]] = []
        for label, folder in enumerate(folders):
            entries = _visible(folder)
            found = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
            rest = sorted(set(entries) - set(found))
            if not found:
                raise InputError(f"class folder {folder} holds no image files{_examples(rest)}; {_CURE}")
            files += [(label, file) for file in found]
            others += rest
    except OSError as error:
        raise InputError(f"{error.filename or path} cannot be read ({error.strerror}); see its permissions") from error
    return _Listing(folders, files, others)


def _visible(folder: Path) -> list[Path]:
    return sorted((e for e in folder.iterdir() if not e.name.startswith(".")), key=lambda entry: entry.name)


def _examples(entries: list[Path]) -> str:
    """How many entries there are, and the first of them."""
    if not entries:
        return ""
    names = ", ".join(entry.name for entry in entries[:3])
    return f" (passed over: {len(entries)}, {names}{', ...' if len(entries) > 3 else ''})"


def _tell(others: list[Path]) -> None:
    """Says what has been passed over, if anything."""
    if others:
        names = ", ".join(entry.as_posix() for entry in others[:3])
        more = ", ..." if len(others) > 3 else ""
        warnings.warn(
            f"{len(others)} entries are not images by name and were passed over ({names}{more}); names that are read "
            f"end in {', '.join(sorted(SUFFIXES))}",
            stacklevel=4,
        )


def _name(folder: Path) -> str:
    """A folder's name as text; bytes that are none in the file system's encoding are spelt out."""
    return os.fsencode(folder.name).decode("utf-8", "backslashreplace")


def decoded(content: bytes, name: str, formats: tuple[str, ...], max_pixels: int) -> NDArray[Any]:
    """Pixels of an image file that is held in memory: (height, width), or (height, width, 4) where some may be clear.

    Args:
        content: of the file.
        name: of the image in messages.
        formats: that may be read, of `FORMATS`.
        max_pixels: the most that it may have; they are counted before any is decoded.

    Raises:
        InputError: if it is larger, damaged, or of another format.
    """
    return _decoded(io.BytesIO(content), name, formats, max_pixels)


def _read(file: Path) -> NDArray[Any]:
    return _decoded(file, str(file), FORMATS, MAX_PIXELS)


def _decoded(source: Path | io.BytesIO, name: str, formats: tuple[str, ...], max_pixels: int) -> NDArray[Any]:
    smaller = f"at most {max_pixels:,} pixels are read: scale it down"
    try:
        with Image.open(source, formats=formats) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise InputError(f"{name} is too large: {width} x {height} pixels; {smaller}")
            return _pixels(opened)
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}); see its permissions") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} is too large ({shown_reason(error)}); {smaller}") from error
    except Exception as error:  # on damaged files Pillow's readers raise whatever their parsing runs into
        raise InputError(f"{name} is not a readable image ({shown_reason(error)}); repair or remove it") from error


def _pixels(opened: Image.Image) -> NDArray[Any]:
    image = ImageOps.exif_transpose(opened)
    large = image.width * image.height > _ENOUGH_PIXELS
    if not image.mode.startswith(("I", "F")):
        image = image.convert("RGBA" if image.has_transparency_data else "L")
    elif large:
        image = image.convert(image.mode[0])  # of 32 bits: those of 16 cannot be averaged
    if large:
        image = image.reduce(math.ceil(math.sqrt(image.width * image.height / _ENOUGH_PIXELS)))
    array = np.asarray(image)
    if array.dtype == np.int32 and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)  # Pillow has 16 bits in 32 where it reads PNM or averages
    return array
