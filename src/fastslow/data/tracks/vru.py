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
from fastslow.data.tracks.rows import TrackRows, as_tracks
from fastslow.errors import InputError, shown, shown_path, shown_reason

#: Archive, kind and rate, Hz.
_ARCHIVES = (("cyclists.tar.gz", "cyclist", 12.5), ("pedestrians.tar.gz", "pedestrian", 50.0))
#: The one place, which all tracks share; not so their clocks, which begin at 0 in each.
RECORDING = "vru"
#: Repair: what is counted.
REBUILT = "tracks whose stamps were all alike, and are now made of the frame rate"
_HEADER = ",timestamp,x,y"
#: Of one archive, unpacked; the larger one has 10 million.
_MAX_BYTES = 2**27
_CURE = "fetch the archive again"


class _File(NamedTuple):
    """One track's file: its name in the archive, and its text."""

    name: str
    text: str


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
    return joined([_load(find_path("vru", (name,), data_dir), kind, rate) for name, kind, rate in _ARCHIVES])


def _load(archive: Path, kind: str, rate: float) -> TrackData:
    files = sorted(_files(archive))
    tables = [_table(file, archive) for file in files]
    lengths = [len(table) for table in tables]
    rebuilt = 0
    for table in tables:
        if len(table) > 1 and (table[:, 1] == table[0, 1]).all():
            table[:, 1] = np.arange(len(table)) / rate
            rebuilt += 1
    rows = np.concatenate([np.empty((0, 4)), *tables])
    names = [file.name.removesuffix(".csv") for file in files]
    number = np.repeat(np.arange(len(files)), lengths)
    lines = np.concatenate([np.empty(0, np.int64), *(np.arange(length) + 2 for length in lengths)])
    recordings, rates = [RECORDING] * len(names), [rate] * len(names)
    made = TrackRows(
        shown_path(archive), number, rows[:, 1], rows[:, 2:], lines, names, [kind] * len(names), recordings, rates
    )
    tracks = as_tracks(made)
    repairs = {**tracks.repairs, **({REBUILT: rebuilt} if rebuilt else {})}
    return dataclasses.replace(tracks, repairs=repairs, one_clock=False)


def _files(archive: Path) -> Iterator[_File]:
    """Each table in the archive; no more is unpacked than one may hold, and all of it before the first is read."""
    try:
        with gzip.open(archive) as file:  # to its end, where the checksum stands
            unpacked = file.read(_MAX_BYTES + 1)
        if len(unpacked) > _MAX_BYTES:
            raise InputError(f"{shown_path(archive)} unpacks to more than {_MAX_BYTES} bytes; {_CURE}")
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
            for member in tar:
                if member.issparse():
                    raise InputError(f"{shown_path(archive)} holds {shown(member.name)}, a file with holes; {_CURE}")
                content = tar.extractfile(member) if member.isfile() and member.name.endswith(".csv") else None
                if content is not None:
                    yield _File(member.name.removeprefix("./"), content.read().decode("utf-8"))
    except (OSError, EOFError, zlib.error, tarfile.TarError, UnicodeDecodeError) as error:
        raise InputError(f"{shown_path(archive)} cannot be unpacked ({shown_reason(error)}); {_CURE}") from error


def _table(file: _File, archive: Path) -> np.ndarray:
    """Columns index, stamp, x and y."""
    where = f"{shown_path(archive)}: {shown(file.name)}"
    lines = file.text.splitlines()
    if not lines:
        return np.empty((0, 4))
    if lines[0] != _HEADER:
        raise InputError(f"{where} begins with {shown(lines[0])}; {_HEADER!r} was expected; {_CURE}")
    try:
        rows = [[float(value) for value in line.split(",")] for line in lines[1:]]
        return np.array([[index, stamp, x, y] for index, stamp, x, y in rows]).reshape(-1, 4)
    except ValueError as error:
        raise InputError(f"{where} has a line that is not four numbers ({shown_reason(error)}); {_CURE}") from error
