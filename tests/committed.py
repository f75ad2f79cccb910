"""The results of this repository, each file read once in a process, as users read them.

Checked types make it twelve seconds instead of one; tests/protocol/test_result.py checks those of a few.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jaxtyping

from fastslow.protocol.result import Result, read_result

RESULTS = Path(__file__).parents[1] / "results"


@functools.cache
def read_once(path: Path) -> Result:
    """What is in a file, types unchecked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return read_result(path)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def result_files(pattern: str = "*.json") -> list[Path]:
    """Files of results by name; those of benchmarks and of torture are none."""
    return sorted(path for path in RESULTS.glob(pattern) if not path.name.startswith(("benchmark_", "torture")))


def committed(pattern: str = "*.json") -> list[Result]:
    """What is in them."""
    return [read_once(path) for path in result_files(pattern)]
