from __future__ import annotations

import subprocess
import sys

import pytest

#: Pages that the system had to clear for ten large pieces of memory, one after another: before, within and after.
FAULTS = """
import resource
from fastslow.training.allocator import freed_memory_kept

def faults():
    bytearray(40 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytearray(b"1") * (40 * 2**20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

faults()
with freed_memory_kept():
    faults()
faults()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a C library of its own")
def test_memory_that_was_freed_is_used_again_within_and_given_back_after():
    done = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    usual, within, after = map(int, done.stdout.split())
    assert within < 0.3 * usual
    assert after > 0.9 * usual
