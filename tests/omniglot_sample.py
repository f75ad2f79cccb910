"""Five characters of two drawings, packed as Omniglot is, for tests of what reads them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CHARACTERS = {
    "images_background": ("Greek/character01", "Greek/character02", "Hebrew/character01"),
    "images_evaluation": ("Angelic/character01", "ULOG/character01"),
}


def picture(corner: int) -> bytes:
    """White paper, 105 x 105, 1 bit, with a black square in one of the four corners."""
    pixels = np.ones((105, 105), dtype=bool)
    pixels[60 * (corner // 2) :, 60 * (corner % 2) :][:45, :45] = False
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def members(part: str) -> dict[str, bytes]:
    """Two drawings a character, the last character first."""
    names = [f"{part}/{name}/{n:04}_{d:02}.png" for n, name in enumerate(CHARACTERS[part]) for d in (1, 2)]
    return {name: picture(i % 4) for i, name in reversed(list(enumerate(names)))}


def write_zips(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in CHARACTERS:
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            archive.mkdir(f"{part}/")
            archive.writestr(f"__MACOSX/{part}/Greek/character01/._0001_01.png", b"x")
            archive.writestr(f"{part}/Greek/character01/._0001_01.png", b"x")
            archive.writestr(f"{part}/readme.txt", b"x")
            for name, content in members(part).items():
                archive.writestr(name, content)
