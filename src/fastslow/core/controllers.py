"""The LSTM controller (Eqs. 2, 5, 6), written out so that Eq. 10 has a closed form on it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.checks import refuse_unless_whole
from fastslow.core.fitting import refuse_other_batch, refuse_other_type
from fastslow.errors import InputError


class ControllerState(NamedTuple):
    """What an LSTM carries from step to step.

    Attributes:
        hidden: h, shape (batch, dim).
        cell: c, shape (batch, dim).
    """

    hidden: Tensor
    cell: Tensor


class Gates(NamedTuple):
    """The inside of one LSTM step: enough to go back through it without autograd.

    Attributes:
        input: i, shape (..., dim), after the sigmoid.
        forget: f, likewise; None in a step from zeros, where there is nothing to forget.
        candidate: g, after the hyperbolic tangent.
        output: o, after the sigmoid.
        prev_cell: c_{t-1}; None in a step from zeros.
        cell: c_t.
        squashed: tanh(c_t).
        hidden: h_t = o * tanh(c_t), the step's output.
    """

    input: Tensor
    forget: Tensor | None
    candidate: Tensor
    output: Tensor
    prev_cell: Tensor | None
    cell: Tensor
    squashed: Tensor
    hidden: Tensor


def lstm_gates(preactivation: Float[Tensor, "*batch gates"], prev_cell: Float[Tensor, ...] | None) -> Gates:
    """Gates, cell and output of one LSTM step, from its pre-activations in the order of `nn.LSTMCell` (i, f, g, o).

    Args:
        preactivation: W_ih x + b_ih + W_hh h + b_hh, shape (..., 4 * dim); in a step from zeros there is nothing to
            forget and no f: (i, g, o), shape (..., 3 * dim).
        prev_cell: c_{t-1}, shape (..., dim) or one that broadcasts to it; None for a step from zeros.

    Returns:
        The gates, each of shape (..., dim).
    """
    if prev_cell is None:
        i, g, o = preactivation.chunk(3, dim=-1)
        i, g, o = torch.sigmoid(i), torch.tanh(g), torch.sigmoid(o)
        cell = i * g
        squashed = torch.tanh(cell)
        return Gates(i, None, g, o, None, cell, squashed, o * squashed)
    i, f, g, o = preactivation.chunk(4, dim=-1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    cell = torch.addcmul(f * prev_cell, i, g)
    squashed = torch.tanh(cell)
    return Gates(i, f, g, o, prev_cell, cell, squashed, o * squashed)


class LSTMController(nn.Module):
    """One LSTM cell: the input, the output and the write controller of the paper are each one of these.

    Same mathematics and parameter names as `nn.LSTMCell`, so that weights move between the two. It exists because
    Eq. 10 needs the gates, and because `torch.func.vmap` has no rule for `nn.LSTMCell`.

    Args:
        input_size: features of the input.
        dim: features of the output and of the state, k in the paper.
        forget_bias: of the forget gates, to start from: at b a step keeps a share of sigmoid(b) of its state.
        generator: source of the initial weights; torch's global one if None.
    """

    #: Biases added to each pre-activation: b_ih and b_hh.
    num_biases = 2

    def __init__(
        self, *, input_size: int, dim: int, forget_bias: float = 0.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        input_size, dim = refuse_unless_whole("input_size", input_size, 1), refuse_unless_whole("dim", dim, 1)
        self.input_size, self.dim = input_size, dim
        self.weight_ih = nn.Parameter(torch.empty(4 * dim, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * dim, dim))
        self.bias_ih = nn.Parameter(torch.zeros(4 * dim))
        self.bias_ih.data[dim : 2 * dim] = forget_bias
        self.bias_hh = nn.Parameter(torch.zeros(4 * dim))
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.uniform_(weight, -1 / math.sqrt(dim), 1 / math.sqrt(dim), generator)

    def initial_state(self, batch_size: int) -> ControllerState:
        """Zeros, shape (batch_size, dim) each, on the device and in the dtype of the weights."""
        zeros = self.weight_ih.new_zeros(batch_size, self.dim)
        return ControllerState(zeros, zeros)

    def step_input(
        self, inputs: Float[Tensor, "batch *queries features"], state: ControllerState
    ) -> Float[Tensor, "batch *queries joined"]:
        """U = [x ; h], which Eq. 10's outer products are made of; shape (..., input_size + dim)."""
        refuse_other_batch(inputs.shape[0], state.hidden.shape[0])
        hidden = state.hidden if inputs.ndim == 2 else state.hidden.unsqueeze(1).expand(-1, inputs.shape[1], -1)
        return torch.cat([inputs, hidden], dim=-1)

    def preactivation(
        self, inputs: Float[Tensor, "batch *queries features"], state: ControllerState
    ) -> Float[Tensor, "batch *queries gates"]:
        """The gates before their non-linearities: W_ih x + b_ih + W_hh h + b_hh, shape (..., 4 * dim)."""
        if inputs.shape[-1] != self.input_size:
            raise InputError(f"got inputs of {inputs.shape[-1]} features; this controller takes {self.input_size}")
        refuse_other_type("inputs", inputs, self.weight_ih)
        from_state = F.linear(state.hidden, self.weight_hh, self.bias_hh)
        from_inputs = F.linear(inputs, self.weight_ih, self.bias_ih)
        return from_inputs + (from_state if inputs.ndim == 2 else from_state.unsqueeze(1))

    def gates(self, preactivation: Float[Tensor, "batch *queries gates"], state: ControllerState) -> Gates:
        """The inside of the step, from its pre-activations and the state before it."""
        return lstm_gates(preactivation, state.cell if preactivation.ndim == 2 else state.cell.unsqueeze(1))

    def forward(
        self, inputs: Float[Tensor, "batch *queries features"], state: ControllerState | None = None
    ) -> tuple[Float[Tensor, "batch *queries dim"], ControllerState]:
        """One step; or, for inputs of shape (batch, queries, features), one step each from the same state.

        Args:
            inputs: shape (batch, input_size) or (batch, queries, input_size).
            state: the state before the step, zeros if None; not modified.

        Returns:
            The output, shape (batch, dim) or (batch, queries, dim), and the state after the step (whose `hidden`
            is that output).

        Raises:
            ValueError: if `inputs` has other than `input_size` features, or another batch size or type than the state.
        """
        state = state or self.initial_state(inputs.shape[0])
        refuse_other_batch(inputs.shape[0], state.hidden.shape[0])
        gates = self.gates(self.preactivation(inputs, state), state)
        return gates.hidden, ControllerState(gates.hidden, gates.cell)
