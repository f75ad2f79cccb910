"""What a neural memory carries from step to step, all of it, as a tuple of tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastslow.core.controllers import ControllerState


class MemoryState(NamedTuple):
    """The memory and its three controllers' states: nothing else is remembered.

    Attributes:
        memory: M_t, shape (batch, slots, width).
        usage: how much each slot has been read and written so far, shape (batch, slots).
        input: state of the input controller.
        output: state of the output controller.
        write: state of the write controller.
    """

    memory: Tensor
    usage: Tensor
    input: ControllerState
    output: ControllerState
    write: ControllerState


def detach_state(state: MemoryState) -> MemoryState:
    """The same state, cut from the graph that made it: where truncated backpropagation through time stops."""
    controllers = (ControllerState(*(tensor.detach() for tensor in part)) for part in state[2:])
    return MemoryState(state.memory.detach(), state.usage.detach(), *controllers)
