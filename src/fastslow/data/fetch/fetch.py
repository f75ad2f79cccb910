"""Downloads public data sets: mirrors in turn, resumed where cut off, checked before anything reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.data.fetch.download import checksum_mismatch, complete_part
from fastslow.data.fetch.locate import search_folders
from fastslow.errors import InputError


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        mirrors: addresses of folders that hold the files, tried in this order.
        checksums: for each file its published hex digests by algorithm; all of them must agree.
    """

    mirrors: tuple[str, ...]
    checksums: Mapping[str, Mapping[str, str]]


SOURCES: dict[str, Source] = {
    "omniglot": Source(
        mirrors=(
            "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
            "https://github.com/brendenlake/omniglot/raw/master/python/",
        ),
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
    ),
    "mnist": Source(
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
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
    ),
}


def fetch(name: str, data_dir: Path | None = None, *, mirrors: Sequence[str] | None = None) -> tuple[Path, ...]:
    """Downloads the files of a data set that are not yet here.

    A file goes to `name` inside the data folder, first as `FILE.part`, which a later call resumes; it gets
    its name when its checksums agree. A file that is here already with the right checksums is left as it is;
    one with others is replaced, once the right one has arrived.

    Args:
        name: "omniglot" or "mnist".
        data_dir: the data folder; `None`: see `fastslow.data.fetch.locate.data_folder`.
        mirrors: addresses to try instead of the public ones, in this order.

    Returns:
        The path of each file.

    Raises:
        InputError: if there is no such data set, the folder cannot be written to, or no mirror gave a file
            with the right checksums; the message lists what was tried and where to put the file by hand.
    """
    if name not in SOURCES:
        raise InputError(f"there is no data set {name!r} to fetch; choose from {', '.join(sorted(SOURCES))}")
    source = SOURCES[name]
    bases = source.mirrors if mirrors is None else mirrors
    paths = []
    for file_name, checksums in source.checksums.items():
        here = [path for folder in search_folders(name, data_dir) if (path := folder / file_name).is_file()]
        target = here[0] if here else search_folders(name, data_dir)[0] / file_name
        if not here or checksum_mismatch(target, checksums):
            _fetch_file([f"{base.rstrip('/')}/{file_name}" for base in bases], target, checksums)
        paths.append(target)
    return tuple(paths)


def _fetch_file(urls: Sequence[str], target: Path, checksums: Mapping[str, str]) -> None:
    """Downloads one file from the first address that gives the right one."""
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.open("ab").close()
    except OSError as error:
        raise InputError(
            f"cannot write to {target.parent} ({error}); choose another folder with --data-dir or FASTSLOW_DATA"
        ) from error
    failures = []
    for url in urls:
        reason = complete_part(url, part, checksums)
        if reason is None:
            part.replace(target)
            return
        failures.append(f"{url} ({reason})")
    if part.exists() and not part.stat().st_size:
        part.unlink()
    raise InputError(
        f"{target.name} could not be fetched from {' nor from '.join(failures)}; try again (what has arrived "
        f"is kept), or download it elsewhere from one of these addresses and put it at {target}"
    )
