"""The forecaster as road users go on: one of them, a thousand at a time, and a hundred thousand one after another.

`python benchmarks/tracks.py --json results/benchmark_tracks.json`, one thread. Walkers at random on a square of 100 m:
what they do plays no part in the cost, but for the slots, which are all taken.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from timing import table, write_json

from fastslow import FastSlowForecaster

RATE = 25.0


def walkers(count: int, frames: int) -> np.ndarray:
    """Positions, shape (frames, count, 2)."""
    random = np.random.default_rng(0)
    velocity = random.normal(0, 1, (count, 2)) + random.normal(0, 0.05, (frames, count, 2)).cumsum(0)
    return random.uniform(-50, 50, (count, 2)) + velocity.cumsum(0) / RATE


def taught(**options: Any) -> FastSlowForecaster:
    """A forecaster whose slots are all taken."""
    forecaster = FastSlowForecaster(rate=RATE, **options)
    for frame, positions in enumerate(walkers(100, 150).tolist()):
        for number, (x, y) in enumerate(positions):
            forecaster.update(f"teacher {number}", frame / RATE, x, y)
    return forecaster


def one(frames: int, what: str, **options: Any) -> dict[str, Any]:
    forecaster, seconds = taught(**options), []
    for frame, ((x, y),) in enumerate(walkers(1, frames).tolist(), 150):
        began = time.perf_counter()
        forecaster.update("one", frame / RATE, x, y)
        if forecaster.ready("one"):
            forecaster.predict("one")
        seconds.append(time.perf_counter() - began)
    settled = 1e3 * np.array(seconds[len(seconds) // 2 :])
    return {
        "what": f"update and predict, one track{what}",
        "ms": float(np.median(settled)),
        "mean ms": float(settled.mean()),
    }


def many(count: int, frames: int, what: str, **options: Any) -> dict[str, Any]:
    forecaster, seconds = taught(**options), []
    for frame, positions in enumerate(walkers(count, frames).tolist(), 150):
        began = time.perf_counter()
        for number, (x, y) in enumerate(positions):
            forecaster.update(number, frame / RATE, x, y)
        forecaster.predict_all()
        seconds.append(time.perf_counter() - began)
    per_frame = 1e3 * float(np.mean(seconds[frames // 2 :]))
    return {
        "what": f"a frame of {count} tracks, all updated and forecast; {1e3 / RATE:.0f} ms at {RATE:.0f} Hz{what}",
        "ms": per_frame,
    }


def long(count: int) -> list[dict[str, Any]]:
    """Tracks one after another; memory that Python and NumPy hold, at each tenth."""
    forecaster, frames, rows = FastSlowForecaster(rate=RATE), 80, []
    paths = walkers(100, frames)
    tracemalloc.start()
    began = time.perf_counter()
    for number in range(count):
        for frame, (x, y) in enumerate(paths[:, number % 100].tolist()):
            forecaster.update(number, number * 2.0 + frame / RATE, x, y)
        if (number + 1) % (count // 10) == 0:
            held = tracemalloc.get_traced_memory()[0] / 2**20
            rows.append({"what": f"memory held after {number + 1} tracks", "MiB": held})
    tracemalloc.stop()
    return [*rows, {"what": f"{count} tracks of {frames} samples", "s": time.perf_counter() - began}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--tracks", type=int, default=100_000)
    options = parser.parse_args()
    network = FastSlowForecaster.load("pretrained:junction").network
    rows = [one(500, ""), one(500, ", with a network", network=network), one(500, ", without a line", line=False)]
    rows += [many(1000, 200, ""), many(1000, 200, ", with a network", network=network)]
    rows += [many(1000, 200, ", without a line", line=False), *long(options.tracks)]
    write_json(options.json, f"python {shlex.join(sys.argv)}", rows, what="see the docstring of benchmarks/tracks.py")
    for row in rows:
        print(table([row]))


if __name__ == "__main__":
    main()
