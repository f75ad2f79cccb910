"""`memory_sequence` for a regime that learns from every step of a window: the online one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.memory import MemoryState
from fastslow.core.sequence.function import check_sizes, runs_quickly
from fastslow.core.sequence.inputs import InputSteps
from fastslow.core.sequence.lstm import recurrent_parameters
from fastslow.core.sequence.rest import given_queries, joined, reorder
from fastslow.errors import InputError


class Probes(NamedTuple):
    """Zeros added to each controller's outputs; the gradient of a loss at them is that at the outputs.

    Attributes:
        input: at q_t, shape (time, batch, dim).
        output: at m_t, likewise.
        write: at m'_t, likewise; zero in the last step, whose write vector acts later.
    """

    input: Tensor
    output: Tensor
    write: Tensor

    @classmethod
    def zeros(cls, memory: LiteralMemory, num_steps: int, batch_size: int) -> Probes:
        """Probes that ask for gradients, for a memory and a sequence."""
        sizes = num_steps, batch_size, memory.dim
        return cls(*(memory.initial_slots.new_zeros(sizes).requires_grad_() for _ in cls._fields))


class Trace(NamedTuple):
    """One controller through a sequence, cut from the graph.

    Attributes:
        activations: q_t, m_t or m'_t, shape (time, batch, dim).
        inputs: u_t = [x_t ; h_{t-1}], what each step read, shape (time, batch, input_size + dim).
        prev_cells: c_{t-1}, shape (time, batch, dim).
    """

    activations: Tensor
    inputs: Tensor
    prev_cells: Tensor


class Window(NamedTuple):
    """A sequence through the memory, with what learning needs of each step.

    Attributes:
        outputs: m_t in the graph, shape (time, batch, dim).
        state: the state after the last step.
        input: the input controller's trace.
        output: the output controller's.
        write: the write controller's.
    """

    outputs: Tensor
    state: MemoryState
    input: Trace
    output: Trace
    write: Trace


def memory_window(
    memory: LiteralMemory, features: Float[Tensor, "time batch features"], state: MemoryState, probes: Probes
) -> Window:
    """The same, time first, for a regime that learns from every step: what each read, and gradients at the probes.

    Args:
        memory: a memory with a quick form (`runs_quickly`).
        features: x_t, shape (time, batch, input_size), at least one step.
        state: the state before the first step; not modified.
        probes: zeros for this sequence.

    Returns:
        Outputs, state and traces.

    Raises:
        ValueError: as `memory_sequence`; or if the memory has no quick form.
        RuntimeError: from a second derivative.
    """
    check_sizes(memory, features, state)
    if not runs_quickly(memory, features):
        raise InputError(
            f"got a {type(memory).__name__} that has no quick form, or autocast is on; use the memory step by step"
        )
    weight_ih, weight_hh, bias_ih, bias_hh = recurrent_parameters(memory.input_controller)
    known = F.linear(features, reorder(weight_ih), reorder(bias_ih + bias_hh))
    queries, cell, cells = InputSteps.apply(known, reorder(weight_hh), *state.input, probes.input)  # type: ignore[no-untyped-call]
    after = state._replace(input=ControllerState(queries[-1], cell))
    outputs, after, record = given_queries(memory, queries, after, probes[1:])
    seen = queries.detach()
    of_input = Trace(
        seen,
        torch.cat([features.detach(), torch.cat([state.input.hidden.detach().unsqueeze(0), seen[:-1]])], -1),
        cells[:, :, 4],
    )
    return Window(outputs, after, of_input, *_traces(memory, seen, joined(record), after.write.hidden))


def _traces(memory: LiteralMemory, queries: Tensor, record: Tensor, last_write: Tensor) -> tuple[Trace, Trace]:
    """Those of the output and the write controller, from the rows of `cells.Step`."""
    dim = memory.dim
    read, prev_output, output, prev_write = record[..., : 4 * dim].chunk(4, -1)
    of_output, of_write = [read, prev_output], [output, prev_write]
    if memory.compose == "query":
        of_output, of_write = [queries, read, prev_output], [output, queries, prev_write]
    cells = record[..., 4 * dim : 16 * dim].reshape(*record.shape[:2], 2, 6, dim)[:, :, :, 4]
    write_vectors = torch.cat([prev_write[1:], last_write.detach().unsqueeze(0)])
    return (
        Trace(output, torch.cat(of_output, -1), cells[:, :, 0]),
        Trace(write_vectors, torch.cat(of_write, -1), cells[:, :, 1]),
    )
