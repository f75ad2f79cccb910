"""Trains a `MotionNetwork` by backpropagation: once, on tracks of whichever kind there are many of."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from fastslow.core.motion_frames import AlignedFrame, varied
from fastslow.core.motion_network import Layer, MotionNetwork, refuse_short_past
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import resampled, windows_of
from fastslow.errors import InputError

#: Seconds from one window of a track to the next.
_EVERY = 0.4
#: Chosen on cyclists who were held out and on pedestrians of made-up junctions.
_HIDDEN, _RATE, _DECAY, _BATCH, _MOST_NORM = 64, 2e-3, 1e-2, 128, 1.0
STEPS = 3000


def train_motion_network(
    tracks: TrackData,
    *,
    rate: float,
    samples: int,
    steps: int,
    seed: int = 0,
    training_steps: int = STEPS,
    bridged: float = 0.0,
    on_step: Callable[[int, int], object] = lambda done, total: None,
) -> MotionNetwork:
    """A network for forecasts like those that tracks would have had, at their speeds and slower ones.

    Args:
        tracks: at any rate.
        rate: of samples, Hz.
        samples: of a past.
        steps: of a forecast.
        seed: of weights and whatever is drawn; torch's own random state is left as it was.
        bridged: seconds without a sample that are no gap, see `resampled`.
        training_steps: of AdamW, each on 128 windows drawn with replacement, as `varied` makes them.
        on_step: called with steps done and how many there are.

    Raises:
        InputError: if no track is long enough, the past too short, or a number out of range.
    """
    counts = {"samples": samples, "steps": steps, "training_steps": training_steps}
    samples, steps, training_steps = (refuse_unless_whole(name, number, 1) for name, number in counts.items())
    refuse_short_past(samples, rate)
    even = resampled(tracks, rate, bridged=bridged)
    windows = windows_of(even, seen=samples, future=steps, every=max(1, round(_EVERY * rate)))
    if not len(windows.seen):
        raise InputError(
            f"got {tracks.num_tracks} tracks, none of {(samples + steps) / rate:.3g} s without a gap, which a past and "
            "its outcome take; give longer ones, or a shorter past or horizon"
        )
    frame, generator = AlignedFrame(rate), np.random.default_rng(seed)
    sizes = [2 * frame.num_shown(samples), _HIDDEN, _HIDDEN, 2 * steps]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = [nn.Linear(before, after) for before, after in itertools.pairwise(sizes)]
    network = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2]).float()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=training_steps + 1)
    for step in range(training_steps):
        rows = generator.integers(0, len(windows.seen), _BATCH)
        seen, future = varied(windows.seen[rows], windows.future[rows], generator)
        shown, wanted = (
            torch.from_numpy(numbers.astype(np.float32)).flatten(1)
            for numbers in (frame.inputs(seen), frame.targets(seen, future))
        )
        loss = (network(shown) - wanted).square().sum(1).mean() / steps
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), _MOST_NORM)
        optimiser.step()
        schedule.step()
        on_step(step + 1, training_steps)
    layers = [Layer(*(part.detach().double().numpy().copy() for part in (one.weight.mT, one.bias))) for one in linear]
    return MotionNetwork(layers, rate=rate, samples=samples)
