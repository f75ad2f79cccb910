"""How long a training is, and what its minutes are counted in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from fastslow.training import distributed


class Length(NamedTuple):
    """How long a training is: one of the two, over all its stages.

    Attributes:
        steps: optimiser steps.
        minutes: of training, validation and checkpoints not counted: by the clock, or where one thread of the CPU does
            all the work, of that thread's processor time, so that nothing else that the machine does takes any of it.
    """

    steps: int | None = None
    minutes: float | None = None

    def done(self, step: int, seconds: float, share: float) -> float:
        """How much of a stage with a share of this length is done, in [0, 1] or a little above."""
        if self.steps is not None:
            return step / max(1, round(self.steps * share))
        assert self.minutes is not None
        return seconds / (60 * self.minutes * share)


def seconds_for(parameters: Sequence[nn.Parameter]) -> Callable[[], float]:
    """By which steps on these parameters are timed, see `Length.minutes`."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
    is_one_thread = on_cpu and torch.get_num_threads() == distributed.world_size() == 1
    return time.thread_time if is_one_thread else time.monotonic
