r"""Eqs. 2-7 over a whole sequence: the loop over `NeuralMemory`, several times quicker, with the same gradients.

On CPU the loop's time goes into operator calls, not into arithmetic. Three things are done differently here:

- The input controller never sees the memory, so its steps are one fused `torch.lstm` call.
- What the other two controllers read of :math:`q_t` (`compose="query"`) is one product for all steps.
- The rest (Eqs. 3-7) is one `torch.autograd.Function`: buffers written in place, one matrix product a controller and
  step, and a backward pass through time written by hand, which leaves the weights to one product at the end. The
  memory's part of it is in `sequence_memory.py`, in a form for few slots and one for many.

`NeuralMemory.forward` remains the definition; `tests/test_sequence.py` holds the two together.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.memory import MemoryState
from fastslow.core.network import USAGE_DECAY, NeuralMemory
from fastslow.core.sequence.cells import Jacobian, Step, cell_backward, finish_cell
from fastslow.core.sequence.slots import TABLE_STEPS, SlotsBackward, SlotsForward, TableBackward, TableForward
from fastslow.errors import InputError

#: A sequence is cut where what is kept for the backward pass would outgrow this. glibc hands blocks over 32 MiB back
#: to the system and pays for every page again at the next call.
BLOCK_BYTES = 20 * 2**20
#: From how many numbers in a memory on a table of what was written is quicker than the memories themselves.
MANY_NUMBERS = 6000


def has_quick_form(memory: NeuralMemory) -> bool:
    """Whether `memory_sequence` is quick for this memory; it is a plain loop for others.

    Quick: the paper's options, `compose="query"` and `residual_query=True`. Plain: `slots="keyed"`,
    `similarity="euclidean"`, `write_policy="least_used"`, `recurrent=False`.
    """
    return (
        memory.slots == "shared"
        and memory.similarity == "dot"
        and memory.write_policy == "read"
        and memory.input_controller.recurrent
    )


def prefers_table(memory: NeuralMemory) -> bool:
    """Whether the quick form keeps a table of what was written (`sequence_memory.TableForward`), not the memories."""
    return memory.dim > TABLE_STEPS and memory.num_slots * memory.dim >= MANY_NUMBERS


def memory_sequence(
    memory: NeuralMemory, features: Float[Tensor, "batch time features"], state: MemoryState
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
    batch_size, num_steps, size = features.shape
    if size != memory.input_controller.input_size:
        raise InputError(f"this memory takes {memory.input_controller.input_size} features; {size} came")
    if state.memory.shape[0] != batch_size:
        raise InputError(
            f"{batch_size} sequences came with a state for {state.memory.shape[0]}; "
            f"make one by initial_state({batch_size})"
        )
    if num_steps == 0:
        return features.new_zeros(batch_size, 0, memory.dim), state
    if not has_quick_form(memory) or torch.is_autocast_enabled(features.device.type):
        return _plain_loop(memory, features, state)
    return _quick_form(memory, features.transpose(0, 1), state)


def _plain_loop(memory: NeuralMemory, features: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
    outputs = []
    for step_features in features.unbind(1):
        output, state = memory(step_features, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def _quick_form(memory: NeuralMemory, features: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
    """Time comes first in here: `features` has shape (time, batch, input_size)."""
    queries, input_state = _input_steps(memory.input_controller, features, state.input)
    if memory.residual_query:
        queries = features + queries
    in_query = memory.compose == "query"
    weight_output, known_output = _split_weights(
        memory.output_controller, queries, slice(0, memory.dim) if in_query else None
    )
    weight_write, known_write = _split_weights(
        memory.write_controller, queries, slice(memory.dim, None) if in_query else None
    )
    carried = (state.memory, *state.output, *state.write)
    in_table = prefers_table(memory)
    in_record = 16 * memory.dim * features.shape[1] * features.element_size()
    in_memory = (TableForward if in_table else SlotsForward).bytes_a_step(state.memory)
    piece = max(1, BLOCK_BYTES // (in_record + in_memory))
    if in_table:
        piece = min(piece, math.ceil(len(queries) / math.ceil(len(queries) / TABLE_STEPS)))  # of equal length
    by_step = (queries * memory.log_sharpness.exp(), known_output, known_write)
    parts, weights_parts = [], []
    for start in range(0, len(queries), piece):
        given = (tensor[start : start + piece] if tensor.ndim == 3 else tensor for tensor in by_step)
        outputs, hidden, cell_output, cell_write, last_memory, weights = _AddressReadWrite.apply(  # type: ignore[no-untyped-call]
            *given, weight_output, weight_write, *carried, torch.is_grad_enabled(), in_table
        )
        carried = (last_memory, outputs[-1], cell_output, hidden, cell_write)
        parts.append(outputs)
        weights_parts.append(weights)
    outputs, weights = torch.cat(parts), torch.cat(weights_parts)
    ages = torch.arange(len(weights) - 1, -1, -1, device=weights.device)
    usage = USAGE_DECAY ** len(weights) * state.usage + torch.tensordot(USAGE_DECAY ** ages.to(weights), weights, 1)
    output_state, write_state = ControllerState(*carried[1:3]), ControllerState(*carried[3:])
    state = MemoryState(carried[0], usage, input_state, output_state, write_state)
    return outputs.transpose(0, 1), state


def _input_steps(
    controller: LSTMController, features: Tensor, state: ControllerState
) -> tuple[Tensor, ControllerState]:
    """Eq. 2 for all steps: (time, batch, dim), and the controller's state after them."""
    initial = [part.unsqueeze(0) for part in state]
    # Biases, one layer, no dropout, the form for training (the one with gradients), one direction, time first.
    hidden, *last = torch.lstm(features, initial, _parameters(controller), True, 1, 0.0, True, False, False)
    return hidden, ControllerState(*(part.squeeze(0) for part in last))


def _parameters(controller: LSTMController) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_ih, W_hh, b_ih and b_hh of a recurrent controller."""
    weight_hh, bias_hh = controller.weight_hh, controller.bias_hh
    assert weight_hh is not None
    assert bias_hh is not None
    return controller.weight_ih, weight_hh, controller.bias_ih, bias_hh


def _split_weights(controller: LSTMController, queries: Tensor, in_query: slice | None) -> tuple[Tensor, Tensor]:
    """One controller's weights as `_AddressReadWrite` takes them, its gates in the order i, f, o, g.

    Args:
        controller: the output or the write controller.
        queries: q_t, shape (time, batch, dim).
        in_query: the columns of `weight_ih` that meet q_t; None if the controller does not read it.

    Returns:
        The weights of [what the step computes ; h], shape (4 * dim, 2 * dim), and what is known of all steps'
        pre-activations before the first: shape (time, batch, 4 * dim), or (4 * dim,) if it is biases alone.
    """

    def reorder(rows: Tensor) -> Tensor:
        i, f, g, o = rows.chunk(4)
        return torch.cat([i, f, o, g])

    weight_ih, weight_hh, bias_ih, bias_hh = _parameters(controller)
    bias = reorder(bias_ih + bias_hh)
    if in_query is None:
        return reorder(torch.cat([weight_ih, weight_hh], 1)), bias
    computed = weight_ih[:, controller.dim :] if in_query.start == 0 else weight_ih[:, : controller.dim]
    known = torch.nn.functional.linear(queries, reorder(weight_ih[:, in_query]), bias)
    return reorder(torch.cat([computed, weight_hh], 1)), known


class _AddressReadWrite(torch.autograd.Function):
    """Eqs. 3-7 over a sequence, as one operator of tensors. Time comes first, gates are in the order i, f, o, g.

    A step works in one small buffer that stays in the processor's cache (`Step`), and is kept as one row of a record.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        queries: Tensor,
        known_output: Tensor,
        known_write: Tensor,
        weight_output: Tensor,
        weight_write: Tensor,
        memory: Tensor,
        hidden_output: Tensor,
        cell_output: Tensor,
        hidden_write: Tensor,
        cell_write: Tensor,
        keep: bool,
        in_table: bool,
    ) -> tuple[Tensor, ...]:
        steps, _, dim = queries.shape
        outputs = torch.empty_like(queries)
        # Without a backward pass to come there is no record, and each memory is written over the last.
        now, after = Step.empty(queries), Step.empty(queries)
        record_size = (steps if keep else 0, *now.all.shape)
        in_memory = (TableForward if in_table else SlotsForward)(queries, memory, record=record_size, keep=keep)
        record = in_memory.record
        now.prev_output.copy_(hidden_output)
        now.prev_write.copy_(hidden_write)
        now.output_cell.prev_cell.copy_(cell_output)
        now.write_cell.prev_cell.copy_(cell_write)

        record_at, output_at = record.unbind(), outputs.unbind()
        known_output_at, known_write_at = (
            known.unbind() if known.ndim == 3 else (known,) * steps for known in (known_output, known_write)
        )
        # Copied: a product with a transposed view takes a third longer.
        weight_output_t, weight_write_t = weight_output.T.contiguous(), weight_write.T.contiguous()
        for t in range(steps):
            now.read.copy_(in_memory.read(t))  # Eqs. 3 and 4; a copy, for bmm is slow into a slice
            torch.addmm(known_output_at[t], now.output_key, weight_output_t, out=now.output_cell.gates)
            finish_cell(now.output_cell, after.output_cell.prev_cell, now.output)  # Eq. 5
            after.prev_output.copy_(now.output)
            torch.addmm(known_write_at[t], now.write_key, weight_write_t, out=now.write_cell.gates)
            finish_cell(now.write_cell, after.write_cell.prev_cell, after.prev_write)  # Eq. 6
            in_memory.write(t, after.prev_write_row)  # Eq. 7
            if keep:
                record_at[t].copy_(now.all)
            else:
                output_at[t].copy_(now.output)
            now, after = after, now

        if keep:
            outputs.copy_(record[..., 2 * dim : 3 * dim])
        write_vector = now.prev_write.clone()
        given = queries, known_output, known_write, weight_output, weight_write
        ctx.in_table = in_table
        ctx.save_for_backward(*given, record, write_vector, *in_memory.kept())
        address_weights = in_memory.weights.squeeze(2)
        ctx.mark_non_differentiable(address_weights)
        cells = now.output_cell.prev_cell.clone(), now.write_cell.prev_cell.clone()
        return outputs, write_vector, *cells, in_memory.last(), address_weights

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401
        grad_outputs: Tensor,
        grad_write: Tensor,
        grad_cell_output: Tensor,
        grad_cell_write: Tensor,
        grad_memory: Tensor,
        _: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        queries, known_output, known_write, weight_output, weight_write, record, write_vector, *kept = ctx.saved_tensors
        steps, batch, dim = queries.shape
        step = Step.empty(queries)
        jacobian = Jacobian.of(step)
        in_memory = (TableBackward if ctx.in_table else SlotsBackward)(kept, grad_memory)
        grad_cell_output, grad_cell_write = grad_cell_output.clone(), grad_cell_write.clone()
        grad_gates = queries.new_empty(steps, batch, 2, 4 * dim)
        grad_output_key, grad_write_key = queries.new_zeros(2, batch, 2 * dim)
        (grad_read, carried_output), (grad_output, carried_write) = (
            key.chunk(2, -1) for key in (grad_output_key, grad_write_key)
        )
        grad_read_row, carried_write_row = grad_read.unsqueeze(1), carried_write.unsqueeze(1)
        carried_write.copy_(grad_write)
        write_row = write_vector.unsqueeze(1)

        record_at, grad_outputs_at, grad_gates_at = record.unbind(), grad_outputs.unbind(), grad_gates.unbind()
        for t in reversed(range(steps)):
            in_memory.write(t, write_row, carried_write_row)  # Eq. 7; the step still holds t + 1, and so m'_t
            step.all.copy_(record_at[t])
            write_row = step.prev_write_row
            jacobian.fill()
            # Eqs. 6 and 5.
            cell_backward(jacobian.write, carried_write, grad_cell_write)
            torch.mm(jacobian.write.grad_gates, weight_write, out=grad_write_key)
            grad_output.add_(carried_output).add_(grad_outputs_at[t])
            cell_backward(jacobian.output, grad_output, grad_cell_output)
            torch.mm(jacobian.output.grad_gates, weight_output, out=grad_output_key)
            grad_gates_at[t].copy_(jacobian.grad_gates)
            in_memory.read(t, grad_read_row)  # Eqs. 4 and 3

        grad_queries, grad_memory = in_memory.last()
        keys = record.view(steps * batch, -1)
        grads_output, grads_write = grad_gates.unbind(2)
        return (
            grad_queries,
            grads_output.sum_to_size(known_output.shape),
            grads_write.sum_to_size(known_write.shape),
            grads_output.view(steps * batch, -1).T @ keys[:, : 2 * dim],
            grads_write.view(steps * batch, -1).T @ keys[:, 2 * dim : 4 * dim],
            grad_memory,
            carried_output,
            grad_cell_output,
            carried_write,
            grad_cell_write,
            None,
            None,
        )
