"""Eq. 10 by itself: a controller learns from predicted gradients alone, and nothing is backpropagated."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.core.feedback import join_gradients
from fastslow.core.literal_memory import MemoryNetwork
from fastslow.core.predictors import GradientPredictor
from fastslow.training.online.synthetic import predict_window, window_update
from fastslow.training.online.unroll import unroll


def forward_only_step(
    network: MemoryNetwork,
    predictor: GradientPredictor,
    inputs: Float[Tensor, "window batch *shape"],
    codes: Float[Tensor, "window batch targets"],
    optimiser: torch.optim.Optimizer,
) -> None:
    """One step of the output controller of a network on one window; all else stays as it is.

    The gradient at the controller's output depends on that output, the target and the decoder alone, as far as it acts
    through the answer: a predictor that was fitted beside one network is right beside another with the same decoder.

    Args:
        network: whose output controller learns. Its memory begins with the window.
        predictor: of a gradient at an output controller's output, see `GradientPredictor`; not modified.
        inputs: shape (window, batch, ...).
        codes: the targets as predictors see them, shape (window, batch, targets).
        optimiser: of the controller's parameters. It is given the mean over the window's examples, in the unit of the
            predictor, that of a running scale: one that is blind to scale, such as Adam, goes with it.
    """
    controller = network.memory.output_controller
    with torch.no_grad():
        unrolled = unroll(network, inputs, network.initial_state(inputs.shape[1]))
        trace = unrolled.traces["output"]
        predicted, _ = predict_window(predictor, trace.activations, codes, predictor.initial_state(inputs.shape[1]))
    grads = window_update(controller, trace, predicted)
    join_gradients(controller, grads, weight=1 / codes[..., 0].numel(), join="replaced")
    optimiser.step()
