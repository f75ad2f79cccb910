"""What the paper's memory carries from step to step, all of it, as a tuple of tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastslow.core.controllers import ControllerState


class MemoryState(NamedTuple):
    """The slots and the three controllers' states: nothing else is remembered.

    Attributes:
        slots: M_t, shape (batch, slots, dim).
        input: state of the input controller.
        output: state of the output controller.
        write: state of the write controller.
    """

    slots: Tensor
    input: ControllerState
    output: ControllerState
    write: ControllerState


def detach_state(state: MemoryState) -> MemoryState:
    """The same state, cut from the graph that made it: where truncated backpropagation through time stops."""
    controllers = (ControllerState(*(tensor.detach() for tensor in part)) for part in state[1:])
    return MemoryState(state.slots.detach(), *controllers)
