"""How movements are shown to a network, and how its answers become positions.

Aligned: from where a road user is, along its heading, and what is asked for is the difference from constant velocity.
As in the paper's Sec. 4.2: places of the site, scaled to [-0.5, 0.5]; a network is then asked where the site is, too.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from fastslow.core.motion import motion_of
from fastslow.errors import InputError

#: Seconds between the velocities that are shown, and over which each is taken.
SPACING = 0.16
#: Slowest speed that movements are scaled to, over their own; and the most noise added to what was seen, metres.
SLOWEST, NOISE = 0.15, 0.02


@runtime_checkable
class Frame(Protocol):
    """A way to show movements."""

    def inputs(self, seen: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows shown 2"]:
        """What a network sees."""

    def targets(
        self, seen: Float64[np.ndarray, "rows samples 2"], future: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """What it is asked for."""

    def positions(
        self, seen: Float64[np.ndarray, "rows samples 2"], answers: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """Its answers as positions, metres: `targets` undone."""


class AlignedFrame:
    """From the last position, along the heading there.

    Args:
        rate: of samples, Hz.
    """

    def __init__(self, rate: float) -> None:
        self.rate, self._lag = rate, max(1, int(rate * SPACING))

    def num_shown(self, samples: int) -> int:
        """Velocities that are shown of so many samples."""
        return -(-(samples - self._lag) // self._lag)

    def inputs(self, seen: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows shown 2"]:
        """Velocities, m/s, every `SPACING` seconds up to the last sample."""
        velocities = (seen[:, self._lag :] - seen[:, : -self._lag]) * (self.rate / self._lag)
        return motion_of(seen, self.rate).turned(velocities[:, :: -self._lag][:, ::-1])

    def targets(
        self, seen: Float64[np.ndarray, "rows samples 2"], future: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """What constant velocity gets wrong, metres."""
        motion = motion_of(seen, self.rate)
        return motion.turned(future - motion.forecast(future.shape[1], rate=self.rate, damping=0.0))

    def positions(
        self, seen: Float64[np.ndarray, "rows samples 2"], answers: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """See `Frame`."""
        motion = motion_of(seen, self.rate)
        plain = motion.forecast(answers.shape[1], rate=self.rate, damping=0.0)
        places: np.ndarray = plain + motion.turned_back(answers)
        return places


class SiteFrame:
    """Places of a site, scaled to [-0.5, 0.5] (Sec. 4.2).

    Args:
        positions: of the tracks of training, metres; each axis is scaled by itself.

    Raises:
        InputError: if they are all in one line along an axis.
    """

    def __init__(self, positions: Float64[np.ndarray, "samples 2"]) -> None:
        self._low, self._span = positions.min(0), np.ptp(positions, axis=0)
        if not (self._span > 0).all():
            raise InputError("got tracks that do not spread along x and along y; places cannot be scaled by them")

    def inputs(self, seen: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows samples 2"]:
        """See `Frame`."""
        scaled: np.ndarray = (seen - self._low) / self._span - 0.5
        return scaled

    def targets(
        self, seen: Float64[np.ndarray, "rows samples 2"], future: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """See `Frame`."""
        return self.inputs(future)

    def positions(
        self, seen: Float64[np.ndarray, "rows samples 2"], answers: Float64[np.ndarray, "rows steps 2"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """See `Frame`."""
        places: np.ndarray = (answers + 0.5) * self._span + self._low
        return places


def varied(
    seen: Float64[np.ndarray, "rows samples 2"],
    future: Float64[np.ndarray, "rows steps 2"],
    generator: np.random.Generator,
) -> tuple[Float64[np.ndarray, "rows samples 2"], Float64[np.ndarray, "rows steps 2"]]:
    """Movements as others might make them: slower, mirrored, and measured less exactly.

    Args:
        seen: metres.
        future: metres.
        generator: of what is drawn: speeds are scaled by a factor from `SLOWEST` to 1, log-uniform; half are mirrored;
            noise is added to what was seen, of a deviation from 0 to `NOISE`.

    Returns:
        Both, about the last position of each row.
    """
    count, origin = len(seen), seen[:, -1:]
    scale = np.exp(generator.uniform(np.log(SLOWEST), 0.0, count))[:, None, None]
    mirror = np.ones((count, 1, 2))
    mirror[generator.random(count) < 0.5, 0, 1] = -1.0
    noise = generator.standard_normal(seen.shape) * (NOISE * generator.random((count, 1, 1)))
    return (seen - origin) * scale * mirror + noise, (future - origin) * scale * mirror
