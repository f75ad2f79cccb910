r"""The memory's part of `function.memory_sequence` (Eqs. 3, 4 and 7), forward and backward by hand.

Every :math:`M_t` is kept. A step touches (slots, dim) numbers a dozen times: next to nothing for ten slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class SlotsForward:
    """Eqs. 3, 4 and 7, the memory itself kept at every step.

    Args:
        queries: q_t, shape (time, batch, dim).
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


def _softmax_backward(grad: Tensor, weights: Tensor) -> None:
    """From the gradient at the weights to that at the scores, in place."""
    grad.mul_(weights)
    grad.addcmul_(weights, grad.sum(-1, keepdim=True), value=-1)


def _one_allocation(like: Tensor, *sizes: Sequence[int]) -> list[Tensor]:
    """Empty tensors in one block, which glibc keeps for the next call; several large ones it would give back."""
    numbers = [math.prod(size) for size in sizes]
    parts = like.new_empty(sum(numbers)).split_with_sizes(numbers)
    return [part.view(*size) for part, size in zip(parts, sizes, strict=True)]
