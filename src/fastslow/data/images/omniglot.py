"""Omniglot: 1623 handwritten characters, 20 drawings each (Lake, Salakhutdinov, Tenenbaum, 2015)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from fastslow.data.base import ClassImages
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.fetching.cache import load_cached, store_cached
from fastslow.data.fetching.fetch import Source
from fastslow.data.fetching.locate import find_path
from fastslow.data.images.resize import refuse_too_large
from fastslow.data.splits import Split, make_split
from fastslow.errors import InputError, shown, shown_reason

FILES = Source(
    mirrors=(
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
        "https://github.com/brendenlake/omniglot/raw/master/python/",
    ),
    sizes={"images_background.zip": 9_464_212, "images_evaluation.zip": 6_462_886},
    checksums={
        "images_background.zip": {
            "md5": "68d2efa1b9178cc56df9314c21c6e718",
            "sha256": "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
        },
        "images_evaluation.zip": {
            "md5": "6b91aef0f799c5bb55b94e3f2daec811",
            "sha256": "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
        },
    },
)
PARTS = ("images_background", "images_evaluation")
VALIDATION_ALPHABETS = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
_NUM_CHARACTERS, _NUM_VINYALS_TRAINING, _DRAWINGS = 1623, 1200, 20
_NATIVE_SIZE = 105
_RECIPE = "LANCZOS, 255 - value; 2"  # part of the cache's name: change it when decoding changes
_CURE = "fetch it again with `fastslow data fetch omniglot`"
# Omniglot's zips are under 10 MB and its pictures under 1 KB: what is far from it is not read into memory.
_MAX_ZIP_BYTES, _MAX_PICTURE_BYTES = 2**25, 2**16
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip
_PICTURE_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, OverflowError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


def load_omniglot(data_dir: str | Path | None = None, image_size: int = 28, *, complete: bool = True) -> ClassImages:
    """Reads all characters, from the two official zips or from the folders they unpack to.

    The decoded images are kept in the cache folder (`fastslow.data.fetching.locate.cache_folder`) under a name made
    from sizes and checksums of the sources, so that a changed source is read afresh.

    Args:
        data_dir: holds `images_background.zip` and `images_evaluation.zip`, or folders of these names, itself
            or in its `omniglot` sub-folder. `None`: see `fastslow.data.fetching.locate.data_folder`.
        image_size: edge of the images, pixels; 1 to 105, the drawings' own.
        complete: whether to refuse anything but 1623 characters of 20 drawings. A split's checksum is over the names
            of the characters: with a drawing missing it would vouch for other data.

    Returns:
        Images (num_images, image_size, image_size), ink 255; classes named "images_background/ALPHABET/characterNN",
        background before evaluation, then sorted by alphabet and character.

    Raises:
        InputError: if a part is missing, incomplete, damaged or not Omniglot; the message names the file and the cure.
    """
    image_size = refuse_unless_whole("image_size", image_size, 1, _NATIVE_SIZE)
    parts = [_list_part(part, find_path("omniglot", (f"{part}.zip", f"{part}/"), data_dir)) for part in PARTS]
    classes = [str(PurePosixPath(member).parent) for part in parts for member in part.members]
    if complete:
        _refuse_incomplete(classes)
    refuse_too_large(len(classes), image_size)
    class_names = tuple(dict.fromkeys(classes))
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = torch.tensor([label_of[name] for name in classes], dtype=torch.int64, device="cpu")

    stamps = [image_size, _RECIPE, *(part.members for part in parts)]
    cache_name = f"omniglot-{hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:32]}.pixels"
    images = load_cached(cache_name, (len(labels), image_size, image_size))
    if images is None:
        images = _decode_all(parts, image_size)
        store_cached(cache_name, images)
    return ClassImages(torch.from_numpy(images), labels, class_names)


def _refuse_incomplete(classes: Sequence[str]) -> None:
    """Refuses all but the whole data set, given the class of each picture; names the first class that differs."""
    counts = Counter(classes)
    wrong = [name for name, count in counts.items() if count != _DRAWINGS]
    if wrong:
        raise InputError(
            f"Omniglot's {wrong[0]} has {counts[wrong[0]]} pictures, {_DRAWINGS} were expected (and so in "
            f"{len(wrong)} of {len(counts)} characters); {_CURE}"
        )
    if len(counts) != _NUM_CHARACTERS:
        raise InputError(f"got {len(counts)} Omniglot characters, {_NUM_CHARACTERS} were expected; {_CURE}")


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
        raise InputError(f"there is no Omniglot split {shown(split)}; choose vinyals or lake")
    paths = [name.split("/") for name in class_names]
    if strange := [name for name, path in zip(class_names, paths, strict=True) if path[0] not in PARTS]:
        raise InputError(
            f"class {shown(strange[0])} is not from Omniglot, whose classes are named like "
            "images_background/Greek/character01; use random_split for other data"
        )
    if split == "vinyals" and len(class_names) != _NUM_CHARACTERS:
        raise InputError(
            f"split vinyals needs all {_NUM_CHARACTERS} Omniglot characters, got {len(class_names)} classes; "
            f"split before adding rotations, and if the data is incomplete {_CURE}"
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
        stamps = _list_folder(path) if path.is_dir() else _list_zip(path)
    except _ZIP_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as a whole ({shown_reason(error)}); {_CURE}") from error
    pictures = sorted((member.split("/"), member) for member in stamps if _is_picture(name, member))
    if not pictures:
        raise InputError(f"{path} holds no picture named {name}/ALPHABET/characterNN/CCCC_DD.png; {_CURE}")
    for _, member in pictures:
        if stamps[member][0] > _MAX_PICTURE_BYTES:
            raise InputError(f"{path}: {member} has {stamps[member][0]} bytes, over {_MAX_PICTURE_BYTES}; {_CURE}")
    return _Part(path, {member: stamps[member] for _, member in pictures})


def _list_folder(path: Path) -> dict[str, tuple[int, int]]:
    files = {file.relative_to(path.parent).as_posix(): file.stat() for file in path.glob("*/*/*.png") if file.is_file()}
    return {member: (stat.st_size, stat.st_mtime_ns) for member, stat in files.items()}


def _list_zip(path: Path) -> dict[str, tuple[int, int]]:
    if path.stat().st_size > _MAX_ZIP_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes, over {_MAX_ZIP_BYTES}; {_CURE}")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if strange := [info for info in members if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]:
        raise InputError(f"{path}: {strange[0].filename} is packed in a way that Omniglot's zips are not; {_CURE}")
    return {info.filename: (info.file_size, info.CRC) for info in members}


def _is_picture(part: str, member: str) -> bool:
    path = PurePosixPath(member)
    return len(path.parts) == 4 and path.parts[0] == part and path.suffix == ".png" and path.name[0] != "."


def _decode_all(parts: Sequence[_Part], size: int) -> UInt8[np.ndarray, "images height width"]:
    from rich.console import Console
    from rich.progress import track

    images = np.empty((sum(len(part.members) for part in parts), size, size), dtype=np.uint8)
    pictures = ((part.path, picture) for part in parts for picture in _readable(part))
    console = Console(stderr=True)
    bar = track(pictures, "Reading Omniglot", total=len(images), console=console, disable=not sys.stderr.isatty())
    for index, (path, (member, content)) in enumerate(bar):
        try:
            images[index] = _decode(content, size)
        except _PICTURE_ERRORS as error:
            raise InputError(f"{path}: {member} is not a readable picture ({shown_reason(error)}); {_CURE}") from error
    return images


def _decode(content: bytes, size: int) -> UInt8[np.ndarray, "height width"]:
    """One picture, ink 255.

    Raises:
        ValueError: if it is not 105 x 105 pixels; found before they are decoded. Else see `_PICTURE_ERRORS`.
    """
    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        if picture.size != (_NATIVE_SIZE, _NATIVE_SIZE):
            width, height = picture.size
            raise ValueError(f"{width} x {height} pixels; {_NATIVE_SIZE} x {_NATIVE_SIZE} were expected")
        return 255 - np.asarray(picture.convert("L").resize((size, size), Image.Resampling.LANCZOS))


def _readable(part: _Part) -> Iterator[tuple[str, bytes]]:
    """The part's contents; damage inside a zip, or a file that cannot be opened, is told as `InputError`."""
    try:
        yield from part.contents()
    except _ZIP_ERRORS as error:
        raise InputError(f"{part.path} is damaged ({shown_reason(error)}); {_CURE}") from error
