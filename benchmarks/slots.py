"""How the memory of errors was chosen: streams of pedestrians at made-up junctions, and of cyclists of VRU.

`FASTSLOW_DATA=... python benchmarks/slots.py --json results/benchmark_slots.json`, one thread. Each track is forecast
at its first window and then learned, a moment every 0.2 s; the network is trained on cyclists of other junctions, or on
the other half of VRU's, and "damped" is constant velocity, damped for the same ones. "stream" is squared error over the
forecast's own from the 26th track on, "ten" that on all other tracks after ten. Pedestrians of VRU take no part.

Keys are learned, too: their widths and the weight of the empty slot, and two more numbers of a key made linearly of the
velocities, by Adam on the errors that a memory of everything but a track's own moments makes, the line beside it solved
in closed form at each step, at other junctions than those that are asked.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from timing import table, write_json

from fastslow.core.error_line import STRENGTH, Trust
from fastslow.core.error_memory import ErrorMemory, smooth_curves
from fastslow.core.motion import Motion, Widths, motion_of
from fastslow.core.motion_frames import AlignedFrame
from fastslow.core.motion_network import MotionNetwork
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.duplicates import each_movement_once
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.registry import load_tracks
from fastslow.data.tracks.resample import resampled, windows_of
from fastslow.estimators.corrected import of_moving, velocities_shown
from fastslow.estimators.forecaster import FastSlowForecaster
from fastslow.training.motion import train_motion_network

SEEN = STEPS = 50
EVERY, TEN, TRACKS, LATE = 0.2, 10, 60, 25
USUAL = Widths()
#: That keys are made of: steps of 0.16 s.
VELOCITIES = 12


class Stream(NamedTuple):
    """Moments of tracks: what a forecast got wrong, and what it was made from."""

    group: str
    motion: Motion
    errors: np.ndarray
    shown: np.ndarray
    velocities: np.ndarray
    rows: list[np.ndarray]  # of each track, in time


class LessCareful(Trust):
    """As far as what was said held, without a standard error taken off."""

    @property
    def share(self) -> float:
        a, s, *_ = self.sums
        return float(np.clip(a / s, 0.0, 1.0)) if s > 0 else 0.0


class Way(NamedTuple):
    """A memory."""

    what: str
    slots: int = 256
    slopes: bool = True
    line: bool = True
    widths: Widths = USUAL
    empty: float = 1.0
    trusted: bool = False
    careful: bool = True
    mapped: np.ndarray | None = None

    def keys(self, stream: Stream) -> np.ndarray:
        keys = stream.motion.keys(self.widths)
        return keys if self.mapped is None else np.concatenate([keys, stream.velocities @ self.mapped], 1)


def streams_of(
    group: str, network: MotionNetwork, cyclists: TrackData, tracks: TrackData, rate: float
) -> Iterator[Stream]:
    windows = windows_of(resampled(tracks, rate), seen=SEEN, future=STEPS, every=round(EVERY * rate))
    motion = motion_of(windows.seen, rate)
    rows = [np.flatnonzero(windows.track == track) for track in np.unique(windows.track)]
    order = np.random.default_rng(0).permutation(len(rows))[:TRACKS]
    velocities, chosen = _velocities(windows.seen, rate), [rows[k] for k in order]
    forecasts = network.forecast(windows.seen), motion.forecast(STEPS, rate=rate, damping=damped_for(cyclists, rate))
    shown = network.hidden(windows.seen), velocities_shown(windows.seen, rate)
    for name, forecast, numbers in zip(("", ", damped"), forecasts, shown, strict=True):
        errors = motion.turned(windows.future - forecast)
        yield Stream(f"{group}{name}", motion, errors, of_moving(numbers, motion), velocities, chosen)


def damped_for(cyclists: TrackData, rate: float) -> float:
    """The damping that a forecaster chooses for them."""
    return FastSlowForecaster(rate=rate, horizon=STEPS / rate).fit(cyclists).rule_.damping


def _velocities(seen: np.ndarray, rate: float) -> np.ndarray:
    """Of the last two seconds, as many at each rate: keys learned at one are tried at the other."""
    return AlignedFrame(rate).inputs(seen)[:, -VELOCITIES:].reshape(len(seen), -1)


def streams(sites: int) -> Iterator[tuple[Stream, bool]]:
    """Those that are asked, and those at 25 Hz that keys are learned on."""
    for rate in (25.0, 12.5):
        cyclists = make_junction(sites=4, tracks_per_site=150, kinds=("cyclist",), seed=900)
        network = train_motion_network(cyclists, rate=rate, samples=SEEN, steps=STEPS, training_steps=1500)
        for seed, learned in [(500 + k, False) for k in range(sites)] + [(700 + k, True) for k in range(6)]:
            if not learned or rate == 25.0:
                count = 24 if learned else TRACKS
                tracks = make_junction(tracks_per_site=count, kinds=("pedestrian",), seed=seed)
                for stream in streams_of(f"junctions, {rate:g} Hz", network, cyclists, tracks, rate):
                    yield stream, learned
        known = each_movement_once(load_tracks("vru")).of_kind("cyclist")
        order = np.random.default_rng(77).permutation(known.num_tracks)
        halves = [sorted(half.tolist()) for half in np.array_split(order, 2)]
        for here, other in (halves, halves[::-1]):
            cyclists = known.select(other)
            network = train_motion_network(cyclists, rate=rate, samples=SEEN, steps=STEPS, training_steps=1500)
            group = f"cyclists of VRU, {rate:g} Hz"
            for stream in streams_of(group, network, cyclists, known.select(here), rate):
                yield stream, False


def measured(way: Way, stream: Stream) -> tuple[float, float]:
    """Ratios of squares of a stream and of ten."""
    keys = way.keys(stream)
    shown = stream.shown if way.line else None
    size = None if shown is None else shown.shape[1]
    memory = ErrorMemory(way.slots, keys.shape[1], STEPS, empty=way.empty, slopes=way.slopes, shown=size)
    if memory.line is not None and not way.careful:
        memory.line.trust = LessCareful()
    if memory.line is not None and way.trusted:
        memory.line.trust.sums[:] = [1e12, 1e12, 0, 0, 0, 0, 0]

    def off(rows: np.ndarray) -> float:
        error = memory.read(keys[rows], None if shown is None else shown[rows]).error
        return float(np.square(stream.errors[rows] - error).sum())

    firsts = np.array([rows[0] for rows in stream.rows])
    plain = np.square(stream.errors[firsts]).sum((1, 2))
    streamed, ten = [], 1.0
    for number, rows in enumerate(stream.rows):
        if number == TEN:
            ten = off(firsts[TEN:]) / plain[TEN:].sum()
        streamed.append(off(rows[:1]))
        memory.write(keys[rows], stream.errors[rows], None if shown is None else shown[rows])
    return sum(streamed[LATE:]) / float(plain[LATE:].sum()), ten


def learned_keys(known: list[Stream], *, mapped: bool, steps: int = 40) -> Way:
    """Keys of least error on streams, each moment asked of all but its own track's."""
    torch.manual_seed(0)
    curves = np.kron(smooth_curves(STEPS), np.eye(2))
    sites = []
    for stream in known:
        track = np.concatenate([np.full(len(rows), number) for number, rows in enumerate(stream.rows)])
        rows = np.concatenate(stream.rows)
        parts = (
            stream.motion.keys(Widths(1.0, 1.0, 1.0, 1.0))[rows], stream.velocities[rows], stream.shown[rows],
            stream.errors[rows].reshape(len(rows), -1) @ curves,
        )  # fmt: skip
        sites.append([torch.from_numpy(part).float() for part in parts] + [torch.from_numpy(track)])
    widths = torch.tensor([*USUAL, 1.0]).log().requires_grad_()
    more = torch.zeros(known[0].velocities.shape[1], 2).normal_(0, 0.1).requires_grad_(mapped)
    optimiser = torch.optim.Adam([widths, *([more] if mapped else [])], 0.03)
    for _ in range(steps):
        optimiser.zero_grad()
        for keys, velocities, shown, wanted, track in sites:
            w = widths.exp()
            scaled = torch.cat([keys / w[[0, 0, 1, 1, 2, 3]], *([velocities @ more] if mapped else [])], 1)
            weights = torch.exp(-0.5 * torch.cdist(scaled, scaled).square()) * (track[:, None] != track)
            shares = weights / (weights.sum(1, keepdim=True) + w[4])
            x, y = shown - shares @ shown, wanted - shares @ wanted
            ridge = STRENGTH * shown.square().mean() * torch.eye(x.shape[1])
            line = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
            loss = (y - x @ line).square().sum() / wanted.square().sum() / len(sites)
            loss.backward()
        optimiser.step()
    *learned, empty = widths.detach().exp().double().tolist()
    name = "widths and two more numbers of keys learned" if mapped else "widths learned"
    return Way(name, widths=Widths(*learned), empty=empty, mapped=more.detach().double().numpy() if mapped else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--sites", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = list(streams(options.sites))
    asked = [stream for stream, learned in made if not learned]
    known = [stream for stream, learned in made if learned and not stream.group.endswith("damped")]
    wide = Widths(1.0, 0.17, 0.55, 0.4)
    ways = [
        Way(what, slots, slopes, line)
        for what, slopes, line in (("means", False, False), ("slopes", True, False), ("slopes and line", True, True))
        for slots in (256, 2048)
    ]
    ways += [
        Way("the line trusted from the first on", trusted=True),
        Way("the line trusted without a standard error taken off", careful=False),
        Way("slopes and line, other widths", widths=wide), Way("the same, empty slot 4", widths=wide, empty=4.0),
        learned_keys(known, mapped=False), learned_keys(known, mapped=True),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for way in ways:
        found: dict[str, list[tuple[float, float]]] = {}
        for stream in asked:
            found.setdefault(stream.group, []).append(measured(way, stream))
        means = {name: np.exp(np.log(pairs).mean(0)).round(4).tolist() for name, pairs in found.items()}
        row = {"what": way.what, "slots": way.slots, "widths": [round(x, 3) for x in way.widths],
               "empty": round(way.empty, 3)}  # fmt: skip
        row |= {f"{name}, {kind}": pair[k] for name, pair in means.items() for k, kind in enumerate(("stream", "ten"))}
        rows.append(row)
        print(table([row]), flush=True)
    write_json(options.json, f"python {shlex.join(sys.argv)}", rows, what="see the docstring of benchmarks/slots.py")


if __name__ == "__main__":
    main()
