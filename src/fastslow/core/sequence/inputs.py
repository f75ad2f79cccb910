r"""Eq. 2 over a sequence as one operator: a recurrent controller that never sees the memory.

In place of the fused `torch.lstm`, which keeps to itself what a window's learning needs: :math:`c_{t-1}` of every step,
and the whole of :math:`\partial L / \partial q_t`, its path through the steps that follow included.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastslow.core.sequence.cells import Cell, CellJacobian, cell_backward, finish_cell


class InputSteps(torch.autograd.Function):
    """Time comes first, gates are in the order i, f, o, g.

    Takes what is known of the pre-activations, shape (time, batch, 4 * dim), the weights of h, shape (4 * dim, dim), h
    and c before the first step, and a probe. Gives q_t, shape (time, batch, dim), c after the last step, and the cells'
    record, shape (time, batch, 6, dim), which carries no gradient.

    The probe is zeros of the shape of q_t or None; its gradient is the whole of dL/dq_t.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        known: Tensor,
        weight_hh: Tensor,
        hidden: Tensor,
        cell: Tensor,
        probe: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, (batch, dim) = len(known), hidden.shape
        hiddens, record = known.new_empty(steps + 1, batch, dim), known.new_empty(steps + 1, batch, 6, dim)
        hiddens[0], record[0, :, 4] = hidden, cell
        hidden_at, known_at, cell_at = hiddens.unbind(), known.unbind(), Cell.each(record)
        weight_t = weight_hh.T.contiguous()  # copied: a product with a transposed view takes a third longer
        for t in range(steps):
            torch.addmm(known_at[t], hidden_at[t], weight_t, out=cell_at[t].gates)
            finish_cell(cell_at[t], cell_at[t + 1].prev_cell, hidden_at[t + 1])
        last_cell, record = record[-1, :, 4].clone(), record[:-1]
        ctx.save_for_backward(weight_hh, hiddens, record)
        ctx.mark_non_differentiable(record)
        return hiddens[1:].clone(), last_cell, record

    @staticmethod
    @once_differentiable
    def backward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        grad_hiddens: Tensor,
        grad_cell: Tensor,
        _: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        weight_hh, hiddens, record = ctx.saved_tensors
        steps, batch, dim = grad_hiddens.shape
        grad_gates, grad_queries = record.new_empty(steps, batch, 4 * dim), torch.empty_like(hiddens[1:])
        grad_cell, carried = grad_cell.clone(), torch.zeros_like(hiddens[0])
        grad_hidden_at, grad_query_at, jacobian_at = (
            grad_hiddens.unbind(),
            grad_queries.unbind(),
            CellJacobian.each(record, grad_gates),
        )
        for t in reversed(range(steps)):
            torch.add(carried, grad_hidden_at[t], out=grad_query_at[t])
            cell_backward(jacobian_at[t], grad_query_at[t], grad_cell)
            torch.mm(jacobian_at[t].grad_gates, weight_hh, out=carried)
        grad_weight = grad_gates.flatten(0, 1).T @ hiddens[:-1].flatten(0, 1)
        return grad_gates, grad_weight, carried, grad_cell, grad_queries if ctx.needs_input_grad[4] else None
