"""What a number depends on besides its options: versions, processor, and what it took."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")
#: What torch calls a processor without vector instructions that it has code for.
_NONE_OF_NOTE = "DEFAULT"


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in ("fastslow", "torch", "numpy")
    }


def processor_name() -> str:
    """Model name of the processor and its vector instructions, "AMD EPYC, AVX512": names alone may not tell them apart.

    What kind it is where the system does not say; "" where it says nothing.
    """
    name = _name_on_macos() if platform.system() == "Darwin" else _name_on_linux()
    name = name or platform.processor() or platform.machine()
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{name}, {instructions}" if name and instructions != _NONE_OF_NOTE else name


def peak_memory_mib() -> float | None:
    """Largest resident size of this process so far, MiB to one decimal; None on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return None
    units_a_mib = 2**20 if platform.system() == "Darwin" else 2**10  # macOS counts bytes, Linux KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units_a_mib, 1)


def _name_on_linux() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _name_on_macos() -> str:
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
