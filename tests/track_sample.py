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


def turning(count=30, seed=0, length=60, rate=10.0, apart=0.0):
    """Everyone comes along x at about 1 m/s, and turns to the left at x = 3 m: only the place tells.

    Each begins `apart` seconds after the one before.
    """
    random = np.random.default_rng(seed)
    parts, times = [], []
    for number in range(count):
        speed, y = random.normal(1.0, 0.1), random.normal(0.0, 0.2)
        way = speed * np.arange(length) / rate
        before, after = np.minimum(way, 3.0), np.maximum(way - 3.0, 0.0)
        parts.append(np.column_stack([before, y + after]) + random.normal(0, 0.01, (length, 2)))
        times.append(number * apart + np.arange(length) / rate)
    names = tuple(f"p{k}" for k in range(count))
    return TrackData(
        np.concatenate(parts), np.concatenate(times), np.repeat(np.arange(count), length), names,
        ("pedestrian",) * count, ("r",) * count, (rate,) * count,
    )  # fmt: skip


def path_of(data, name):
    """Times and positions of a track."""
    number = data.names.index(name)
    span = slice(*data.starts[number : number + 2])
    return data.times[span], data.positions[span]
