"""Omniglot: 1623 handwritten characters, 20 drawings each (Lake, Salakhutdinov, Tenenbaum, 2015)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from fastslow.data.base import ClassImages
from fastslow.data.fetch.cache import load_cached, store_cached
from fastslow.data.fetch.locate import find_path
from fastslow.data.splits import Split, make_split
from fastslow.errors import InputError

PARTS = ("images_background", "images_evaluation")
VALIDATION_ALPHABETS = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
_NUM_CHARACTERS, _NUM_VINYALS_TRAINING = 1623, 1200
_IMAGE_SIZE = 28
_RECIPE = "grey 28x28, LANCZOS, 255 - value; 1"  # part of the cache's name: change it when decoding changes
_CURE = "fetch it again with `fastslow data fetch omniglot`"


def load_omniglot(data_dir: Path | None = None) -> ClassImages:
    """Reads all characters, from the two official zips or from the folders they unpack to.

    The decoded images are kept in the cache folder (`fastslow.data.fetch.locate.cache_folder`) under a name made
    from sizes and checksums of the sources, so that a changed source is read afresh.

    Args:
        data_dir: holds `images_background.zip` and `images_evaluation.zip`, or folders of these names, itself
            or in its `omniglot` sub-folder. `None`: see `fastslow.data.fetch.locate.data_folder`.

    Returns:
        Images (num_images, 28, 28), ink 255; classes named "images_background/ALPHABET/characterNN",
        background before evaluation, then sorted by alphabet and character.

    Raises:
        InputError: if a part is missing, damaged or not Omniglot; the message names the file and the cure.
    """
    parts = [_list_part(part, find_path("omniglot", (f"{part}.zip", f"{part}/"), data_dir)) for part in PARTS]
    classes = [str(PurePosixPath(member).parent) for part in parts for member in part.members]
    class_names = tuple(dict.fromkeys(classes))
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = torch.tensor([label_of[name] for name in classes], dtype=torch.int64)

    stamps = [_RECIPE, *(part.members for part in parts)]
    cache_name = f"omniglot-{hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:32]}.npz"
    images = load_cached(cache_name, len(labels))
    if images is None or images.shape[1:] != (_IMAGE_SIZE, _IMAGE_SIZE):
        images = _decode_all(parts)
        store_cached(cache_name, images)
    return ClassImages(torch.from_numpy(images), labels, class_names)


def omniglot_split(class_names: Sequence[str], split: str = "vinyals") -> Split:
    """The two usual splits of the characters.

    "vinyals" (Vinyals et al., 2016, in the fixed order of `load_omniglot`): the first 1200 characters are
    for training, the last 423 for test. "lake" (Lake et al., 2015): the background alphabets are for
    training, the evaluation alphabets for test. In both, validation is the characters of
    `VALIDATION_ALPHABETS`, taken out of those for training.

    Args:
        class_names: as `load_omniglot` gives them, in any order.
        split: "vinyals" or "lake".

    Raises:
        InputError: if there is no such split, a class is not Omniglot's, or, for "vinyals", there are not
            exactly 1623 classes.
    """
    if split not in ("vinyals", "lake"):
        raise InputError(f"there is no Omniglot split {split!r}; choose vinyals or lake")
    paths = [name.split("/") for name in class_names]
    if strange := [name for name, path in zip(class_names, paths, strict=True) if path[0] not in PARTS]:
        raise InputError(
            f"class {strange[0]!r} is not from Omniglot, whose classes are named like "
            "images_background/Greek/character01; use random_split for other data"
        )
    if split == "vinyals" and len(class_names) != _NUM_CHARACTERS:
        raise InputError(
            f"split vinyals needs all {_NUM_CHARACTERS} Omniglot characters, but {len(class_names)} classes "
            f"came; split before adding rotations, and if the data is incomplete {_CURE}"
        )
    ordered = sorted(range(len(paths)), key=lambda i: paths[i])
    if split == "vinyals":
        training, test = ordered[:_NUM_VINYALS_TRAINING], ordered[_NUM_VINYALS_TRAINING:]
    else:
        training = [i for i in ordered if paths[i][0] == PARTS[0]]
        test = [i for i in ordered if paths[i][0] == PARTS[1]]
    train = [i for i in training if paths[i][1] not in VALIDATION_ALPHABETS]
    validation = [i for i in training if paths[i][1] in VALIDATION_ALPHABETS]
    return make_split(split, class_names, train=train, validation=validation, test=test)


@dataclasses.dataclass(frozen=True)
class _Part:
    """Half of the data set as found on disk.

    Attributes:
        path: the zip file, or the folder.
        members: "images_background/ALPHABET/characterNN/CCCC_DD.png" of each picture, sorted, with two
            numbers that change with its content: size and CRC in a zip, size and time in a folder.
    """

    path: Path
    members: dict[str, tuple[int, int]]

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each picture file."""
        if self.path.is_dir():
            for member in self.members:
                yield member, (self.path.parent / member).read_bytes()
            return
        with zipfile.ZipFile(self.path) as archive:
            for member in self.members:
                yield member, archive.read(member)


def _list_part(name: str, path: Path) -> _Part:
    try:
        if path.is_dir():
            files = {file.relative_to(path.parent).as_posix(): file.stat() for file in path.glob("*/*/*.png")}
            stamps = {member: (stat.st_size, stat.st_mtime_ns) for member, stat in files.items()}
        else:
            with zipfile.ZipFile(path) as archive:
                stamps = {info.filename: (info.file_size, info.CRC) for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a whole ({error}); {_CURE}") from error
    pictures = sorted((member.split("/"), member) for member in stamps if _is_picture(name, member))
    if not pictures:
        raise InputError(f"{path} holds no picture named {name}/ALPHABET/characterNN/CCCC_DD.png; {_CURE}")
    return _Part(path, {member: stamps[member] for _, member in pictures})


def _is_picture(part: str, member: str) -> bool:
    path = PurePosixPath(member)
    return len(path.parts) == 4 and path.parts[0] == part and path.suffix == ".png" and path.name[0] != "."


def _decode_all(parts: Sequence[_Part]) -> UInt8[np.ndarray, "images height width"]:
    from rich.console import Console
    from rich.progress import track

    images = np.empty((sum(len(part.members) for part in parts), _IMAGE_SIZE, _IMAGE_SIZE), dtype=np.uint8)
    pictures = ((part.path, picture) for part in parts for picture in _readable(part))
    console = Console(stderr=True)
    bar = track(pictures, "Reading Omniglot", total=len(images), console=console, disable=not sys.stderr.isatty())
    for index, (path, (member, content)) in enumerate(bar):
        try:
            with Image.open(io.BytesIO(content)) as picture:
                small = picture.convert("L").resize((_IMAGE_SIZE, _IMAGE_SIZE), Image.Resampling.LANCZOS)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: {member} is not a readable picture ({error}); {_CURE}") from error
        images[index] = 255 - np.asarray(small)
    return images


def _readable(part: _Part) -> Iterator[tuple[str, bytes]]:
    """The part's contents; damage inside a zip, or a file that cannot be opened, is told as `InputError`."""
    try:
        yield from part.contents()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{part.path} is damaged ({error}); {_CURE}") from error
