"""The memory layer, forward and backward, in three forms; used by `test_layer.py` and by `ratios.py layer`."""

from __future__ import annotations

import torch
from timing import Form
from torch import nn

from fastslow.core.memory import MemoryState
from fastslow.core.network import NeuralMemory
from fastslow.core.sequence.function import memory_sequence

BATCH, WIDTH = 16, 64
NUM_SLOTS = (10, 128)
LENGTHS = (10, 25, 50, 100)
#: The bound: three recurrent controllers without a memory.
BOUND = "three stacked nn.LSTM"
LOOP = "plain loop"
QUICK = "quick form"
FORMS = (BOUND, LOOP, QUICK)


def _loop(memory: NeuralMemory, features: torch.Tensor, state: MemoryState) -> tuple[torch.Tensor, MemoryState]:
    outputs = []
    for step_features in features.unbind(1):
        output, state = memory(step_features, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def make(form: str, num_slots: int, num_steps: int) -> Form:
    """One forward and backward pass of a form, in float32 with gradients for all parameters."""
    torch.manual_seed(0)
    features = torch.randn(BATCH, num_steps, WIDTH)
    module: nn.Module
    if form == BOUND:
        module = lstm = nn.LSTM(WIDTH, WIDTH, num_layers=3, batch_first=True)

        def forward() -> torch.Tensor:
            return lstm(features)[0]
    else:
        module = memory = NeuralMemory(input_size=WIDTH, dim=WIDTH, num_slots=num_slots)
        run = memory_sequence if form == QUICK else _loop

        def forward() -> torch.Tensor:
            return run(memory, features, memory.initial_state(BATCH))[0]

    def step() -> None:
        module.zero_grad()
        forward().square().mean().backward()

    return step
