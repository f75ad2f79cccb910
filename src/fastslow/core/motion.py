"""How a road user moves, from its last positions: a forecast that never learns, and a key for what it gets wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

#: Seconds over which a velocity is taken, and between the two of which the change of speed is.
LAG = 0.48
#: Slower than this, m/s, a road user has no heading that could be told from noise.
STILL = 0.2


class Widths(NamedTuple):
    """Differences that count as one in a key; chosen on pedestrians of made-up junctions and on cyclists of VRU.

    Attributes:
        place: metres.
        heading: radians.
        speed: m/s.
        change: of the speed within `LAG`, m/s.
    """

    place: float = 1.0
    heading: float = 0.17
    speed: float = 0.55
    change: float = 0.4


class Motion(NamedTuple):
    """Movements, one a row.

    Attributes:
        at: last position, metres, shape (rows, 2).
        velocity: m/s, shape (rows, 2).
        change: of the speed within `LAG`, m/s, shape (rows,).
        frame: turns coordinates so that x is along the heading, shape (rows, 2, 2); the identity for who is still.
    """

    at: Float64[np.ndarray, "rows 2"]
    velocity: Float64[np.ndarray, "rows 2"]
    change: Float64[np.ndarray, " rows"]
    frame: Float64[np.ndarray, "rows 2 2"]

    def keys(self, widths: Widths) -> Float64[np.ndarray, "rows 6"]:
        """Place, heading, speed and its change, each in units of its width."""
        speed = np.hypot(*self.velocity.T)
        heading = self.velocity / np.maximum(speed, STILL)[:, None] / widths.heading
        slow = np.column_stack([speed / widths.speed, self.change / widths.change])
        return np.concatenate([self.at / widths.place, heading, slow], 1)

    def forecast(self, steps: int, *, rate: float, damping: float) -> Float64[np.ndarray, "rows steps 2"]:
        """Positions of damped constant velocity.

        Args:
            steps: how many.
            rate: of them, Hz.
            damping: share of the velocity that is lost within a second, in [0, 1).
        """
        shares = (1 - damping) ** (np.arange(1, steps + 1) / rate)
        return self.at[:, None] + self.velocity[:, None] * (shares.cumsum() / rate)[None, :, None]

    def turned(self, errors: Float64[np.ndarray, "rows steps 2"]) -> Float64[np.ndarray, "rows steps 2"]:
        """Differences of positions, along and across the heading."""
        return _by_axis(errors, self.frame)

    def turned_back(self, errors: Float64[np.ndarray, "rows steps 2"]) -> Float64[np.ndarray, "rows steps 2"]:
        """The inverse of `turned`."""
        return _by_axis(errors, self.frame.transpose(0, 2, 1))


def _by_axis(
    errors: Float64[np.ndarray, "rows steps 2"], frame: Float64[np.ndarray, "rows 2 2"]
) -> Float64[np.ndarray, "rows steps 2"]:
    """Each row's vectors in its frame; written out, for NumPy multiplies many small matrices slowly."""
    x, y = errors[..., 0], errors[..., 1]
    return np.stack([x * frame[:, None, axis, 0] + y * frame[:, None, axis, 1] for axis in (0, 1)], -1)


def lag_samples(rate: float) -> int:
    """`LAG` in samples, at least one."""
    return max(1, round(LAG * rate))


def samples_needed(rate: float) -> int:
    """Positions that a movement is read from."""
    return 2 * lag_samples(rate) + 1


def motion_of(positions: Float64[np.ndarray, "rows samples 2"], rate: float) -> Motion:
    """Movement at the last of some positions.

    Args:
        positions: metres, at least `samples_needed` of them, one after another.
        rate: of them, Hz.
    """
    lag = lag_samples(rate)
    now, before, long_before = positions[:, -1], positions[:, -1 - lag], positions[:, -1 - 2 * lag]
    velocity, earlier = (now - before) * (rate / lag), (before - long_before) * (rate / lag)
    speed = np.hypot(*velocity.T)
    along = np.where((speed > STILL)[:, None], velocity / np.maximum(speed, STILL)[:, None], [1.0, 0.0])
    frame = np.stack([along, np.column_stack([-along[:, 1], along[:, 0]])], 1)
    return Motion(now, velocity, speed - np.hypot(*earlier.T), frame)
