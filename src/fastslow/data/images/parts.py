"""Own images with their split: by `train`, `val` and `test` sub-folders, or drawn by class name."""

from __future__ import annotations

from pathlib import Path

import torch

from fastslow.data.base import ClassImages
from fastslow.data.images.folder import load_folder, load_folders
from fastslow.data.preparation import Ink
from fastslow.data.splits import Split, make_split, random_split
from fastslow.errors import InputError, shown

#: What the sub-folder of each part may be called.
PART_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


def load_own_images(
    path: str | Path, image_size: int = 28, ink: Ink = "auto", crop: bool = False
) -> tuple[ClassImages, Split]:
    """Reads a folder of one's own and decides its split.

    A folder whose sub-folders are all called `train`, `val` (or `validation`) or `test`, and hold folders in turn, has
    a split of its own, called "folders": each of them holds one sub-folder for each class, and a part without a folder
    is empty. Any other folder has one sub-folder for each class, and `random_split` of seed 0.

    Args:
        path: the folder.
        image_size: edge of the images, pixels.
        ink: see `load_folder`.
        crop: likewise.

    Raises:
        InputError: see `load_folder`; or if two parts have a class of the same name.
    """
    parts = _part_folders(Path(path))
    if not parts:
        images = load_folder(Path(path), image_size, ink, crop)
        return images, random_split(images.class_names, seed=0)
    # Together: were each part taken for drawings or photographs by itself, a model could be tested on another kind
    # than it learned from.
    data = dict(zip(parts, load_folders([*parts.values()], image_size, ink, crop), strict=True))
    names: list[str] = []
    classes: dict[str, range] = {"train": range(0), "validation": range(0), "test": range(0)}
    labels = []
    for part, images in data.items():
        if repeated := sorted(set(names) & set(images.class_names)):
            raise InputError(
                f"class {shown(repeated[0])} is in two parts of {path}; a class belongs to one of them: "
                f"move its images together, or give one part as the data, like {parts[part]}"
            )
        classes[part] = range(len(names), len(names) + images.num_classes)
        labels.append(images.labels + len(names))
        names += images.class_names
    whole = ClassImages(torch.cat([images.images for images in data.values()]), torch.cat(labels), tuple(names))
    return whole, make_split("folders", names, **classes)


def _part_folders(path: Path) -> dict[str, Path]:
    """The folder of each part, in the order train, validation, test; none if these are ordinary classes."""
    folders = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if not {folder.name for folder in folders} <= set(PART_FOLDERS):
        return {}
    if not any(inner.is_dir() for folder in folders for inner in folder.iterdir()):
        return {}
    found: dict[str, Path] = {}
    for folder in sorted(folders, key=lambda folder: list(PART_FOLDERS).index(folder.name)):
        part = PART_FOLDERS[folder.name]
        if part in found:
            raise InputError(f"{path} holds both {found[part].name} and {folder.name}; keep one of the two folders")
        found[part] = folder
    return found
