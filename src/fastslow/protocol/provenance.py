"""What a number depends on besides its options: versions, and what it took."""

from __future__ import annotations

import platform
import resource
from importlib import metadata


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in ("fastslow", "torch", "numpy")
    }


def peak_memory_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
