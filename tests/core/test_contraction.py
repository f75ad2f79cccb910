"""A memory that is never reset: slots that become equal remember nothing.

Eq. 7 moves every slot towards the vector that is written, each by its address weight: what two slots differ by is
multiplied by (1 - z) at each step, for z is nearly the same for slots that are nearly the same. The default writes one
slot an example, whole.
"""

import torch

from fastslow.core.keyed_memory import KeyedMemory
from fastslow.core.literal_memory import LiteralMemory

DIM, SLOTS, STEPS = 16, 8, 400


def spread(slots):
    """How far slots are from their mean, as a share of their size."""
    return float((slots - slots.mean(1, keepdim=True)).norm() / slots.norm())


def stream():
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(4, DIM, generator=generator)
    classes = torch.randint(4, (STEPS,), generator=generator)
    return means[classes] + 0.3 * torch.randn(STEPS, DIM, generator=generator)


@torch.no_grad()
def test_slots_of_the_literal_memory_become_equal_in_a_long_stream():
    torch.manual_seed(0)
    memory = LiteralMemory(input_size=DIM, dim=DIM, num_slots=SLOTS)
    state = memory.initial_state(1)
    begin, apart = spread(state.slots), []
    for features in stream().unsqueeze(1):
        _, state = memory(features, state)
        apart.append(spread(state.slots))
    assert begin > 0.8
    assert apart[-1] < 0.01
    assert begin > apart[5] > apart[20] > apart[-1]


@torch.no_grad()
def test_slots_of_the_default_memory_stay_apart():
    torch.manual_seed(0)
    memory = KeyedMemory(dim=DIM, num_slots=SLOTS)
    state, apart = memory.initial_state(1), []
    for features in stream().view(STEPS, 1, 1, DIM):
        look = memory.look(features, state)
        state = memory.store(look, memory.write_controller(look.write_input), state)
        apart.append(spread(state.slots))
    assert min(apart) > 0.5
    assert apart[-1] > 0.5
