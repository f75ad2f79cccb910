"""What the C library does with memory that a step has freed."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator, Mapping

#: Options of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEEP = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1}
#: Where its own rules end after pieces of 32 MB; they no longer apply once anything has been set.
_USUAL = {_M_MMAP_MAX: 65536, _M_MMAP_THRESHOLD: 32 * 2**20, _M_TRIM_THRESHOLD: 64 * 2**20}


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Lets this process keep the memory that it frees, for the next step to use, for the length of a `with` block.

    By default glibc takes each piece of 32 MB and more, such as the first activations of a step, from the system and
    gives it back at once; that the system clears it page by page takes a fifth of a training step. The price is a tenth
    more memory at its peak. Other C libraries are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    _set(libc, _KEEP)
    try:
        yield
    finally:
        _set(libc, _USUAL)
        libc.malloc_trim(0)


def _set(libc: ctypes.CDLL, options: Mapping[int, int]) -> None:
    for option, value in options.items():
        libc.mallopt(option, value)
