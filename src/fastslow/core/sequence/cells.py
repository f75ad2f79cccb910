"""LSTM cells of `function.memory_sequence`, forward and backward, in buffers written in place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Cell(NamedTuple):
    """One controller's part of a step, views of one buffer: i, f, o, g, c_{t-1} and tanh(c_t), (batch, dim) each."""

    gates: Tensor
    sigmoids: Tensor
    input: Tensor
    forget: Tensor
    output: Tensor
    candidate: Tensor
    prev_cell: Tensor
    squashed: Tensor

    @classmethod
    def of(cls, buffer: Tensor) -> Cell:
        """Views of a buffer of shape (batch, 6, dim)."""
        return cls(buffer[:, :4].flatten(1), buffer[:, :3].flatten(1), *buffer.unbind(1))

    @classmethod
    def each(cls, record: Tensor) -> list[Cell]:
        """Views of a record of shape (time, batch, 6, dim), one a step; made at once, as a view costs a call."""
        wide = (record[:, :, :4].flatten(2), record[:, :, :3].flatten(2))
        parts = (part.unbind() for part in (*wide, *record.unbind(2)))
        return [cls(*views) for views in zip(*parts, strict=True)]


class Step(NamedTuple):
    r"""One step, views of one buffer: keys :math:`[\bar m_t ; m_{t-1}]` and :math:`[m_t ; m'_{t-1}]`, two cells."""

    all: Tensor
    cells: Tensor
    output_key: Tensor
    write_key: Tensor
    read: Tensor
    prev_output: Tensor
    output: Tensor
    prev_write: Tensor
    prev_write_row: Tensor
    output_cell: Cell
    write_cell: Cell

    @classmethod
    def empty(cls, like: Tensor) -> Step:
        """For queries like these, shape (time, batch, dim)."""
        batch, dim = like.shape[1:]
        # Padded: rows of a whole number of pages would compete for the same cache lines.
        everything = like.new_zeros(batch, 16 * dim + 16)
        keys = everything[:, : 4 * dim]
        cells = everything[:, 4 * dim : 16 * dim].view(batch, 2, 6, dim)
        output_key, write_key = keys.chunk(2, -1)
        read, prev_output, output, prev_write = keys.chunk(4, -1)
        columns = (read, prev_output, output, prev_write, prev_write.unsqueeze(1))
        return cls(everything, cells, output_key, write_key, *columns, Cell.of(cells[:, 0]), Cell.of(cells[:, 1]))


class CellJacobian(NamedTuple):
    """How gradients at h and c of one LSTM step reach its pre-activations, and those gradients; all views."""

    by_cell: Tensor
    by_hidden: Tensor
    cell_by_hidden: Tensor
    forget: Tensor
    grad_gates: Tensor
    grad_gates_split: Tensor
    grad_output_gate: Tensor

    @classmethod
    def each(cls, record: Tensor, grad_gates: Tensor) -> list[CellJacobian]:
        """Those of a record of shape (time, batch, 6, dim), filled, with views of `grad_gates` to be filled."""
        sigmoids, partners, outer, inner = record[:, :, :3], record[:, :, 3:], record[:, :, 0:3:2], record[:, :, 3:6:2]
        # As `Jacobian.fill` does for one step.
        local = torch.cat([sigmoids * (1 - sigmoids) * partners, outer * (1 - inner * inner)], 2)
        split = grad_gates.view(*grad_gates.shape[:2], 4, -1)
        views = (local[:, :, :4], local[:, :, 2], local[:, :, 4], record[:, :, 1], grad_gates, split, split[:, :, 2])
        return [cls(*views_at) for views_at in zip(*(part.unbind() for part in views), strict=True)]


class Jacobian(NamedTuple):
    """Both cells' Jacobians, from views of a step (`sigmoids` to `inner`) to views of a buffer (`by_*`)."""

    sigmoids: Tensor
    partners: Tensor
    outer: Tensor
    inner: Tensor
    product: Tensor
    by_sigmoids: Tensor
    by_rest: Tensor
    grad_gates: Tensor
    output: CellJacobian
    write: CellJacobian

    @classmethod
    def of(cls, step: Step) -> Jacobian:
        """Buffers for a step's Jacobians; `fill` fills them."""
        batch, _, _, dim = step.cells.shape
        # Of each cell: i and f by c, o by h, g by c; and c by h.
        buffer, grad_gates = step.cells.new_empty(batch, 2, 5, dim), step.cells.new_empty(batch, 2, 4 * dim)
        cells = []
        for k, cell in enumerate((step.output_cell, step.write_cell)):
            split = grad_gates[:, k].view(batch, 4, dim)
            by_cell, by_hidden, cell_by_hidden = buffer[:, k, :4], buffer[:, k, 2], buffer[:, k, 4]
            views = (by_cell, by_hidden, cell_by_hidden, cell.forget, grad_gates[:, k], split, split[:, 2])
            cells.append(CellJacobian(*views))
        sources = (step.cells[:, :, :3], step.cells[:, :, 3:], step.cells[:, :, 0:3:2], step.cells[:, :, 3:6:2])
        product = step.cells.new_empty(batch, 2, 2, dim)
        return cls(*sources, product, buffer[:, :, :3], buffer[:, :, 3:], grad_gates, *cells)

    def fill(self) -> None:
        """Local derivatives of both cells at once, from what the step now holds."""
        # s (1 - s) times its partner in c_t or h_t: i with g, f with c_{t-1}, o with tanh(c_t).
        torch.addcmul(self.sigmoids, self.sigmoids, self.sigmoids, value=-1, out=self.by_sigmoids).mul_(self.partners)
        # i (1 - g^2) and o (1 - tanh(c_t)^2).
        torch.mul(self.outer, self.inner, out=self.product)
        torch.addcmul(self.outer, self.product, self.inner, value=-1, out=self.by_rest)


def finish_cell(cell: Cell, next_cell: Tensor, hidden: Tensor) -> None:
    """From pre-activations in `cell.gates` to gates; writes c_t and h_t."""
    cell.sigmoids.sigmoid_()
    cell.candidate.tanh_()
    torch.mul(cell.forget, cell.prev_cell, out=next_cell).addcmul_(cell.input, cell.candidate)
    torch.tanh(next_cell, out=cell.squashed)
    torch.mul(cell.output, cell.squashed, out=hidden)


def cell_backward(jacobian: CellJacobian, grad_hidden: Tensor, grad_cell: Tensor) -> None:
    """Back through one LSTM step: fills the gradient at its pre-activations; dL/dc_t becomes dL/dc_{t-1}."""
    grad_cell.addcmul_(grad_hidden, jacobian.cell_by_hidden)
    torch.mul(jacobian.by_cell, grad_cell.unsqueeze(1), out=jacobian.grad_gates_split)
    torch.mul(jacobian.by_hidden, grad_hidden, out=jacobian.grad_output_gate)
    grad_cell.mul_(jacobian.forget)
