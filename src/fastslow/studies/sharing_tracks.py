"""Two streams of tracks in the study of sharing: cyclists and pedestrians, or two sites."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.literal_memory import MemoryNetwork
from fastslow.core.motion import motion_of
from fastslow.core.motion_frames import DisplacementFrame, Frame, SiteFrame
from fastslow.core.track_networks import AXES, HIDDEN, track_network
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.duplicates import each_movement_once, split_tracks
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.registry import load_tracks
from fastslow.data.tracks.resample import Windows, resampled, windows_of
from fastslow.studies.sharing_data import Asked, Examples, Kind, Pair, Shown

#: Samples a second, samples that are seen, and samples of a forecast.
RATE, SEEN, STEPS = 25.0, 50, 50
#: Samples from one window of a track to the next: in training, and where networks are asked.
_EVERY, _ASKED_EVERY = 25, 50
#: Tracks of a made-up junction.
_TRACKS = 600
#: What numbers are in: mean squared error, over that of constant velocity on the same windows.
UNIT = "of CV"


class _Stream(NamedTuple):
    """Windows of tracks that are learned, and of others that are not."""

    learned: Windows
    asked: Windows


def _kinds(data: str, seed: int) -> tuple[TrackData, TrackData]:
    tracks = make_junction(tracks_per_site=_TRACKS, seed=seed) if data == "junction" else _each_movement_once(data)
    return tracks.of_kind("cyclist"), tracks.of_kind("pedestrian")


def _sites(data: str, seed: int) -> tuple[TrackData, TrackData]:
    tracks = make_junction(sites=2, tracks_per_site=_TRACKS // 2, kinds=("pedestrian",), seed=seed)
    here, there = ([n for n, site in enumerate(tracks.recordings) if site == f"junction-{k}"] for k in (0, 1))
    return tracks.select(here), tracks.select(there)


#: What the first and the second stream are of.
PAIRS: dict[str, Callable[[str, int], tuple[TrackData, TrackData]]] = {
    "cyclists to pedestrians": _kinds, "site to site": _sites,
}  # fmt: skip
#: Pairs that there are, by data: a junction can be made again elsewhere.
TASKS: dict[str, tuple[str, ...]] = {"junction": tuple(PAIRS), "vru": ("cyclists to pedestrians",)}


@functools.lru_cache(maxsize=2)
def pair_of(task: str, data: str, seed: int, *, places: bool = False, part: str = "test") -> Pair:
    """Windows of two streams, made once in a process.

    Args:
        task: one of `TASKS`.
        data: likewise.
        seed: of the split and, on junctions, of the place.
        places: shown and asked for as places of the site, scaled (the paper's Sec. 4.2), in place of displacements.
        part: of the split of physical tracks that networks are asked about; "validation" while choices are made.
    """
    streams = [_stream(tracks, seed, part) for tracks in PAIRS[task](data, seed)]
    frame: Frame = DisplacementFrame(RATE)
    factors = np.ones(AXES)
    if places:
        seen = np.concatenate([np.concatenate([s.learned.seen, s.learned.future], 1).reshape(-1, 2) for s in streams])
        frame = SiteFrame(seen)
        factors = frame.metres
    first, second = ((_examples(s.learned, frame), _asked(s.asked, frame, factors)) for s in streams)
    facts = {"part": part, "rate": RATE, "seen": SEEN, "steps": STEPS}
    drawn = (Shown(stream.asked, frame) for stream in streams)
    return Pair(first[0], second[0], first[1], second[1], TRACKS, facts, *drawn)


@functools.lru_cache(maxsize=1)
def _each_movement_once(data: str) -> TrackData:
    return each_movement_once(load_tracks(data))


def _stream(tracks: TrackData, seed: int, part: str) -> _Stream:
    split = split_tracks(tracks, range(tracks.num_tracks), seed=seed)
    learned, asked = (resampled(tracks.select(split.part(name)), RATE) for name in ("train", part))
    return _Stream(_windows(learned, _EVERY), _windows(asked, _ASKED_EVERY))


def _windows(tracks: TrackData, every: int) -> Windows:
    return windows_of(tracks, seen=SEEN, future=STEPS, every=every)


def _examples(windows: Windows, frame: Frame) -> Examples:
    targets = frame.targets(windows.seen, windows.future).reshape(len(windows.seen), -1)
    inputs = np.ascontiguousarray(frame.inputs(windows.seen))
    return Examples(torch.from_numpy(inputs).float(), torch.from_numpy(targets).float())


def _asked(windows: Windows, frame: Frame, factors: np.ndarray) -> Asked:
    """Of squared distances in metres, their mean over the steps of a forecast."""
    plain = motion_of(windows.seen, RATE).forecast(STEPS, rate=RATE, damping=0.0) - windows.future
    group = np.unique(windows.track, return_inverse=True)[1].reshape(-1)
    weights = torch.from_numpy(np.tile(factors, STEPS) / math.sqrt(STEPS)).float()
    squares = torch.from_numpy(np.square(plain).sum(2).mean(1))
    loss = functools.partial(squared, factors=weights)
    return Asked(_examples(windows, frame), loss, squares, torch.from_numpy(group), UNIT)


def squared(answers: Tensor, targets: Tensor, *, factors: Tensor) -> Tensor:
    """Sum of squares of what is wrong, each output times its factor first, shape (rows,)."""
    return ((answers - targets) * factors).double().square().sum(1)


def _network(outputs: int, *, literal: bool) -> MemoryNetwork:
    return track_network(outputs // AXES, compose="literal" if literal else "query", relu=literal)


#: Rates: as printed; what the first network does best with over 1000 iterations, and over 10 (of 0.003, 0.01, 0.03 and
#: 0.1, on validation tracks of the first stream, junction and vru).
TRACKS = Kind(_network, HIDDEN, F.mse_loss, printed=1e-5, rate=3e-3, tuned=3e-2)
