"""Image data by name, with its split: `glyphs`, `omniglot`, or a folder."""

from __future__ import annotations

from pathlib import Path

from fastslow.data.base import ClassImages
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.images.folder import load_folder
from fastslow.data.images.omniglot import load_omniglot, omniglot_split
from fastslow.data.splits import Split, make_split, random_split
from fastslow.errors import InputError

#: Classes of the embedded glyphs, for training, validation and test; each drawn this many times.
GLYPH_CLASSES = (1200, 100, 200)
GLYPHS_PER_CLASS = 20
GLYPH_SEED = 0


def load_source(
    data: str, *, data_dir: Path | None = None, split: str = "vinyals", image_size: int = 28
) -> tuple[ClassImages, Split]:
    """Images and their split into training, validation and test classes.

    Args:
        data: "glyphs", "omniglot", or the path of a folder with one sub-folder a class.
        data_dir: where Omniglot lies; see `data.data_folder`.
        split: "vinyals" or "lake", for Omniglot; other data have one split, drawn once by class name.
        image_size: height and width that a folder's images are resized to, pixels.

    Raises:
        ValueError: if there is no such data.
    """
    if data == "glyphs":
        num_train, num_validation, num_test = GLYPH_CLASSES
        total = sum(GLYPH_CLASSES)
        images = make_glyphs(num_classes=total, per_class=GLYPHS_PER_CLASS, seed=GLYPH_SEED)
        first_test = num_train + num_validation
        parts = make_split(
            "glyphs",
            images.class_names,
            train=range(num_train),
            validation=range(num_train, first_test),
            test=range(first_test, first_test + num_test),
        )
        return images, parts
    if data == "omniglot":
        images = load_omniglot(data_dir)
        return images, omniglot_split(images.class_names, split)
    if Path(data).is_dir():
        images = load_folder(Path(data), image_size)
        return images, random_split(images.class_names, seed=0)
    raise InputError(
        f"there is no data {data!r}: give glyphs, omniglot, or an existing folder with a sub-folder a class"
    )
