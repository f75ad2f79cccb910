r"""Eqs. 2-7 over a whole sequence: the loop over the literal memory, several times quicker, with the same gradients.

On CPU the loop's time goes into operator calls, not into arithmetic. Three things are done differently here:

- The input controller never sees the memory, so its steps are one operator: `torch.lstm`, or `inputs.InputSteps`.
- What the other two controllers read of :math:`q_t` (`compose="query"`) is one product for all steps.
- The rest (Eqs. 3-7) is one `torch.autograd.Function`: buffers written in place, one matrix product a controller and
  step, and a backward pass through time written by hand, which leaves the weights to one product at the end.

The memory's own `forward` remains the definition; `tests/core/test_sequence.py` holds the two together.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.memory import MemoryState
from fastslow.core.sequence.lstm import lstm_sequence
from fastslow.core.sequence.rest import given_queries
from fastslow.errors import InputError


def has_quick_form(memory: LiteralMemory) -> bool:
    """Whether `memory_sequence` is quick for this memory: the literal one and no other; a subclass may do otherwise."""
    return type(memory) is LiteralMemory


def runs_quickly(memory: LiteralMemory, features: Tensor) -> bool:
    """Whether it is quick here and now: under autocast no memory is."""
    return has_quick_form(memory) and not torch.is_autocast_enabled(features.device.type)


def memory_sequence(
    memory: LiteralMemory, features: Float[Tensor, "batch time features"], state: MemoryState
) -> tuple[Float[Tensor, "batch time dim"], MemoryState]:
    """Eqs. 2-7 over a sequence, under the slow weights alone: outputs, state and gradients of the step-by-step loop.

    First order only in the quick form: gradients flow to the features, the parameters and the whole initial state,
    but differentiating them once more raises `RuntimeError`. Memories without a quick form (`has_quick_form`), and
    any under autocast, take the plain loop.

    Args:
        memory: the neural memory.
        features: x_t, shape (batch, time, input_size).
        state: the state before the first step; not modified.

    Returns:
        m_t of every step, shape (batch, time, dim), and the state after the last.

    Raises:
        ValueError: if the features' size is not the memory's, or the state is of another batch size.
        RuntimeError: from a second derivative of the quick form.
    """
    check_sizes(memory, features.transpose(0, 1), state)
    if features.shape[1] == 0:
        return features.new_zeros(len(features), 0, memory.dim), state
    if not runs_quickly(memory, features):
        return _plain_loop(memory, features, state)
    features = features.transpose(0, 1)
    queries, input_state = lstm_sequence(memory.input_controller, features, state.input)
    outputs, state, _ = given_queries(memory, queries, state._replace(input=input_state))
    return outputs.transpose(0, 1), state


def check_sizes(memory: LiteralMemory, features: Tensor, state: MemoryState) -> None:
    """Refuses features, time first, that fit neither memory nor state."""
    _, batch_size, size = features.shape
    if size != memory.input_controller.input_size:
        raise InputError(
            f"got {size} features; this memory takes {memory.input_controller.input_size}: "
            "make its input_size that of the features"
        )
    if state.slots.shape[0] != batch_size:
        raise InputError(
            f"got {batch_size} sequences with a state for {state.slots.shape[0]}; "
            f"make one by initial_state({batch_size})"
        )


def _plain_loop(memory: LiteralMemory, features: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
    outputs = []
    for step_features in features.unbind(1):
        output, state = memory(step_features, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state
