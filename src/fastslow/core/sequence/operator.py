"""Eqs. 3-7 over a sequence as one `torch.autograd.Function`, its backward pass through time written by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastslow.core.sequence.cells import Jacobian, Step, cell_backward, finish_cell
from fastslow.core.sequence.slots import SlotsBackward, SlotsForward


class AddressReadWrite(torch.autograd.Function):
    """Eqs. 3-7 over a sequence, as one operator of tensors. Time comes first, gates are in the order i, f, o, g.

    A step works in one small buffer that stays in the processor's cache (`Step`), and is kept as one row of a record.

    Takes q_t; what is known of the pre-activations of the output and the write controller beforehand, and their weights
    of the rest; the state before the first step; two probes, zeros of the shape of q_t or None, whose gradients are the
    whole of dL/dm_t and dL/dm'_t; and whether to keep what a backward pass needs.

    Gives m_t; the last m'_t, both cells and the memory after the last step; and, without gradients, z_t and the record.
    """

    @staticmethod
    def forward(  # noqa: D102
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
        probe_output: Tensor | None,
        probe_write: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, ...]:
        steps, _, dim = queries.shape
        outputs = torch.empty_like(queries)
        # Without a backward pass to come there is no record, and each memory is written over the last.
        now, after = Step.empty(queries), Step.empty(queries)
        record_size = (steps if keep else 0, *now.all.shape)
        in_memory = SlotsForward(queries, memory, record=record_size, keep=keep)
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
        ctx.save_for_backward(*given, record, write_vector, *in_memory.kept())
        address_weights = in_memory.weights.squeeze(2)
        ctx.mark_non_differentiable(address_weights, record)
        cells = now.output_cell.prev_cell.clone(), now.write_cell.prev_cell.clone()
        return outputs, write_vector, *cells, in_memory.last(), address_weights, record

    @staticmethod
    @once_differentiable
    def backward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        grad_outputs: Tensor,
        grad_write: Tensor,
        grad_cell_output: Tensor,
        grad_cell_write: Tensor,
        grad_memory: Tensor,
        *_: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        queries, known_output, known_write, weight_output, weight_write, record, write_vector, *kept = ctx.saved_tensors
        steps, batch, dim = queries.shape
        step = Step.empty(queries)
        jacobian = Jacobian.of(step)
        in_memory = SlotsBackward(kept, grad_memory)
        grad_cell_output, grad_cell_write = grad_cell_output.clone(), grad_cell_write.clone()
        grad_gates = queries.new_empty(steps, batch, 2, 4 * dim)
        grad_activations = queries.new_empty(2, steps, batch, dim)
        grad_output_key, grad_write_key = queries.new_zeros(2, batch, 2 * dim)
        (grad_read, carried_output), (grad_output, carried_write) = (
            key.chunk(2, -1) for key in (grad_output_key, grad_write_key)
        )
        grad_read_row, carried_write_row = grad_read.unsqueeze(1), carried_write.unsqueeze(1)
        carried_write.copy_(grad_write)
        write_row = write_vector.unsqueeze(1)

        record_at, grad_outputs_at, grad_gates_at = record.unbind(), grad_outputs.unbind(), grad_gates.unbind()
        grad_output_at, grad_write_at = (grads.unbind() for grads in grad_activations)
        for t in reversed(range(steps)):
            in_memory.write(t, write_row, carried_write_row)  # Eq. 7; the step still holds t + 1, and so m'_t
            grad_write_at[t].copy_(carried_write)
            step.all.copy_(record_at[t])
            write_row = step.prev_write_row
            jacobian.fill()
            # Eqs. 6 and 5.
            cell_backward(jacobian.write, carried_write, grad_cell_write)
            torch.mm(jacobian.write.grad_gates, weight_write, out=grad_write_key)
            torch.add(grad_output, carried_output, out=grad_output_at[t]).add_(grad_outputs_at[t])
            cell_backward(jacobian.output, grad_output_at[t], grad_cell_output)
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
            grad_activations[0] if ctx.needs_input_grad[10] else None,
            grad_activations[1] if ctx.needs_input_grad[11] else None,
            None,
        )
