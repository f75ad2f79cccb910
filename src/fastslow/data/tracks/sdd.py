"""Road users on a campus, seen from a drone: the Stanford Drone Dataset (Robicquet et al., 2016)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fastslow.config import load_config
from fastslow.data.checks import is_real
from fastslow.data.tracks.base import TrackData, joined
from fastslow.data.tracks.columns import Columns, entries, read_columns, refuse_kinds
from fastslow.data.tracks.rows import TrackRows, as_tracks
from fastslow.errors import InputError, shown, shown_path

#: Frames a second of every video, Hz.
RATE = 30.0
#: The labels, and what they are called here.
KINDS = {
    "Biker": "cyclist", "Bus": "bus", "Car": "car", "Cart": "cart", "Pedestrian": "pedestrian", "Skater": "skater",
}  # fmt: skip
#: The file of scales, beside the scenes.
SCALES = "estimated_scales.yaml"
#: Repair: what is counted.
OUTSIDE = "rows of road users outside the view"
_COLUMNS = ("track", "xmin", "ymin", "xmax", "ymax", "frame", "lost", "occluded", "generated", "label")
_NUMBERS = ("track", "xmin", "ymin", "xmax", "ymax", "frame", "lost")
_VIDEO = re.compile("video([0-9]{1,6})")
#: Bounds: frames of one video, pixels from the corner of a picture, and metres in one pixel.
_MOST_FRAMES, _MOST_PIXELS, _MOST_METRES = 10**7, 1e5, 1.0
_LAYOUT = "SCENE/videoN/annotations.txt (in the data set, it is called annotations)"


def load_sdd(
    folder: str | Path,
    *,
    kinds: Sequence[str] = ("Biker", "Pedestrian"),
    metres_per_pixel: float | Mapping[str, float] | None = None,
) -> TrackData:
    """Reads the tracks of some labels from every video in a folder.

    A position is the centre of the box around a road user. Rows of those outside the view are left out and counted.

    Args:
        folder: holds `SCENE/videoN/annotations.txt` of each video; and, if there is one, `estimated_scales.yaml`, with
            the metres per pixel of each video by scene and video: `bookstore: {video0: {scale: 0.0385}}`, or the number
            itself in place of the inner braces.
        kinds: the labels to read, as the files call them.
        metres_per_pixel: for videos that the file of scales does not have: one for all of them, or by "SCENE/videoN".

    Returns:
        Tracks named "sdd-SCENE-videoN/ID" in recordings "sdd-SCENE-videoN", at 30 Hz: metres from the upper left corner
        of the picture, x to the right and y upward (so y is negative); seconds since the first frame. "Biker" is the
        kind "cyclist", the other labels are kinds in small letters.

    Raises:
        InputError: if a file is missing or damaged, a label is unknown, a video has no scale, or there is no track of
            these labels; the message has the file, and the line where there is one.
    """
    refuse_kinds(kinds, KINDS)
    videos, listed = _find(folder)
    if isinstance(metres_per_pixel, Mapping) and (strange := [name for name in metres_per_pixel if name not in videos]):
        raise InputError(f"got metres_per_pixel of {shown(strange[0])}; there are {shown(list(videos))}")
    scales = {name: _scale(name, listed, Path(folder) / SCALES, metres_per_pixel) for name in videos}
    data = joined(
        [_read_video(name, path, scales[name], kinds) for name, path in videos.items()],
        [shown_path(path) for path in videos.values()],
    )
    if not data.num_tracks:
        raise InputError(f"{shown_path(folder)} has no tracks of {', '.join(kinds)}; choose other kinds")
    return data


def _find(folder: str | Path) -> tuple[dict[str, Path], dict[str, object]]:
    """The annotations of each video, by "SCENE/videoN", and what the file of scales holds."""
    videos = {}
    listed: dict[str, object] = {}
    for scene in entries(folder, _LAYOUT):
        if scene.name == SCALES:
            listed = load_config(scene)
        if not scene.is_dir():
            continue
        numbered = [(int(match[1]), path) for path in entries(scene, _LAYOUT) if (match := _VIDEO.fullmatch(path.name))]
        for _, video in sorted(numbered):
            videos[f"{scene.name}/{video.name}"] = video / "annotations.txt"
    if not videos:
        raise InputError(f"{shown_path(folder)} holds no videos; give a folder that holds {_LAYOUT}")
    return videos, listed


def _scale(name: str, listed: Mapping[str, object], path: Path, given: float | Mapping[str, float] | None) -> float:
    """Metres per pixel of a video."""
    scene, _, video = name.partition("/")
    of_scene = listed.get(scene, {})
    if not isinstance(of_scene, Mapping):
        raise InputError(f"{shown_path(path)} has {shown(of_scene)} of {shown(scene)}; give its videos' scales by name")
    if video in of_scene:
        of_video = of_scene[video]
        scale, where = of_video.get("scale") if isinstance(of_video, Mapping) else of_video, shown_path(path)
    else:
        scale, where = given.get(name) if isinstance(given, Mapping) else given, "metres_per_pixel"
        if scale is None:
            raise InputError(
                f"there is no scale of {shown(name)}; put {SCALES} beside the scenes, or give metres_per_pixel, such "
                f"as {{{name!r}: 0.04}}"
            )
    metres = float(scale) if scale is not None and is_real(scale) else math.nan
    if not 0 < metres <= _MOST_METRES:
        raise InputError(
            f"{where}: got {shown(scale)} of {shown(name)}; give the metres in one pixel, more than 0 and at most "
            f"{_MOST_METRES:g} (not the pixels in one metre)"
        )
    return metres


def _read_video(name: str, path: Path, scale: float, kinds: Sequence[str]) -> TrackData:
    """Reads the tracks of some labels."""
    table = read_columns(path, numbers=_NUMBERS, texts=("label",), delimiter=" ", header=_COLUMNS)
    frames, lost = table.whole("frame", most=_MOST_FRAMES), table.whole("lost", most=1) == 1
    _refuse_boxes(table, lost)
    ids, first, place = np.unique(table.whole("track"), return_index=True, return_inverse=True)
    labels, codes = _labels(table, first, place)
    chosen = [k for k, code in enumerate(codes[first]) if labels[code] in kinds]
    number = np.full(len(ids), -1)
    number[chosen] = np.arange(len(chosen))
    wanted = number[place] >= 0
    inside = wanted & ~lost
    left, top, right, bottom = (table.numbers[side][inside] for side in ("xmin", "ymin", "xmax", "ymax"))
    recording = f"sdd-{name.replace('/', '-')}"
    tracks = as_tracks(
        TrackRows(
            table.name, number[place][inside], frames[inside] / RATE,
            np.column_stack([left + right, -(top + bottom)]) * (scale / 2), table.lines[inside],
            names=[f"{recording}/{ids[k]}" for k in chosen],
            kinds=[KINDS[labels[codes[first[k]]]] for k in chosen],
            recordings=[recording] * len(chosen), rates=[RATE] * len(chosen),
        )
    )  # fmt: skip
    outside = int((wanted & lost).sum())
    return dataclasses.replace(tracks, repairs={**tracks.repairs, OUTSIDE: outside}) if outside else tracks


def _refuse_boxes(table: Columns, lost: np.ndarray) -> None:
    """Refuses boxes that are far from any picture, or inside out."""
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        for side in (low, high):
            far = np.abs(table.numbers[side]) > _MOST_PIXELS
            table.refuse(side, far, f"a place within {_MOST_PIXELS:g} pixels")
        wrong = (table.numbers[high] < table.numbers[low]) & ~lost
        table.refuse(high, wrong, f"a number of at least {low}")


def _labels(
    table: Columns, first: Int64[np.ndarray, " tracks"], place: Int64[np.ndarray, " rows"]
) -> tuple[tuple[str, ...], Int64[np.ndarray, " rows"]]:
    """The labels there are, and which each row has; refuses unknown ones, and tracks of two."""
    labels, codes = table.texts["label"]
    unknown = np.array([label not in KINDS for label in labels])[codes]
    table.refuse("label", unknown, f"one of {', '.join(KINDS)}")
    table.refuse("label", codes != codes[first][place], "one label for all rows of a track")
    return labels, codes
