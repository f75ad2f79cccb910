r"""Eq. 10 in closed form for one controller: per-task fast weights without autograd.

For an LSTM step with input u = [x ; h] and pre-activations W u, the vector-Jacobian product with a predicted
gradient is an outer product: dL/dW = delta (x) u, where delta comes from the gates alone. Hence after support
steps s = 1..S

.. math:: \Delta W = -\sum_s \alpha\, \delta_s u_s^\top, \qquad
          \Delta W\, u = -\sum_s \alpha\, \delta_s\, (u_s \cdot u),

the second being linear attention over the support steps. Both forms are here and
equal to rounding; `FastWeights.compact` picks the cheaper one by size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.controllers import Gates
from fastslow.errors import InputError

# Of (gradient, output): the gradient times output (1 - output), and times 1 - output^2. One operator each, which can
# itself be differentiated.
_sigmoid_backward: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.sigmoid_backward.default
_tanh_backward: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.tanh_backward.default


def gate_deltas(gates: Gates, synthetic_grad: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch gates"]:
    r"""Takes a gradient at the output of an LSTM step back to its pre-activations.

    The four products of Eq. 10's Jacobian, with the step's input and previous state held fixed:
    :math:`\delta = (d_i, d_f, d_g, d_o)` in the order of `nn.LSTMCell`; no :math:`d_f` in a step from zeros.

    Args:
        gates: the inside of the step, each (..., dim).
        synthetic_grad: SG(a_t, y_t), shape (..., dim).

    Returns:
        dL/d(pre-activations), shape (..., 4 * dim), or (..., 3 * dim) in a step from zeros; in the unit of
        `synthetic_grad`.
    """
    i, f, g, o, prev_cell, _, squashed, _ = gates
    d_cell = _tanh_backward(synthetic_grad * o, squashed)
    d_i, d_g = _sigmoid_backward(d_cell * g, i), _tanh_backward(d_cell * i, g)
    d_o = _sigmoid_backward(synthetic_grad * squashed, o)
    if f is None or prev_cell is None:
        return torch.cat([d_i, d_g, d_o], dim=-1)
    return torch.cat([d_i, _sigmoid_backward(d_cell * prev_cell, f), d_g, d_o], dim=-1)


class StepSize(nn.Module):
    r"""Eq. 10's step size :math:`\alpha`, learned in logarithms so that it stays positive.

    Args:
        start: where it starts; positive.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        if not 0 < start < math.inf:
            raise InputError(f"got a step size of {start}; step sizes are learned in logarithms: positive and finite")
        self.log = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self) -> Tensor:
        """The step size, a scalar."""
        return self.log.exp()


class FastWeights(NamedTuple):
    r"""What one controller has learned from a task's support steps: :math:`\Delta W`, in either form.

    Attributes:
        inputs: u_s, shape (batch, steps, features), of steps not yet folded into `matrix`.
        deltas: :math:`-\alpha \delta_s`, shape (batch, steps, gates).
        num_biases: biases that learn too; each adds 1 to every product of inputs.
        matrix: :math:`\Delta W`, shape (batch, gates, features), or None while nothing is materialised.
        bias: what all biases together have learned, shape (batch, gates); None with `matrix`.
    """

    inputs: Tensor
    deltas: Tensor
    num_biases: int = 0
    matrix: Tensor | None = None
    bias: Tensor | None = None

    @classmethod
    def empty(cls, batch_size: int, features: int, gates: int, like: Tensor, *, num_biases: int = 0) -> FastWeights:
        """No step learned yet: the slow weights alone. Device and dtype are those of `like`."""
        return cls(like.new_zeros(batch_size, 0, features), like.new_zeros(batch_size, 0, gates), num_biases)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been learned yet."""
        return self.matrix is None and self.inputs.shape[1] == 0

    def append(
        self, inputs: Float[Tensor, "batch *steps features"], deltas: Float[Tensor, "batch *steps gates"]
    ) -> FastWeights:
        """One support step more, or several at once, shape (batch, steps, ...); nothing is modified in place."""
        if inputs.ndim == 2:
            inputs, deltas = inputs.unsqueeze(1), deltas.unsqueeze(1)
        if self.inputs.shape[1]:
            inputs, deltas = torch.cat([self.inputs, inputs], 1), torch.cat([self.deltas, deltas], 1)
        return self._replace(inputs=inputs, deltas=deltas)

    def preactivation(self, inputs: Float[Tensor, "batch *queries features"]) -> Float[Tensor, "batch *queries gates"]:
        r"""What the fast weights add to the pre-activations: :math:`\Delta W u`.

        Args:
            inputs: u, shape (batch, features), or (batch, queries, features) for a whole query set at once.

        Returns:
            Shape (batch, gates) or (batch, queries, gates).
        """
        rows = inputs.unsqueeze(1) if inputs.ndim == 2 else inputs
        out = (rows @ self.inputs.mT + self.num_biases) @ self.deltas
        if self.matrix is not None and self.bias is not None:
            out = out + rows @ self.matrix.mT + self.bias.unsqueeze(1)
        return out.squeeze(1) if inputs.ndim == 2 else out

    def materialise(self) -> FastWeights:
        """The same weights with every step folded into `matrix`: cost no longer grows with the steps."""
        matrix, bias = self.deltas.mT @ self.inputs, self.num_biases * self.deltas.sum(1)
        if self.matrix is not None and self.bias is not None:
            matrix, bias = self.matrix + matrix, self.bias + bias
        return FastWeights(self.inputs[:, :0], self.deltas[:, :0], self.num_biases, matrix, bias)

    def compact(self) -> FastWeights:
        """The cheaper form: linear attention while a query costs fewer products that way, else one matrix."""
        steps, features, gates = self.inputs.shape[1], self.inputs.shape[2], self.deltas.shape[2]
        if steps * (features + gates) <= features * gates:
            return self
        return self.materialise()
