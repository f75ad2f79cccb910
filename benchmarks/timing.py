"""What every benchmark shares: interleaved timing, peak memory in a process of its own, and the file of results.

Machines are busy and processors change speed, so a time alone says little. All forms of one comparison run in turn in
one process, round after round, each after untimed runs of its own, and are compared round by round: the median of the
ratios within a round. A machine that is slower for a while is so for both.
Memory is measured apart: a form is run in a fresh process, as a high-water mark cannot be lowered again.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch

Form = Callable[[], object]
#: For how long a form runs before it is timed.
WARM_SECONDS = 0.02


class Times(NamedTuple):
    """Times of one form, in milliseconds."""

    each_ms: list[float]
    median_ms: float
    min_ms: float


def interleaved(
    forms: Mapping[str, Form], *, rounds: int, warmup: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Times]:
    """Times every form once a round, in turn.

    By `time.process_time`, forms of one thread are timed on a machine that others keep busy: seconds of the processor.

    Each form runs untimed for `WARM_SECONDS` just before, and at least once, so that it is timed in its own steady
    state, as in a loop of its own, and does not pay for pages and caches that the form before it gave back or filled.
    """
    for _ in range(warmup):
        for form in forms.values():
            form()
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            gc.collect(0)
            steady = time.perf_counter() + WARM_SECONDS
            form()
            while time.perf_counter() < steady:
                form()
            start = clock()
            form()
            times[name].append(1e3 * (clock() - start))
    return {name: Times(each, statistics.median(each), min(each)) for name, each in times.items()}


def against(times: Mapping[str, Times], name: str, other: str) -> dict[str, float]:
    """How many times as long `name` takes as `other`: the median of the rounds' ratios, and the ratio of minimums."""
    each = (one / two for one, two in zip(times[name].each_ms, times[other].each_ms, strict=True))
    return {"median": statistics.median(each), "min": times[name].min_ms / times[other].min_ms}


def _high_water_mark() -> float:
    """MiB of this process at its largest; not `ru_maxrss`, which a child takes over from its parent (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's high-water mark; measure memory on Linux")


def _rise(make: Callable[..., Form], arguments: tuple[Any, ...]) -> float:
    torch.set_num_threads(1)
    form = make(*arguments)
    before = _high_water_mark()
    form()
    return _high_water_mark() - before


def peak_memory(make: Callable[..., Form], *arguments: Any) -> float:
    """By how many MiB the first run of `make(*arguments)` lifts the high-water mark of a fresh process (Linux).

    Counts what a first run brings in once and for all, too (code pages, workspaces); the same for every form.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_rise, make, arguments).result()


def environment() -> dict[str, Any]:
    """Versions, processor and threads: what a number depends on beside the code."""
    from fastslow.protocol.provenance import processor_name  # here, as older checkouts (`against.py`) have none

    return {
        "fastslow": metadata.version("fastslow"),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys as aligned text; numbers with two decimals."""
    header = list(rows[0])
    cells = [[f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[k]) for line in [header, *cells]) for k in range(len(header))]
    return "\n".join(
        "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in [header, *cells]
    )


def write_json(path: Path, command: str, rows: list[dict[str, Any]], **notes: Any) -> None:
    """Results with the command and the versions that made them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"command": command, "environment": environment(), **notes, "rows": rows}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
