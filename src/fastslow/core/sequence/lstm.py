"""An `LSTMController` over a whole sequence of inputs that are there already, as one fused call."""

from __future__ import annotations

import torch
from torch import Tensor

from fastslow.core.controllers import ControllerState, LSTMController


def lstm_sequence(controller: LSTMController, inputs: Tensor, state: ControllerState) -> tuple[Tensor, ControllerState]:
    """The step-by-step loop over `controller`, up to rounding.

    Args:
        controller: a recurrent one.
        inputs: shape (time, batch, input_size).
        state: the state before the first step; not modified.

    Returns:
        The outputs, shape (time, batch, dim), and the state after the last step.
    """
    initial = [part.unsqueeze(0) for part in state]
    # Biases, one layer, no dropout, the form for training (the one with gradients), one direction, time first.
    options = (True, 1, 0.0, True, False, False)
    outputs, *last = torch.lstm(inputs, initial, recurrent_parameters(controller), *options)
    return outputs, ControllerState(*(part.squeeze(0) for part in last))


def recurrent_parameters(controller: LSTMController) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_ih, W_hh, b_ih and b_hh of a recurrent controller."""
    return controller.weight_ih, controller.weight_hh, controller.bias_ih, controller.bias_hh
