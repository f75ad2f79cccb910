from __future__ import annotations

import subprocess
import sys

import pytest

#: Pages that the system had to clear for ten large pieces of memory, one after another.
FAULTS = """
import resource, sys
if len(sys.argv) > 1:
    from fastslow.training.allocator import keep_freed_memory
    print(keep_freed_memory(), end=" ")
    piece = bytearray(40 * 2**20)
    del piece
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    piece = bytearray(b"1") * (40 * 2**20)
    del piece
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words):
    done = subprocess.run([sys.executable, "-c", FAULTS, *words], check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a C library of its own")
def test_memory_that_was_freed_is_used_again():
    [usual] = faults()
    told, kept = faults("keep")
    assert told == "True"
    assert int(kept) < 0.3 * int(usual)
