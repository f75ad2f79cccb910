"""All image data by name, each with its splits. A new data set is one file and one line in `DATA`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fastslow.checks import refuse_unless_whole
from fastslow.data.base import ClassImages
from fastslow.data.fetching.fetch import Source, fetch_files
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.images import mnist, omniglot
from fastslow.data.images.digits import digit_split, load_digits
from fastslow.data.images.parts import load_own_images
from fastslow.data.images.resize import resized
from fastslow.data.preparation import Ink
from fastslow.data.splits import Split, make_split
from fastslow.errors import InputError, shown

#: Classes of the embedded glyphs, for training, validation and test; each drawn this many times.
GLYPH_CLASSES = (1200, 100, 200)
GLYPHS_PER_CLASS = 20
GLYPH_SEED = 0

#: The split that options name where nobody chose one: data that have one split of another name take it to mean that.
USUAL_SPLIT = "vinyals"


class DataSource(NamedTuple):
    """A data set: all that the library and its command line know about it.

    Attributes:
        about: what it is, in a few words.
        load: the images, from the data folder (see `data_folder`) and for an edge in pixels.
        splits: by name, what divides the class names; the first is taken where none is chosen.
        files: where to download it from; `None` for data that need no download.
    """

    about: str
    load: Callable[[str | Path | None, int], ClassImages]
    splits: Mapping[str, Callable[[Sequence[str]], Split]]
    files: Source | None = None


def _glyphs(_data_dir: str | Path | None, image_size: int) -> ClassImages:
    images = make_glyphs(num_classes=sum(GLYPH_CLASSES), per_class=GLYPHS_PER_CLASS, seed=GLYPH_SEED)
    return dataclasses.replace(images, images=resized(images.images, image_size))


def _glyph_split(class_names: Sequence[str]) -> Split:
    first, second = GLYPH_CLASSES[0], GLYPH_CLASSES[0] + GLYPH_CLASSES[1]
    return make_split(
        "glyphs",
        class_names,
        train=range(first),
        validation=range(first, second),
        test=range(second, len(class_names)),
    )


def _mnist(data_dir: str | Path | None, image_size: int) -> ClassImages:
    images = mnist.load_mnist(data_dir, "all")
    return dataclasses.replace(images, images=resized(images.images, image_size))


def _digits(_data_dir: str | Path | None, image_size: int) -> ClassImages:
    return load_digits(image_size)


_OMNIGLOT_SPLITS = {name: partial(omniglot.omniglot_split, split=name) for name in ("vinyals", "lake")}
_DIGIT_SPLITS = {"first-five-digits": digit_split}

DATA: dict[str, DataSource] = {
    "glyphs": DataSource("1500 made-up characters x 20 drawings, drawn as needed", _glyphs, {"glyphs": _glyph_split}),
    "omniglot": DataSource("1623 characters x 20 drawings", omniglot.load_omniglot, _OMNIGLOT_SPLITS, omniglot.FILES),
    "mnist": DataSource("70,000 digits, for training and test together", _mnist, _DIGIT_SPLITS, mnist.FILES),
    "digits": DataSource("1797 small digits, from scikit-learn", _digits, _DIGIT_SPLITS),
}


def data_names() -> str:
    """What may be given as data, for messages and help: the names, or a folder."""
    return f"{', '.join(DATA)}, or a folder with one sub-folder for each class"


def load_source(
    data: str | Path,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    image_size: int = 28,
    ink: Ink = "auto",
    crop: bool = False,
) -> tuple[ClassImages, Split]:
    """Images and their split into training, validation and test classes.

    Args:
        data: a name in `DATA`, or the path of a folder of one's own, see `load_own_images`.
        data_dir: where downloaded data lie; see `data_folder`.
        split: for data that have several, as Omniglot "vinyals" and "lake"; the first of them if `None`.
        image_size: height and width of the images, pixels.
        ink: of a folder's images, see `load_folder`; data sets with a name are as they are.
        crop: likewise.

    Raises:
        InputError: if there is no such data or split, ink or crop is given for data with a name, or the data cannot be
            read.
    """
    if not isinstance(data, str | os.PathLike):
        raise InputError(f"got data={shown(data)}; give {data_names()}")
    image_size = refuse_unless_whole("image_size", image_size, 1)
    source = DATA.get(str(data))
    if source is not None:
        if (ink, crop) != ("auto", False):
            raise InputError(
                f"got ink={shown(ink)}, crop={shown(crop)} for {data}; they are for a folder of your own, and {data} "
                "is prepared already: leave them out (on the command line --ink and --crop)"
            )
        chosen = _chosen_split(str(data), split, list(source.splits))
        images = source.load(data_dir, image_size)
        return images, source.splits[chosen](images.class_names)
    if not _is_folder(data):
        raise InputError(f"got data={shown(str(data))}; give {data_names()} (there is no such folder)")
    images, parts = load_own_images(data, image_size, ink, crop)
    _chosen_split(str(data), split, [parts.name])
    return images, parts


def fetch(name: str, data_dir: str | Path | None = None, *, mirrors: Sequence[str] | None = None) -> tuple[Path, ...]:
    """Downloads the files of a data set that are not yet here, see `fetch_files`.

    Args:
        name: a data set that is downloaded, as "omniglot" or "mnist".
        data_dir: the data folder; `None`: see `data_folder`.
        mirrors: addresses to try instead of the public ones, in this order.

    Returns:
        The path of each file.

    Raises:
        InputError: if there is no such data set or it needs no download; else see `fetch_files`.
    """
    remote = {key: source.files for key, source in DATA.items() if source.files is not None}
    if name in DATA and name not in remote:
        raise InputError(f"{name} needs no download: it is there already")
    if name not in remote:
        raise InputError(f"there is no data set {shown(name)} to fetch; choose from {', '.join(sorted(remote))}")
    return fetch_files(name, remote[name], data_dir, mirrors=mirrors)


def _chosen_split(data: str, split: str | None, choices: list[str]) -> str:
    if split is None or (len(choices) == 1 and split == USUAL_SPLIT):
        return choices[0]
    if split not in choices:
        raise InputError(f"{shown(data)} has no split {shown(split)}; choose from {choices}")
    return split


def _is_folder(path: str | Path) -> bool:
    try:
        return str(path) != "" and Path(path).is_dir()
    except (OSError, ValueError):  # a name too long, or with a null character: on some systems no mere "no"
        return False
