"""What a page draws and a result does not hold: forecasts of a few tracks and what a memory has learned of a place.

The run of a cell leaves them in the cell's own folder, which is in nobody's repository: some tracks may not be passed
on. A page shows what it finds there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.core.motion import motion_of
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import Windows, resampled
from fastslow.errors import InputError, shown_path
from fastslow.estimators.forecaster import FastSlowForecaster
from fastslow.files import read_json, to_json, write_text

#: In a cell's folder.
FILE = "drawn.json"
#: Samples from one point of a line to the next, and tracks that are drawn.
EVERY, TRACKS = 5, 6
#: Axes of what is written, by name.
FORECASTS = {
    "seen": "tracks samples axes", "future": "tracks points axes", "forecasts": "steps tracks points axes",
    "off": "steps tracks",
}  # fmt: skip
LEARNED = {
    "places": "slots axes", "errors": "slots axes", "counts": "slots", "headings": "slots axes",
    "path_points": "points axes", "path": "points",
}  # fmt: skip
#: Digits after the point: millimetres; and what is no number of them any more.
_DIGITS, _LARGEST = 3, 1e9


class Notes:
    """Forecasts of a few windows after each step of learning.

    Args:
        rate: of samples, Hz.
        tracks: of how many windows.
    """

    def __init__(self, rate: float, tracks: int = TRACKS) -> None:
        self._rate, self._tracks = rate, tracks
        self._rows: np.ndarray | None = None
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, windows: Windows, forecast: Callable[[np.ndarray], np.ndarray]) -> None:
        """Notes a step.

        Args:
            windows: the same ones at each step.
            forecast: positions seen to positions forecast, each row as if alone.
        """
        if self._rows is None:
            self._rows = evenly_hard(windows, self._rate, self._tracks)
            self._seen, self._future = windows.seen[self._rows], windows.future[self._rows]
        positions = forecast(self._seen)
        off = np.hypot(*np.moveaxis(positions - self._future, 2, 0)).mean(1)
        self._steps.append((thinned(positions), off))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, see `FORECASTS`; only every so many positions of a line."""
        forecasts, off = (np.stack(parts) for parts in zip(*self._steps, strict=True))
        return {"seen": thinned(self._seen), "future": thinned(self._future), "forecasts": forecasts, "off": off}


def evenly_hard(windows: Windows, rate: float, count: int) -> Int64[np.ndarray, " few"]:
    """Windows from such as constant velocity forecasts well to such as it does not, at even ranks of its error.

    They stand for all: each is in the middle of as many of them.
    """
    plain = motion_of(windows.seen, rate).forecast(windows.future.shape[1], rate=rate, damping=0.0)
    order = np.argsort(np.hypot(*np.moveaxis(plain - windows.future, 2, 0)).mean(1), kind="stable")
    count = min(count, len(order))
    return order[(2 * np.arange(count) + 1) * len(order) // (2 * max(count, 1))]


def thinned(positions: Float64[np.ndarray, "tracks samples 2"]) -> Float64[np.ndarray, "tracks points 2"]:
    """Every so many samples, the last among them."""
    few: np.ndarray = positions[:, ::-1][:, ::EVERY][:, ::-1]
    return few


def learned(forecaster: FastSlowForecaster, tracks: TrackData) -> dict[str, np.ndarray]:
    """What a memory knows of a place, see `LEARNED`; and the tracks, a point a second."""
    few = resampled(tracks, 1.0)
    paths = {"path_points": few.positions, "path": few.track}
    return {**forecaster.rule_.learned_errors()._asdict(), **paths}


def write_drawn(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Leaves arrays in a cell's folder."""
    write_text(folder / FILE, to_json({name: np.round(array, _DIGITS) for name, array in arrays.items()}))


def read_drawn(folder: Path, axes: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """What a cell's run has left.

    Args:
        folder: the cell's.
        axes: `FORECASTS` or `LEARNED`.

    Returns:
        Arrays by name; None if there are none.

    Raises:
        InputError: if there are others; the message names the file.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = read_json(path)
    sizes: dict[str, int] = {"axes": 2}
    arrays = {}
    for name, words in axes.items():
        try:
            array = np.array(content.get(name), dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            array = np.zeros(())
        dims = words.split()
        found = dict(zip(dims, array.shape, strict=False))
        fits = array.ndim == len(dims) and all(sizes.setdefault(dim, size) == size for dim, size in found.items())
        if not fits or not (np.abs(array) < _LARGEST).all() or (name == "counts" and (array < 1).any()):
            raise InputError(f"{shown_path(path)} holds no numbers of {words} as {name}; remove it, and run it again")
        arrays[name] = array
    return arrays
