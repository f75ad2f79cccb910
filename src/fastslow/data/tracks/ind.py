"""Road users at four German intersections, seen from a drone: the inD data set (Bock et al., 2019)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from fastslow.data.tracks.base import TrackData, joined
from fastslow.data.tracks.columns import Columns, entries, read_columns, refuse_kinds
from fastslow.data.tracks.rows import TrackRows, as_tracks
from fastslow.errors import InputError, shown_path

#: What a recording is stored as: NN_tracks.csv and so on.
PARTS = ("tracks", "tracksMeta", "recordingMeta")
#: Classes of this data set and of those that share its format.
CLASSES = {"animal", "bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck", "truck_bus", "van"}
#: What classes are called here, where it is something else.
_KINDS = {"bicycle": "cyclist"}
#: Repair: what is counted.
MISSING = "rows that a track should have, but has not"
_NAME = re.compile(rf"([0-9]{{1,6}})_({'|'.join(PARTS)})\.csv")
#: Bounds: samples a second, frames of one recording, and metres from its origin.
_RATES, _MOST_FRAMES, _MOST_METRES = (0.1, 1000.0), 10**7, 1e8


class _Recording(NamedTuple):
    """What is said of a recording and of its tracks, which `ids` has in rising order."""

    number: int
    tracks: Path
    list_name: str
    rate: float
    ids: Int64[np.ndarray, " tracks"]
    lengths: Int64[np.ndarray, " tracks"]
    classes: list[str]


def load_ind(folder: str | Path, *, kinds: Sequence[str] = ("bicycle", "pedestrian")) -> TrackData:
    """Reads the tracks of some classes from every recording in a folder.

    Args:
        folder: holds `NN_tracks.csv`, `NN_tracksMeta.csv` and `NN_recordingMeta.csv` of each recording NN.
        kinds: the classes to read, as the files call them.

    Returns:
        Tracks named "ind-NN/ID" in recordings "ind-NN": metres from the recording's origin, x to the east and y to the
        north; seconds since its first frame; at the rate that it states. The class "bicycle" is the kind "cyclist".

    Raises:
        InputError: if a file is missing, damaged or contradicts another, a class is unknown, or there is no track of
            these classes; the message has the file, and the line where there is one.
    """
    recordings = [_read_lists(number, paths, kinds) for number, paths in _find(folder).items()]
    found = {name for recording in recordings for name in recording.classes}
    refuse_kinds(kinds, CLASSES | found)
    data = joined(
        [_read_tracks(recording, kinds) for recording in recordings],
        [shown_path(recording.tracks) for recording in recordings],
    )
    if not data.num_tracks:
        raise InputError(f"{shown_path(folder)} has no tracks of {', '.join(kinds)}; it has {', '.join(sorted(found))}")
    return data


def _find(folder: str | Path) -> dict[int, dict[str, Path]]:
    """The three files of each recording, by its number."""
    expected = "NN_tracks.csv, NN_tracksMeta.csv and NN_recordingMeta.csv (in the data set, it is called data)"
    found: dict[int, dict[str, Path]] = {}
    for path in entries(folder, expected):
        if match := _NAME.fullmatch(path.name):
            paths = found.setdefault(int(match[1]), {})
            if match[2] in paths:
                raise InputError(
                    f"{shown_path(path)} and {paths[match[2]].name} are of two recordings with the same number; "
                    "give one of them another, or remove it"
                )
            paths[match[2]] = path
    if not found:
        raise InputError(f"{shown_path(folder)} holds no recordings; give a folder that holds {expected}")
    for paths in found.values():
        there = next(iter(paths.values()))
        for part in PARTS:
            if part not in paths:
                missing = there.with_name(f"{there.name.partition('_')[0]}_{part}.csv")
                raise InputError(
                    f"there is no file {shown_path(missing)}, though there is {there.name}; copy it there as well, or "
                    "remove the other files of that number"
                )
    return dict(sorted(found.items()))


def _read_lists(number: int, paths: dict[str, Path], kinds: Sequence[str]) -> _Recording:
    """Reads what is said of a recording and of its tracks."""
    about = read_columns(paths["recordingMeta"], numbers=("frameRate", "recordingId"), optional=("recordingId",))
    _refuse_other_recording(about, number)
    if len(about.lines) > 1:
        raise InputError(f"{about.name}, line {about.lines[1]}: a second row; one for the one recording was expected")
    rate = about.numbers["frameRate"]
    slow, fast = _RATES
    about.refuse("frameRate", (rate < slow) | (rate > fast), f"a number of frames a second from {slow} to {fast}")
    listed = read_columns(
        paths["tracksMeta"],
        numbers=("trackId", "numFrames", "recordingId"), texts=("class",), optional=("recordingId", "numFrames"),
    )  # fmt: skip
    _refuse_other_recording(listed, number)
    ids = listed.whole("trackId")
    order = np.argsort(ids, kind="stable")
    again = np.zeros(len(ids), bool)
    again[order[1:]] = np.diff(ids[order]) == 0
    listed.refuse("trackId", again, "a track that no line before has")
    names, codes = listed.texts["class"]
    unknown = np.array([name not in CLASSES and name not in kinds for name in names])
    listed.refuse("class", unknown[codes], f"one of {', '.join(sorted(CLASSES))}, or of those asked for by kinds,")
    lengths = listed.whole("numFrames", most=_MOST_FRAMES) if "numFrames" in listed.numbers else np.zeros_like(ids)
    classes = [names[code] for code in codes[order]]
    return _Recording(number, paths["tracks"], listed.name, float(rate[0]), ids[order], lengths[order], classes)


def _refuse_other_recording(table: Columns, number: int) -> None:
    if "recordingId" in table.numbers:
        table.refuse("recordingId", table.numbers["recordingId"] != number, f"{number}, as in the name of the file,")


def _read_tracks(recording: _Recording, kinds: Sequence[str]) -> TrackData:
    """Reads the tracks of some classes."""
    numbers = ("trackId", "frame", "xCenter", "yCenter", "recordingId")
    table = read_columns(recording.tracks, numbers=numbers, optional=("recordingId",))
    _refuse_other_recording(table, recording.number)
    ids, frames = table.whole("trackId"), table.whole("frame", most=_MOST_FRAMES)
    for axis in ("xCenter", "yCenter"):
        table.refuse(axis, np.abs(table.numbers[axis]) > _MOST_METRES, f"a place within {_MOST_METRES:g} m")
    place = np.searchsorted(recording.ids, ids).clip(max=len(recording.ids) - 1)
    table.refuse("trackId", recording.ids[place] != ids, f"a track that {recording.list_name} lists")
    chosen = [k for k, name in enumerate(recording.classes) if name in kinds]
    number = np.full(len(recording.ids), -1)
    number[chosen] = np.arange(len(chosen))
    inside = number[place] >= 0
    track, frames = number[place][inside], frames[inside]
    missing = _count_missing(recording, table.name, chosen, track, frames)
    name = f"ind-{recording.number:02d}"
    tracks = as_tracks(
        TrackRows(
            table.name, track, frames / recording.rate,
            np.column_stack([table.numbers["xCenter"][inside], table.numbers["yCenter"][inside]]), table.lines[inside],
            names=[f"{name}/{recording.ids[k]}" for k in chosen],
            kinds=[_KINDS.get(recording.classes[k], recording.classes[k]) for k in chosen],
            recordings=[name] * len(chosen), rates=[recording.rate] * len(chosen),
        )
    )  # fmt: skip
    return dataclasses.replace(tracks, repairs={**tracks.repairs, MISSING: missing}) if missing else tracks


def _count_missing(
    recording: _Recording,
    name: str,
    chosen: list[int],
    track: Int64[np.ndarray, " rows"],
    frames: Int64[np.ndarray, " rows"],
) -> int:
    """How many rows fewer there are than the list of tracks says; refuses a track that has none at all."""
    moments = np.sort(track * (_MOST_FRAMES + 1) + frames)
    fresh = np.diff(moments, prepend=-1) > 0
    counts = np.bincount(moments[fresh] // (_MOST_FRAMES + 1), minlength=len(chosen))
    if len(none := np.flatnonzero(counts == 0)):
        raise InputError(
            f"{name} has no rows of track {recording.ids[chosen[none[0]]]}, which {recording.list_name} lists; the "
            "file is cut short: copy it again, or remove the track from the list"
        )
    return int((recording.lengths[chosen] - counts).clip(min=0).sum())
