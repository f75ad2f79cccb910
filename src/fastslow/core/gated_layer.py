"""A controller without state: the LSTM cell (Eqs. 2, 5, 6) in a step from zeros, where there is nothing to forget."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.checks import refuse_unless_whole
from fastslow.core.controllers import Gates, lstm_gates
from fastslow.core.fitting import refuse_other_type
from fastslow.errors import InputError


class GatedLayer(nn.Module):
    """An LSTM cell whose every step starts from zeros: gates i, g and o; no step depends on another.

    Args:
        input_size: features of the input.
        dim: features of the output, k in the paper.
        generator: source of the initial weights; torch's global one if None.
    """

    def __init__(self, *, input_size: int, dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        input_size, dim = refuse_unless_whole("input_size", input_size, 1), refuse_unless_whole("dim", dim, 1)
        self.input_size, self.dim = input_size, dim
        self.weight = nn.Parameter(torch.empty(3 * dim, input_size))
        self.bias = nn.Parameter(torch.zeros(3 * dim))
        nn.init.uniform_(self.weight, -1 / math.sqrt(dim), 1 / math.sqrt(dim), generator)

    def preactivation(self, inputs: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch gates"]:
        """The gates before their non-linearities, in the order i, g, o: shape (..., 3 * dim).

        Raises:
            ValueError: if `inputs` has other than `input_size` features, or is of another type than the weights.
        """
        if inputs.shape[-1] != self.input_size:
            raise InputError(f"got inputs of {inputs.shape[-1]} features; this controller takes {self.input_size}")
        refuse_other_type("inputs", inputs, self.weight)
        return F.linear(inputs, self.weight, self.bias)

    def gates(self, preactivation: Float[Tensor, "*batch gates"]) -> Gates:
        """The inside of the step, from its pre-activations."""
        return lstm_gates(preactivation, None)

    def forward(self, inputs: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch dim"]:
        """One step for each row of `inputs`, shape (..., input_size): outputs of shape (..., dim)."""
        return self.gates(self.preactivation(inputs)).hidden
