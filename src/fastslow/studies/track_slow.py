"""A memory of errors and, beside it, a network that slowly learns what it leaves: for streams of tracks."""

from __future__ import annotations

import numpy as np

from fastslow.core.error_memory import ErrorRead
from fastslow.core.motion_frames import AlignedFrame
from fastslow.data.tracks.resample import Windows
from fastslow.studies.track_learners import Asked, Remembering, Setting
from fastslow.training.error_network import ErrorNetwork

#: Velocities that the network is told, the last two seconds of them.
_VELOCITIES = 12


class QuickAndSlow:
    """A learner at rest, a memory of its errors, and a network that learns what both leave.

    Args:
        setting: see `Setting`.
        quick: the first two, for a stream.
        written: False for a memory that stays empty, which leaves all to the network.
    """

    def __init__(self, setting: Setting, quick: Remembering, *, written: bool = True) -> None:
        self.quick, self._written, self._frame = quick, written, AlignedFrame(setting.rate)
        self._drawn = quick.memory.drawn
        self.slow = ErrorNetwork(len(self._drawn), seed=setting.seed)

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        self.quick.train(windows)

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; windows are those of one track."""
        asked, read, numbers = self._asked(windows.seen)
        errors = asked.motion.turned(windows.future - asked.plain)
        self.slow.learn(numbers, (errors - read.error).reshape(len(errors), -1) @ self._drawn.T)
        if self._written:
            self.quick.memory.write(asked.keys, errors, asked.shown)

    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        asked, read, numbers = self._asked(seen)
        more = (self.slow.said(numbers) @ self._drawn).reshape(read.error.shape)
        corrected: np.ndarray = asked.plain + asked.motion.turned_back(read.error + more)
        return corrected

    def _asked(self, seen: np.ndarray) -> tuple[Asked, ErrorRead, np.ndarray]:
        """What the memory is asked, what it says, and all that the network is told."""
        asked = self.quick.asked(seen)
        read = self.quick.memory.read(asked.keys, asked.shown)
        velocities = self._frame.inputs(seen)[:, -_VELOCITIES:].reshape(len(seen), -1)
        said = read.error.reshape(len(seen), -1) @ self._drawn.T
        shown = () if asked.shown is None else (asked.shown,)
        return asked, read, np.concatenate([asked.keys, velocities, said, np.log1p(read.weight)[:, None], *shown], 1)
