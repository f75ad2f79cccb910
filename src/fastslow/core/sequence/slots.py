r"""The memory's part of `sequence.memory_sequence` (Eqs. 3, 4 and 7), in two forms, each forward and backward by hand.

`SlotsForward` keeps every :math:`M_t`. A step touches (slots, dim) numbers a dozen times, which is nothing for ten
slots and nearly all of the time for a hundred.

`TableForward` never makes the memories between the first and the last. What was written since :math:`M_0` is linear in
the write vectors, so a table of (steps + 1, slots) numbers says all there is to say about :math:`M_s`. Its row r holds

- for a step r still to come, the scores :math:`M_s q_r`: the queries are known beforehand;
- for a step r done, how much of :math:`m'_r` is in each slot; and its last row, how much of :math:`M_0` is.

Eq. 7 is then one blend of the whole table, like that of the memory itself: :math:`T \leftarrow (1 - z) T + z v`, with
:math:`v_r = q_r \cdot m'_s` for steps to come, 1 for this one, and 0 for those done and the last row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: The most steps of one table. Fewer make it smaller, and the memories at its ends, made in full, more frequent.
TABLE_STEPS = 20


class SlotsForward:
    """Eqs. 3, 4 and 7, the memory itself kept at every step.

    Args:
        queries: q_t times the sharpness, shape (time, batch, dim).
        memory: M_0, shape (batch, slots, dim).
        record: shape of a buffer for the caller's own use, from the same block of the heap.
        keep: keep what a backward pass needs; each memory is written over the last otherwise.

    Attributes:
        weights: z_t of the steps done, shape (time, batch, 1, slots).
        record: the caller's buffer, empty.
    """

    def __init__(self, queries: Tensor, memory: Tensor, *, record: Sequence[int], keep: bool) -> None:
        steps, batch, dim = queries.shape
        sizes = (steps + 1 if keep else 1, *memory.shape), (steps, batch, 1, memory.shape[1]), record
        self.memories, self.weights, self.record = _one_allocation(queries, *sizes)
        self.queries = queries
        self.memories[0] = memory
        memory_a_step = self.memories if keep else self.memories.expand(steps + 1, -1, -1, -1)
        self.memory_at, self.memory_t_at = memory_a_step.unbind(), memory_a_step.mT.unbind()
        self.weights_at, self.weights_t_at = self.weights.unbind(), self.weights.mT.unbind()
        self.query_at = queries.unsqueeze(2).unbind()
        self.read_vector = queries.new_empty(batch, 1, dim)
        self.read_row = self.read_vector.squeeze(1)

    @staticmethod
    def bytes_a_step(memory: Tensor) -> int:
        """What a step keeps for the backward pass, beside the record."""
        return memory.numel() * memory.element_size()

    def read(self, t: int) -> Tensor:
        """Eqs. 3 and 4: m-bar_t, shape (batch, dim), in a buffer that the next read writes over."""
        z = self.weights_at[t]
        torch.bmm(self.query_at[t], self.memory_t_at[t], out=z)
        torch.softmax(z, -1, out=z)
        torch.bmm(z, self.memory_at[t], out=self.read_vector)
        return self.read_row

    def write(self, t: int, write_row: Tensor) -> None:
        """Eq. 7 with m'_t of shape (batch, 1, dim)."""
        torch.lerp(self.memory_at[t], write_row, self.weights_t_at[t], out=self.memory_at[t + 1])

    def last(self) -> Tensor:
        """The memory after the last step."""
        return self.memories[-1].clone()

    def kept(self) -> tuple[Tensor, ...]:
        """What the backward pass needs."""
        return self.queries, self.weights, self.memories


class SlotsBackward:
    """Back through `SlotsForward`.

    Args:
        kept: what it kept.
        grad_memory: of the memory after the last step.
    """

    def __init__(self, kept: Sequence[Tensor], grad_memory: Tensor) -> None:
        queries, weights, memories = kept
        self.grad_memory = grad_memory.clone(memory_format=torch.contiguous_format)
        self.grad_queries = torch.empty_like(queries)
        self.memory_at, self.weights_at, self.weights_t_at = memories.unbind(), weights.unbind(), weights.mT.unbind()
        self.query_at, self.grad_query_at = queries.unsqueeze(2).unbind(), self.grad_queries.unsqueeze(2).unbind()
        self.scratch, self.grad_scores = torch.empty_like(self.grad_memory), torch.empty_like(weights[0])
        self.grad_scores_row, self.grad_scores_t = self.grad_scores.squeeze(1), self.grad_scores.mT

    def write(self, t: int, write_row: Tensor, grad_write_row: Tensor) -> None:
        """Back through Eq. 7 of step t: adds the gradient at m'_t, both (batch, 1, dim), to `grad_write_row`."""
        # At the address weights: dL/dM_t . (m'_t - M_{t-1}[i]); summed with what the read adds.
        torch.sub(write_row, self.memory_at[t], out=self.scratch)
        self.scratch.mul_(self.grad_memory)
        grad_write_row.add_(torch.bmm(self.weights_at[t], self.grad_memory))

    def read(self, t: int, grad_read_row: Tensor) -> None:
        """Back through Eqs. 4 and 3 of step t, given the gradient at m-bar_t, shape (batch, 1, dim)."""
        z, memory, grad_scores = self.weights_at[t], self.memory_at[t], self.grad_scores
        self.scratch.addcmul_(memory, grad_read_row)
        torch.sum(self.scratch, -1, out=self.grad_scores_row)
        _softmax_backward(grad_scores, z)
        torch.bmm(grad_scores, memory, out=self.grad_query_at[t])
        # At M_{t-1}: (1 - z) dL/dM_t + z dL/dm-bar_t, and the scores' gradient times q_t.
        self.grad_memory.lerp_(grad_read_row, self.weights_t_at[t]).addcmul_(self.grad_scores_t, self.query_at[t])

    def last(self) -> tuple[Tensor, Tensor]:
        """Gradients of the queries and of M_0."""
        return self.grad_queries, self.grad_memory


class TableForward:
    """Eqs. 3, 4 and 7 with a table in place of the memories; arguments and methods of `SlotsForward`."""

    def __init__(self, queries: Tensor, memory: Tensor, *, record: Sequence[int], keep: bool) -> None:
        steps, batch, dim = queries.shape
        self.memory = memory.contiguous()
        self.queries = queries.transpose(0, 1).contiguous()
        rows, num_slots = steps + 1, memory.shape[1]
        table_size, row_size = (rows if keep else 1, batch, rows, num_slots), (steps, batch, 1, rows)
        sizes = table_size, (steps, batch, 1, num_slots), row_size, row_size, record
        self.tables, self.weights, self.coefficients, self.targets, self.record = _one_allocation(queries, *sizes)
        torch.bmm(self.queries, self.memory.mT, out=self.tables[0, :, :steps])
        self.tables[0, :, steps] = 1
        # One table a step, or, without a backward pass to come, one for all: views of it, made at once for all steps.
        table_a_step = self.tables if keep else self.tables.expand(rows, -1, -1, -1)
        self.table_at, self.table_t_at = table_a_step.unbind(), table_a_step.mT.unbind()
        self.scores_at = table_a_step[:steps].diagonal(0, 0, 2).permute(2, 0, 1).unsqueeze(2).unbind()
        self.left_at = table_a_step[:, :, steps:].unbind()
        self.weights_at, self.coefficients_at = self.weights.unbind(), self.coefficients.unbind()
        self.targets_at, self.targets_t_at = self.targets.unbind(), self.targets.mT.unbind()
        self.one_hot_at = torch.eye(rows, dtype=queries.dtype, device=queries.device).unbind()
        # Rows of steps done, and of steps to come; zero where not, so that products leave them out.
        self.written, self.to_come = queries.new_zeros(2, batch, rows, dim)
        self.to_come[:, :steps] = self.queries
        self.written_at, self.to_come_at = self.written.unsqueeze(2).unbind(1), self.to_come.unbind(1)
        self.to_come_t = self.to_come.mT
        self.left, self.read_vector = torch.empty_like(self.weights[0]), queries.new_empty(batch, 1, dim)
        self.read_row = self.read_vector.squeeze(1)

    @staticmethod
    def bytes_a_step(memory: Tensor) -> int:
        """What a step keeps for the backward pass, in a table of `TABLE_STEPS`."""
        return (TABLE_STEPS + 2) * memory[..., 0].numel() * memory.element_size()

    def read(self, t: int) -> Tensor:
        """As in `SlotsForward`."""
        z, coefficients, scores = self.weights_at[t], self.coefficients_at[t], self.scores_at[t]
        torch.softmax(scores, -1, out=z)
        scores.zero_()  # from here on this row counts what the step writes
        torch.bmm(z, self.table_t_at[t], out=coefficients)
        torch.mul(z, self.left_at[t], out=self.left)
        torch.bmm(self.left, self.memory, out=self.read_vector)
        self.read_vector.baddbmm_(coefficients, self.written)
        return self.read_row

    def write(self, t: int, write_row: Tensor) -> None:
        """As in `SlotsForward`."""
        self.written_at[t].copy_(write_row)
        self.to_come_at[t].zero_()
        torch.baddbmm(self.one_hot_at[t], write_row, self.to_come_t, out=self.targets_at[t])
        torch.lerp(self.table_at[t], self.targets_t_at[t], self.weights_at[t], out=self.table_at[t + 1])

    def last(self) -> Tensor:
        """As in `SlotsForward`."""
        of_written, left = self.table_at[-1].split_with_sizes([len(self.weights), 1], 1)
        return torch.baddbmm(self.memory * left.mT, of_written.mT, self.written[:, :-1])

    def kept(self) -> tuple[Tensor, ...]:
        """As in `SlotsForward`."""
        return self.queries, self.memory, self.written, self.tables, self.weights, self.coefficients, self.targets


class TableBackward:
    r"""Back through `TableForward`; arguments and methods of `SlotsBackward`.

    With G the gradient at the table T after a step, those at the address weights and at the table before it are
    :math:`v^\top G + \sum_r K_r T_r` and :math:`G + z K`, where K is what the step's read asks of each row, less G.
    """

    def __init__(self, kept: Sequence[Tensor], grad_memory: Tensor) -> None:
        self.queries, self.memory, self.written, self.tables, self.weights, coefficients, targets = kept
        steps, (batch, _, dim) = len(targets), self.queries.shape
        of_written, left = self.tables[-1].split_with_sizes([steps, 1], 1)
        self.grad_memory = grad_memory * left.mT
        self.grad_table, self.grad_written = torch.empty_like(self.tables[0]), torch.zeros_like(self.written)
        torch.bmm(self.written[:, :steps], grad_memory.mT, out=self.grad_table[:, :steps])
        torch.sum(grad_memory * self.memory, -1, out=self.grad_table[:, steps])
        torch.bmm(of_written, grad_memory, out=self.grad_written[:, :steps])
        self.to_come, self.before = torch.zeros_like(self.written), self.written.clone()
        self.grad_reads = self.queries.new_empty(steps, batch, 1, dim)
        self.grad_targets, self.grad_coefficients = torch.empty_like(targets), torch.empty_like(targets[0])
        self.asked, self.product = torch.empty_like(self.grad_table), torch.empty_like(self.grad_table)
        self.grad_weights, self.grad_left, self.more = self.weights.new_empty(3, *self.weights.shape[1:])

        self.table_at, self.weights_at, self.targets_at = self.tables.unbind(), self.weights.unbind(), targets.unbind()
        self.coefficients_t_at, self.grad_reads_at = coefficients.mT.unbind(), self.grad_reads.unbind()
        self.grad_targets_at, self.grad_coefficients_t = self.grad_targets.unbind(), self.grad_coefficients.mT
        self.query_at, self.to_come_at, self.before_at = (
            rows.unbind(1) for rows in (self.queries, self.to_come, self.before)
        )
        self.grad_written_at = self.grad_written.unsqueeze(2).unbind(1)
        self.grad_table_at = self.grad_table.unsqueeze(2).unbind(1)
        self.memory_t, self.before_t, self.grad_table_t = self.memory.mT, self.before.mT, self.grad_table.mT
        self.asked_of_left = self.asked[:, steps:]

    def write(self, t: int, write_row: Tensor, grad_write_row: Tensor) -> None:
        """As in `SlotsBackward`."""
        grad_targets = self.grad_targets_at[t]
        torch.bmm(self.weights_at[t], self.grad_table_t, out=grad_targets)
        grad_write_row.add_(torch.bmm(grad_targets, self.to_come)).add_(self.grad_written_at[t])
        self.to_come_at[t].copy_(self.query_at[t])

    def read(self, t: int, grad_read_row: Tensor) -> None:
        """As in `SlotsBackward`."""
        z, asked, grad_weights, grad_read = self.weights_at[t], self.asked, self.grad_weights, self.grad_reads_at[t]
        grad_read.copy_(grad_read_row)
        self.before_at[t].zero_()
        torch.bmm(grad_read, self.before_t, out=self.grad_coefficients)
        torch.bmm(grad_read, self.memory_t, out=self.grad_left)
        self.grad_written.baddbmm_(self.coefficients_t_at[t], grad_read)
        torch.sub(self.grad_coefficients_t, self.grad_table, out=asked)
        self.asked_of_left.add_(self.grad_left)
        torch.bmm(self.targets_at[t], self.grad_table, out=grad_weights)
        torch.mul(asked, self.table_at[t], out=self.product)
        grad_weights.add_(torch.sum(self.product, 1, keepdim=True, out=self.more))
        self.grad_table.addcmul_(asked, z)
        _softmax_backward(grad_weights, z)
        self.grad_table_at[t].copy_(grad_weights)

    def last(self) -> tuple[Tensor, Tensor]:
        """As in `SlotsBackward`."""
        steps = len(self.weights)
        grad_scores = self.grad_table[:, :steps]
        by_step = self.grad_targets[..., 0, :steps].transpose(0, 1).triu(1)
        grad_queries = torch.bmm(grad_scores, self.memory).baddbmm_(by_step.mT, self.written[:, :steps])
        read_of_first = (self.weights.squeeze(2) * self.tables[:-1, :, steps]).permute(1, 2, 0)
        self.grad_memory.baddbmm_(grad_scores.mT, self.queries)
        self.grad_memory.baddbmm_(read_of_first, self.grad_reads.squeeze(2).transpose(0, 1))
        return grad_queries.transpose(0, 1), self.grad_memory


def _softmax_backward(grad: Tensor, weights: Tensor) -> None:
    """From the gradient at the weights to that at the scores, in place."""
    grad.mul_(weights)
    grad.addcmul_(weights, grad.sum(-1, keepdim=True), value=-1)


def _one_allocation(like: Tensor, *sizes: Sequence[int]) -> list[Tensor]:
    """Empty tensors in one block, which glibc keeps for the next call; several large ones it would give back."""
    numbers = [math.prod(size) for size in sizes]
    parts = like.new_empty(sum(numbers)).split_with_sizes(numbers)
    return [part.view(*size) for part, size in zip(parts, sizes, strict=True)]
