"""Cyclists and pedestrians at one German intersection: the VRU Trajectory Dataset (TH Aschaffenburg)."""

from __future__ import annotations

import dataclasses
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastslow.data.fetching.locate import find_path
from fastslow.data.tracks.base import TrackData, joined
from fastslow.data.tracks.columns import parse_columns
from fastslow.data.tracks.lines import lines_of
from fastslow.data.tracks.rows import TrackRows, as_tracks
from fastslow.errors import InputError, shown, shown_path, shown_reason

#: Archive, kind and rate, Hz.
_ARCHIVES = (("cyclists.tar.gz", "cyclist", 12.5), ("pedestrians.tar.gz", "pedestrian", 50.0))
#: The one place, which all tracks share; not so their clocks, which begin at 0 in each.
RECORDING = "vru"
#: Repair: what is counted.
REBUILT = "tracks whose stamps were all alike, and are now made of the frame rate"
_HEADER = b",timestamp,x,y"
#: Of one archive, unpacked; the larger one has 10 million bytes and 1068 files.
_MAX_BYTES, _MAX_FILES = 2**25, 2**12
_CURE = "fetch the archive again"
_MISSING = "get both archives of the VRU Trajectory Dataset (TH Aschaffenburg), which fastslow does not fetch"


class _File(NamedTuple):
    """One track's file: its name in the archive, and what it holds."""

    name: str
    content: bytes


def load_vru(data_dir: str | Path | None = None) -> TrackData:
    """Reads both archives.

    The same physical trajectory lies in several of its folders: see `duplicates.physical_groups`.

    Args:
        data_dir: holds `cyclists.tar.gz` and `pedestrians.tar.gz`, itself or in its `vru` sub-folder. `None`: see
            `fastslow.data.fetching.locate.data_folder`.

    Returns:
        Tracks named "cyclists/moving/20" and the like, at 12.5 (cyclists) and 50 Hz; stamps are those of the files,
        which are not even.

    Raises:
        InputError: if an archive is missing or damaged, or a file in it is no such table; the message names it.
    """
    paths = [find_path("vru", (name,), data_dir, cure=_MISSING) for name, _, _ in _ARCHIVES]
    parts = [_load(path, kind, rate) for path, (_, kind, rate) in zip(paths, _ARCHIVES, strict=True)]
    return joined(parts, [shown_path(path) for path in paths])


def holds_vru(folder: Path) -> bool:
    """Whether an archive of these lies in a folder."""
    return any((folder / name).is_file() for name, _, _ in _ARCHIVES)


def _load(archive: Path, kind: str, rate: float) -> TrackData:
    files = sorted(_files(archive))
    tracks = joined(
        [_track(file, f"{shown_path(archive)}: {shown(file.name)}", kind, rate) for file in files],
        [f"{shown_path(archive)}: {shown(file.name)}" for file in files],
    )
    return dataclasses.replace(tracks, one_clock=False)


def _files(archive: Path) -> Iterator[_File]:
    """Each table in the archive; no more is unpacked than one may hold, and all of it before the first is read."""
    try:
        with gzip.open(archive) as file:  # to its end, where the checksum stands
            unpacked = file.read(_MAX_BYTES + 1)
        if len(unpacked) > _MAX_BYTES:
            raise InputError(f"{shown_path(archive)} unpacks to more than {_MAX_BYTES} bytes; {_CURE}")
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
            for number, member in enumerate(tar):
                if number == _MAX_FILES:
                    raise InputError(f"{shown_path(archive)} holds more than {_MAX_FILES} files; {_CURE}")
                if member.issparse():
                    raise InputError(f"{shown_path(archive)} holds {shown(member.name)}, a file with holes; {_CURE}")
                content = tar.extractfile(member) if member.isfile() and member.name.endswith(".csv") else None
                if content is not None:
                    yield _File(member.name.removeprefix("./"), content.read())
            rest = unpacked[tar.offset :]  # of zeros, unless it ended at something that is no header
            if not rest or rest.strip(b"\0"):
                raise InputError(f"{shown_path(archive)} has no end, or something that is no file; {_CURE}")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InputError(f"{shown_path(archive)} cannot be unpacked ({shown_reason(error)}); {_CURE}") from error


def _track(file: _File, name: str, kind: str, rate: float) -> TrackData:
    """The one track of a file, if it has two samples."""
    lines = lines_of(name, file.content) if file.content else None
    if lines is None or ((header := lines.line(0)) == _HEADER and len(lines.numbers) == 1):
        return joined([])
    if header != _HEADER:
        raise InputError(f"{name} begins with {shown(header.decode())}; {_HEADER.decode()!r} was expected; {_CURE}")
    table = parse_columns(lines, numbers=("timestamp", "x", "y", ""))
    times, x, y = (table.numbers[column] for column in ("timestamp", "x", "y"))
    rebuilt = len(times) > 1 and bool((times == times[0]).all())
    if rebuilt:
        times = np.arange(len(times)) / rate
    tracks = as_tracks(
        TrackRows(
            name, np.zeros(len(times), np.int64), times, np.column_stack([x, y]), table.lines,
            [file.name.removesuffix(".csv")], [kind], [RECORDING], [rate],
        )
    )  # fmt: skip
    return dataclasses.replace(tracks, repairs={**tracks.repairs, REBUILT: 1}) if rebuilt else tracks
