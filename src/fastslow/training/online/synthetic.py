"""Eqs. 9-11 over a window: predicted gradients, true ones, and Eq. 10 joined to what backpropagation left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeGuard

import torch
from torch import Tensor, nn

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.feedback import synthetic_update, true_gradients
from fastslow.core.predictors import GradientPredictor
from fastslow.core.sequence.lstm import lstm_sequence
from fastslow.core.sequence.window import Trace
from fastslow.methods.config import CONTROLLERS
from fastslow.training.online.unroll import Unrolled


def window_true_gradients(loss: Tensor, unrolled: Unrolled) -> dict[str, Tensor]:
    """dL/da_t of the loss summed over examples, shape (known, batch, dim); a last write vector is left out.

    Controllers that the loss does not depend on have no entry.
    """
    anchors = [anchor for name in CONTROLLERS for anchor in unrolled.anchors[name]]
    grads = iter(true_gradients(loss, anchors))
    num_steps, batch_size = unrolled.logits.shape[:2]
    true = {}
    for name in CONTROLLERS:
        known = _known(islice(grads, len(unrolled.anchors[name])))
        if known:
            true[name] = torch.cat([grad.view(-1, batch_size, grad.shape[-1]) for grad in known]) * (
                num_steps * batch_size
            )
    return true


def _known(grads: Iterator[Tensor | None]) -> list[Tensor]:
    return [grad for grad in grads if grad is not None and grad.numel()]


def predict_window(
    predictor: nn.Module, activations: Tensor, codes: Tensor, state: ControllerState
) -> tuple[Tensor, ControllerState]:
    """Eq. 9 at every step of a window, in units of the running scale, and the predictor's state after, cut.

    Args:
        predictor: of one controller.
        activations: a_t, shape (window, batch, dim), cut from the graph of the network, which Eq. 11 does not train.
        codes: the targets, shape (window, batch, targets).
        state: the predictor's state before the window.

    Returns:
        Predictions, shape (window, batch, dim), and the state.
    """
    if _runs_quickly(predictor, activations):
        hidden, state = lstm_sequence(predictor.lstm, torch.cat([activations, codes], -1), state)
        return predictor.head(hidden), _cut(state)
    predictions = []
    for activation, code in zip(activations, codes, strict=True):
        prediction, state = predictor(activation, code, state)
        predictions.append(prediction)
    return torch.stack(predictions), _cut(state)


def _runs_quickly(predictor: nn.Module, activations: Tensor) -> TypeGuard[GradientPredictor]:
    """Whether one fused call does it: for Eq. 9 itself, not a control of it, and as in `unroll` from two steps on."""
    return (
        type(predictor) is GradientPredictor
        and len(activations) > 1
        and not torch.is_autocast_enabled(activations.device.type)
    )


def _cut(state: ControllerState) -> ControllerState:
    # detach: the predictors' truncated backpropagation through time stops at the window as well.
    return ControllerState(state.hidden.detach(), state.cell.detach())


def window_update(controller: LSTMController, trace: Trace, synthetic_grad: Tensor) -> dict[str, Tensor]:
    """`synthetic_update` summed over steps: input and state are held fixed, so the steps are one batch.

    Args:
        controller: the controller that learns.
        trace: of the window; its first steps count, as many as `synthetic_grad` has.
        synthetic_grad: shape (steps, batch, dim).

    Returns:
        One gradient per parameter, by name.
    """
    inputs, cells = (part[: len(synthetic_grad)].flatten(0, 1) for part in (trace.inputs, trace.prev_cells))
    state = ControllerState(inputs[:, controller.input_size :], cells)
    return synthetic_update(controller, inputs[:, : controller.input_size], state, synthetic_grad.flatten(0, 1))
