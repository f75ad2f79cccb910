"""Eqs. 3-7 over a sequence of queries: what both quick forms share beside the input controller's steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.memory import MemoryState
from fastslow.core.sequence.lstm import recurrent_parameters
from fastslow.core.sequence.operator import AddressReadWrite
from fastslow.core.sequence.slots import SlotsForward

#: A sequence is cut where what is kept for the backward pass would outgrow this. glibc hands blocks over 32 MiB back
#: to the system and pays for every page again at the next call.
BLOCK_BYTES = 20 * 2**20


def given_queries(
    memory: LiteralMemory, queries: Tensor, state: MemoryState, probes: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, MemoryState, list[Tensor]]:
    """Eqs. 3-7 over a sequence whose queries are there already, time first.

    Args:
        memory: a memory with a quick form.
        queries: q_t, shape (time, batch, dim).
        state: the state before the first step, its `input` that after the last.
        probes: for the gradients at m_t and m'_t, see `AddressReadWrite`.

    Returns:
        m_t, the state after the last step, and the record of the steps in pieces.
    """
    in_query = memory.compose == "query"
    computed = slice(0, memory.dim) if in_query else None, slice(memory.dim, None) if in_query else None
    weight_output, known_output = split_weights(memory.output_controller, queries, computed[0])
    weight_write, known_write = split_weights(memory.write_controller, queries, computed[1])
    by_step = (queries, known_output, known_write)
    carried = (state.slots, *state.output, *state.write)
    keep = torch.is_grad_enabled()
    pieces = []
    for piece in _pieces(memory, queries, state):
        given = (tensor[piece] if tensor.ndim == 3 else tensor for tensor in by_step)
        asked = (None, None) if probes is None else (probe[piece] for probe in probes)
        outputs, hidden, cell_output, cell_write, last_memory, _, record = AddressReadWrite.apply(  # type: ignore[no-untyped-call]
            *given, weight_output, weight_write, *carried, *asked, keep
        )
        carried = (last_memory, outputs[-1], cell_output, hidden, cell_write)
        pieces.append((outputs, record))
    outputs, record = zip(*pieces, strict=True)
    output_state, write_state = ControllerState(*carried[1:3]), ControllerState(*carried[3:])
    return joined(outputs), MemoryState(carried[0], state.input, output_state, write_state), list(record)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Pieces along time in one; `torch.cat` would copy a single one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _pieces(memory: LiteralMemory, queries: Tensor, state: MemoryState) -> list[slice]:
    """Where the sequence is cut, by `BLOCK_BYTES`."""
    in_record = 16 * memory.dim * queries.shape[1] * queries.element_size()
    length = max(1, BLOCK_BYTES // (in_record + SlotsForward.bytes_a_step(state.slots)))
    return [slice(start, start + length) for start in range(0, len(queries), length)]


def reorder(rows: Tensor) -> Tensor:
    """Gates in the order i, f, o, g: sigmoids side by side."""
    i, f, g, o = rows.chunk(4)
    return torch.cat([i, f, o, g])


def split_weights(controller: LSTMController, queries: Tensor, in_query: slice | None) -> tuple[Tensor, Tensor]:
    """One controller's weights as `AddressReadWrite` takes them, its gates in the order i, f, o, g.

    Args:
        controller: the output or the write controller.
        queries: q_t, shape (time, batch, dim).
        in_query: the columns of `weight_ih` that meet q_t; None if the controller does not read it.

    Returns:
        The weights of [what the step computes ; h], shape (4 * dim, 2 * dim), and what is known of all steps'
        pre-activations before the first: shape (time, batch, 4 * dim), or (4 * dim,) if it is biases alone.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = recurrent_parameters(controller)
    bias = reorder(bias_ih + bias_hh)
    if in_query is None:
        return reorder(torch.cat([weight_ih, weight_hh], 1)), bias
    computed = weight_ih[:, controller.dim :] if in_query.start == 0 else weight_ih[:, : controller.dim]
    known = F.linear(queries, reorder(weight_ih[:, in_query]), bias)
    return reorder(torch.cat([computed, weight_hh], 1)), known
