"""Whether another process still lives, on every platform."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys


@functools.cache
def this_machine() -> str:
    """Eight characters for the machine, and the container, within which process numbers are told apart."""
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        container = ""
    return hashlib.sha256(f"{platform.node()} {container}".encode(errors="replace")).hexdigest()[:8]


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has not ended; True where the system does not say."""
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)  # signal 0 asks only
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to somebody else
        return True
    return True


def _is_alive_on_windows(pid: int) -> bool:
    """There `os.kill` would end the process."""
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    ask, invalid_parameter, still_active = 0x1000, 87, 259
    handle = kernel.OpenProcess(ask, False, pid)
    if not handle:
        return bool(kernel.GetLastError() != invalid_parameter)
    code = ctypes.c_ulong()
    got = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not got or code.value == still_active


def num_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
