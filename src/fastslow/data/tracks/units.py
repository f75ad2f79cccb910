"""How far apart samples of tracks are, and whether their times and places look like seconds and metres."""

from __future__ import annotations

import numpy as np

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import GAP
from fastslow.errors import InputError, shown

#: Seconds without a sample that are no gap at any rate.
LEAST_GAP = 0.25
#: Speeds between which the middle one of road users is, metres a second.
_SLOW, _FAST = 0.01, 70.0


def gaps_of(tracks: TrackData, horizon: float) -> list[float]:
    """Seconds without a sample that are no gap: for each track one and a half of its steps, and at least `LEAST_GAP`.

    Args:
        tracks: at any rates.
        horizon: of forecasts, seconds: there are none of tracks that have less than a sample in each.

    Raises:
        InputError: if all are slower, as they are where milliseconds are taken for seconds.
    """
    steps = 1 / np.array(tracks.rates)
    if not (near := steps <= horizon).any():
        number = int(steps.argmin())
        raise InputError(
            f"track {shown(tracks.names[number])} has a sample every {steps[number]:.3g} s, and no track has more; "
            f"at least one in each horizon of {horizon:g} s was expected: see that times are in seconds, or give a "
            "longer horizon"
        )
    return np.maximum(GAP * np.where(near, steps, 0.0), LEAST_GAP).tolist()  # type: ignore[no-any-return]


def num_slower(tracks: TrackData, horizon: float) -> int:
    """How many tracks have less than a sample in each `horizon`, seconds."""
    return int((1 / np.array(tracks.rates) > horizon).sum())


def doubt(tracks: TrackData) -> str | None:
    """Words on units, if the middle speed of all steps on which road users moved is none of theirs; else None."""
    inside = np.diff(tracks.track) == 0
    distance = np.hypot(*np.diff(tracks.positions, axis=0)[inside].T)
    moved = distance > 0
    if not moved.any():
        return None
    speed = float(np.median(distance[moved] / np.diff(tracks.times)[inside][moved]))
    if _SLOW <= speed <= _FAST:
        return None
    return f"road users move at {speed:.2g} m/s; see that times are in seconds and places in metres (--metres)"
