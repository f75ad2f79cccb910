"""Downloads public data sets: mirrors in turn, resumed where cut off, checked before anything reads them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.claims import Claim, InUseError
from fastslow.data.fetching.download import checksum_mismatch, complete_part
from fastslow.data.fetching.locate import search_folders
from fastslow.errors import InputError, shown_reason
from fastslow.files import in_words


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes:
        mirrors: addresses of folders that hold the files, tried in this order; http or https.
        sizes: bytes of each file; no more than that is downloaded.
        checksums: for each file its published hex digests by algorithm; all of them must agree.
    """

    mirrors: tuple[str, ...]
    sizes: Mapping[str, int]
    checksums: Mapping[str, Mapping[str, str]]


def fetch_files(
    name: str, source: Source, data_dir: str | Path | None = None, *, mirrors: Sequence[str] | None = None
) -> tuple[Path, ...]:
    """Downloads the files of a data set that are not yet here.

    A file goes to `name` inside the data folder, first as `FILE.part`, which a later call resumes; it gets
    its name when its checksums agree. A file that is here already with the right checksums is left as it is;
    one with others is renamed to `FILE.before`, once the right one has arrived.

    Args:
        name: the data set, as its folder is called.
        source: what there is to download.
        data_dir: the data folder; `None`: see `fastslow.data.fetching.locate.data_folder`.
        mirrors: addresses to try instead of the public ones, in this order.

    Returns:
        The path of each file.

    Raises:
        InputError: if the folder cannot be written to, another process is downloading there, or no mirror gave a file
            with the right checksums; the message lists what was tried and where to put the file by hand.
    """
    bases = source.mirrors if mirrors is None else mirrors
    folders = search_folders(name, data_dir)
    paths = {}
    for file_name in source.checksums:
        here = [path for folder in folders if (path := folder / file_name).is_file()]
        paths[file_name] = here[0] if here else folders[0] / file_name
    if all(_is_right(path, source.checksums[file_name]) for file_name, path in paths.items()):
        return tuple(paths.values())
    with _claim(folders[0]):  # two that append to one part would spoil it
        for file_name, path in paths.items():
            if not _is_right(path, source.checksums[file_name]):
                urls = [f"{base.rstrip('/')}/{file_name}" for base in bases]
                _fetch_file(urls, path, source.checksums[file_name], source.sizes[file_name])
    return tuple(paths.values())


def _is_right(path: Path, checksums: Mapping[str, str]) -> bool:
    return path.is_file() and checksum_mismatch(path, checksums) is None


def _claim(folder: Path) -> Claim:
    """The right to download into a folder; it stays there, for whoever puts a file in it by hand."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Claim(folder)
    except InUseError:
        raise
    except (OSError, InputError) as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot write to {folder} ({shown_reason(error)}); choose another folder with --data-dir or FASTSLOW_DATA"
    )


def _set_aside(path: Path) -> None:
    """Renames a file that is here with other content: whoever put it there may want it."""
    if path.exists():
        names = (path.with_name(f"{path.name}.before{number}") for number in ("", *range(2, 1000)))
        path.rename(next(name for name in names if not name.exists()))


def _fetch_file(urls: Sequence[str], target: Path, checksums: Mapping[str, str], num_bytes: int) -> None:
    """Downloads one file from the first address that gives the right one."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.open("ab").close()
    except OSError as error:
        raise _unwritable(target.parent, error) from error
    failures = []
    for url in urls:
        reason = complete_part(url, part, checksums, num_bytes)
        if reason is None:
            with in_words(target):
                with part.open("rb+") as file:
                    os.fsync(file.fileno())  # or a power cut could leave the name without all of the bytes
                _set_aside(target)
                part.replace(target)
            return
        failures.append(f"{url} ({reason})")
    if part.exists() and not part.stat().st_size:
        part.unlink()
    raise InputError(
        f"{target.name} could not be fetched from {' nor from '.join(failures)}; try again (what has arrived "
        f"is kept), or download it elsewhere from one of these addresses and put it at {target}"
    )
