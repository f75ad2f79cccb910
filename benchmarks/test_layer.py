"""Times of the memory layer beside its bound: `make bench`. Ratios that hold on a busy machine: `ratios.py layer`."""

import pytest
import torch
from layer import BOUND, FORMS, LENGTHS, NUM_SLOTS, make

# The bound has no slots: one row a length.
ROWS = [(form, slots) for form in FORMS for slots in NUM_SLOTS if form != BOUND or slots == NUM_SLOTS[0]]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("num_steps", LENGTHS, ids="T={}".format)
@pytest.mark.parametrize(("form", "num_slots"), ROWS, ids=str)
def test_forward_and_backward(benchmark, form, num_slots, num_steps):
    benchmark.group = f"layer, T={num_steps}"
    benchmark.pedantic(make(form, num_slots, num_steps), rounds=10, warmup_rounds=2)
