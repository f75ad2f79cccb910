"""Tracks by hand, for tests."""

from __future__ import annotations

import numpy as np

from fastslow.data.tracks.base import TrackData


def straight(*lengths, rate=10.0, kinds=None, recordings=None, names=None, speed=1.0):
    """Tracks along x at one speed, a metre apart from one another in y."""
    count = len(lengths)
    times = [np.arange(length) / rate for length in lengths]
    positions = [np.column_stack([speed * t, np.full(len(t), float(k))]) for k, t in enumerate(times)]
    return TrackData(
        np.concatenate([np.empty((0, 2)), *positions]), np.concatenate([np.empty(0), *times]),
        np.repeat(np.arange(count), lengths), tuple(names or (f"t{k}" for k in range(count))),
        tuple(kinds or ["pedestrian"] * count), tuple(recordings or ["r"] * count), (rate,) * count,
    )  # fmt: skip
