"""The results of this repository, each file read once in a process: checked types make reading them all a minute."""

from __future__ import annotations

import functools
from pathlib import Path

from fastslow.protocol.result import Result, read_result

RESULTS = Path(__file__).parents[1] / "results"

read_once = functools.cache(read_result)


def result_files(pattern: str = "*.json") -> list[Path]:
    """Files of results by name; those of benchmarks and of torture are none."""
    return sorted(path for path in RESULTS.glob(pattern) if not path.name.startswith(("benchmark_", "torture")))


def committed(pattern: str = "*.json") -> list[Result]:
    """What is in them."""
    return [read_once(path) for path in result_files(pattern)]
