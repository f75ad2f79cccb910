"""How the network beside the memory of errors was chosen: long streams at made-up junctions, and cyclists of VRU.

`FASTSLOW_DATA=... python benchmarks/slow_errors.py --json results/benchmark_slow_errors.json`, one thread. As in
`slots.py`, but of 300 pedestrians a junction (two) and all cyclists of a half of VRU (two halves); squared error over
the forecast's own, of the network trained on cyclists, from the 101st track on. Pedestrians of VRU take no part.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import slots
import torch
from slots import SEEN, STEPS, USUAL, Stream, streams_of
from timing import table, write_json

from fastslow.core.error_memory import ErrorMemory, smooth_curves
from fastslow.data.tracks.duplicates import each_movement_once
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.registry import load_tracks
from fastslow.training.error_network import ErrorNetwork
from fastslow.training.motion import train_motion_network

TRACKS, LATE = 300, 100
CURVES = np.kron(smooth_curves(STEPS), np.eye(2))


class Way(NamedTuple):
    """A memory, or one that stays empty, and a network beside it, with other options than its usual ones."""

    what: str
    memory: bool = True
    line: bool = True
    network: dict[str, Any] | None = None
    told: tuple[str, ...] = ("keys", "velocities", "said", "weight", "shown")


WAYS = [
    Way("the memory alone"), Way("the network alone", memory=False, network={}), Way("both", network={}),
    *(Way(f"both, {units} units", network={"hidden": units}) for units in (32, 64, 256)),
    *(Way(f"both, rate {rate:g}", network={"rate": rate}) for rate in (3e-4, 3e-3)),
    *(Way(f"both, {kept} moments kept", network={"kept": kept}) for kept in (2048, 32768)),
    Way("both, the memory without its line", line=False, network={}),
    Way("both, the network told of the movement alone", network={}, told=("velocities", "shown")),
]  # fmt: skip


def streams() -> Iterator[Stream]:
    slots.TRACKS = TRACKS
    for rate in (12.5, 25.0):
        cyclists = make_junction(sites=4, tracks_per_site=150, kinds=("cyclist",), seed=900)
        places = [(make_junction(tracks_per_site=TRACKS, kinds=("pedestrian",), seed=seed)) for seed in (500, 501)]
        known = each_movement_once(load_tracks("vru")).of_kind("cyclist")
        order = np.random.default_rng(77).permutation(known.num_tracks)
        one, other = (known.select(sorted(half.tolist())) for half in np.array_split(order, 2))
        pairs = [("junctions", cyclists, place) for place in places]
        pairs += [("cyclists of VRU", other, one), ("cyclists of VRU", one, other)]
        for name, before, then in pairs:
            network = train_motion_network(before, rate=rate, samples=SEEN, steps=STEPS, training_steps=1500)
            yield next(streams_of(f"{name}, {rate:g} Hz", network, before, then, rate))


def measured(way: Way, stream: Stream) -> float:
    """Ratio of squares."""
    keys, shown = stream.motion.keys(USUAL), stream.shown
    memory = ErrorMemory(256, keys.shape[1], STEPS, slopes=True, shown=shown.shape[1] if way.line else None)
    network = None if way.network is None else ErrorNetwork(CURVES.shape[1], seed=0, **way.network)

    def asked(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read = memory.read(keys[rows], shown[rows] if way.line else None)
        said = read.error.reshape(len(rows), -1)
        numbers = {
            "keys": keys[rows], "velocities": stream.velocities[rows], "said": said @ CURVES,
            "weight": np.log1p(read.weight)[:, None], "shown": shown[rows],
        }  # fmt: skip
        return said, np.concatenate([numbers[name] for name in way.told], 1)

    mine, plain = [], []
    for rows in stream.rows:
        errors = stream.errors[rows].reshape(len(rows), -1)
        said, numbers = asked(rows)
        more = 0.0 if network is None else network.said(numbers[:1]) @ CURVES.T
        mine.append(np.square(errors[:1] - said[:1] - more).sum())
        plain.append(np.square(errors[:1]).sum())
        if network is not None:
            network.learn(numbers, (errors - said) @ CURVES)
        if way.memory:
            memory.write(keys[rows], stream.errors[rows], shown[rows] if way.line else None)
    return float(sum(mine[LATE:]) / sum(plain[LATE:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = list(streams())
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        found: dict[str, list[float]] = {}
        for stream in made:
            found.setdefault(stream.group, []).append(measured(way, stream))
        means = {name: round(float(np.exp(np.log(ratios).mean())), 4) for name, ratios in found.items()}
        rows.append({"what": way.what, **means, "mean": round(float(np.exp(np.log([*means.values()]).mean())), 4)})
        print(table(rows[-1:]), flush=True)
    write_json(
        options.json, f"python {shlex.join(sys.argv)}", rows, what="see the docstring of benchmarks/slow_errors.py"
    )


if __name__ == "__main__":
    main()
