"""The memory layer, forward and backward; used by `test_layer.py` and by `ratios.py layer`.

The literal preset's memory in three forms, and the default preset's in its one: it has no quick form.
"""

from __future__ import annotations

import torch
from checkouts import default_memory, literal_memory, plain_loop
from timing import Form
from torch import nn

from fastslow import memory_sequence

BATCH, WIDTH = 16, 64
NUM_SLOTS = (10, 128)
LENGTHS = (10, 25, 50, 100)
#: The bound: three recurrent controllers without a memory.
BOUND = "three stacked nn.LSTM"
LOOP = "literal, plain loop"
QUICK = "literal, quick form"
DEFAULT = "default, plain loop"
FORMS = (BOUND, LOOP, QUICK, DEFAULT)


def make(form: str, num_slots: int, num_steps: int) -> Form:
    """One forward and backward pass of a form, in float32 with gradients for all parameters."""
    torch.manual_seed(0)
    features = torch.randn(BATCH, num_steps, WIDTH)
    module: nn.Module
    if form == BOUND:
        module = lstm = nn.LSTM(WIDTH, WIDTH, num_layers=3, batch_first=True)

        def forward() -> torch.Tensor:
            return lstm(features)[0]
    elif form == DEFAULT:
        module, loop = default_memory(WIDTH, num_slots)

        def forward() -> torch.Tensor:
            return loop(features, BATCH)
    else:
        module = memory = literal_memory(WIDTH, num_slots)
        run = memory_sequence if form == QUICK else plain_loop

        def forward() -> torch.Tensor:
            return run(memory, features, memory.initial_state(BATCH))[0]

    def step() -> None:
        module.zero_grad()
        forward().square().mean().backward()

    return step
