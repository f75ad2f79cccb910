"""Tracks in a table of one's own: a text file with a line a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.checks import refuse_unless_positive
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.columns import DELIMITERS, Columns, parse_columns
from fastslow.data.tracks.lines import Lines, read_lines
from fastslow.data.tracks.rows import TrackRows, as_tracks
from fastslow.errors import InputError, shown

#: Names that a column may have, the usual one first; capital letters make no difference.
NAMES = {
    "track": ("track", "track_id", "trackid", "id"), "t": ("t", "time", "timestamp", "seconds"),
    "frame": ("frame", "frame_id"), "x": ("x", "xcenter", "x_m"), "y": ("y", "ycenter", "y_m"),
    "kind": ("kind", "class", "label", "type"), "recording": ("recording", "recording_id", "recordingid", "scene"),
}  # fmt: skip
#: Kind and recording where the table has no such column.
UNKNOWN, ONE = "unknown", "table"
#: What of the first line is looked at, bytes.
_HEADER_BYTES = 2**16


def load_table(path: str | Path, *, rate: Any = None, metres: Any = 1.0) -> TrackData:  # noqa: ANN401 - from users
    """Reads tracks from a text file whose first line names its columns, see `NAMES`.

    Columns are parted by commas, semicolons, tabs, single spaces or bars. A table has track, x and y, and t (seconds)
    or frame; kind and recording, if it has them. Tracks of different recordings are different ones, whatever they are
    called.

    Args:
        path: the file, in UTF-8.
        rate: frames a second, Hz: needed where time is given in frames. That of each track is taken from its steps: not
            every frame need have a line.
        metres: that one unit of x and y is, such as 0.01 for centimetres.

    Returns:
        Tracks named "RECORDING/TRACK".

    Raises:
        InputError: if the file is missing, damaged or has no such columns; the message has the file and the line.
    """
    for name, value in {"metres": metres, "rate": 1.0 if rate is None else rate}.items():
        refuse_unless_positive(name, value)
    lines = read_lines(path)
    found, delimiter = _header(lines)
    numbers = [found[name] for name in ("t", "frame", "x", "y") if name in found]
    texts = [found[name] for name in ("track", "kind", "recording") if name in found]
    columns = parse_columns(lines, numbers=numbers, texts=texts, delimiter=delimiter)
    del lines  # most of what memory holds so far
    times = _times(columns, found, None if rate is None else float(rate))
    recording, recordings = _codes(columns, found, "recording", ONE)
    kind, kinds = _codes(columns, found, "kind", UNKNOWN)
    track, ids = _codes(columns, found, "track", "")
    both, number = np.unique(recording * len(ids) + track, return_inverse=True)
    _refuse_mixed(columns, found, number, kind)
    first = np.unique(number, return_index=True)[1]
    rates = _rates(number, times, len(both))
    with np.errstate(over="ignore"):  # what is beyond all measure is refused below, with its line
        places = np.column_stack([columns.numbers[found["x"]], columns.numbers[found["y"]]]) * float(metres)
    rows = TrackRows(
        columns.name, number.astype(np.int64), times, places, columns.lines,
        [f"{recordings[key // len(ids)]}/{ids[key % len(ids)]}" for key in both.tolist()],
        [kinds[code] for code in kind[first].tolist()], [recordings[key // len(ids)] for key in both.tolist()], rates,
    )  # fmt: skip
    tracks = as_tracks(rows)
    if not tracks.num_tracks:
        raise InputError(f"{columns.name} has no track of two samples; give one line a sample")
    return tracks


def _header(lines: Lines) -> tuple[dict[str, str], str]:
    """The file's own name of each column that it has, and what columns are parted by."""
    line = lines.line(0)[:_HEADER_BYTES].decode("utf-8", "replace")
    choices = {delimiter: [part.strip().strip('"') for part in line.split(delimiter)] for delimiter in DELIMITERS}
    delimiter, names = max(choices.items(), key=lambda choice: len(_known(choice[1])))
    found = _known(names)
    missing = [name for name in ("track", "x", "y") if name not in found]
    missing += [] if {"t", "frame"} & set(found) else ["t or frame"]
    if missing:
        raise InputError(
            f"{lines.name} begins with {shown(line)}; a first line was expected that names the columns track, t "
            f"or frame, x and y, but there is no {', no '.join(missing)}"
        )
    return found, delimiter


def _known(names: list[str]) -> dict[str, str]:
    """Which columns are there, under which names."""
    lower = {name.lower(): name for name in reversed(names)}
    return {
        column: next(lower[alias] for alias in aliases if alias in lower)
        for column, aliases in NAMES.items()
        if any(alias in lower for alias in aliases)
    }


def _times(columns: Columns, found: dict[str, str], rate: float | None) -> Float64[np.ndarray, " rows"]:
    """Seconds."""
    if "t" in found:
        if rate is not None:
            raise InputError(
                f"got {rate:g} frames a second for {columns.name}, whose column {found['t']} is in seconds; leave them "
                "out, or call it frame if it counts frames"
            )
        return columns.numbers[found["t"]]
    if rate is None:
        raise InputError(
            f"{columns.name} counts time in frames; give rate, frames a second (on the command line --frame-rate)"
        )
    with np.errstate(over="ignore"):
        return columns.numbers[found["frame"]] / rate


def _codes(
    columns: Columns, found: dict[str, str], column: str, missing: str
) -> tuple[Int64[np.ndarray, " rows"], tuple[str, ...]]:
    if column not in found:
        return np.zeros(len(columns.lines), np.int64), (missing,)
    return columns.texts[found[column]].codes, columns.texts[found[column]].values


def _refuse_mixed(columns: Columns, found: dict[str, str], number: np.ndarray, kind: np.ndarray) -> None:
    """Refuses a track of two kinds: two road users under one name."""
    if "kind" in found and len(number):
        first = kind[np.unique(number, return_index=True)[1]]
        columns.refuse(found["kind"], kind != first[number], "one kind for each track")


def _rates(number: np.ndarray, times: np.ndarray, count: int) -> list[float]:
    """One over the middle step of each track; 1 where there is no step."""
    order = np.lexsort((times, number))
    steps = np.diff(times[order])
    inside = (np.diff(number[order]) == 0) & (steps > 0)
    owner = number[order][1:][inside]
    by_owner = np.lexsort((steps[inside], owner))
    sorted_steps, owners = steps[inside][by_owner], owner[by_owner]
    starts = np.searchsorted(owners, np.arange(count + 1))
    first, end = starts[:-1], starts[1:]
    rates = np.ones(count)
    with np.errstate(over="ignore"):
        rates[first < end] = 1 / sorted_steps[((first + end) // 2)[first < end]]
    rates_list: list[float] = rates.tolist()
    return rates_list
