"""Eq. 10 as a vector-Jacobian product, and the true gradients of Eq. 11: the only file that calls autograd by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.controllers import ControllerState, LSTMController

#: How synthetic gradients join true ones, see `join_gradients`.
Join = Literal["added", "replaced", "matched"]


def synthetic_update(
    controller: LSTMController,
    inputs: Float[Tensor, "batch features"],
    state: ControllerState,
    synthetic_grad: Float[Tensor, "batch dim"],
) -> dict[str, Tensor]:
    r"""The direction that a predicted gradient gives the weights of one controller.

    Eq. 10 without its step size: :math:`J^\top SG(a_t, y_t)`, with J the Jacobian of ONE step of this controller
    by its own parameters, its input and previous state held fixed. It moves this controller only, and needs no
    backward pass through anything else.

    Args:
        controller: the controller that learns. Not modified.
        inputs: what it read at this step, shape (batch, features). Detached here: the paper's Jacobian stops there.
        state: its state before the step; detached here likewise.
        synthetic_grad: SG(a_t, y_t), shape (batch, dim), of a loss summed over the batch; detached here.

    Returns:
        One gradient per parameter, by parameter name; summed over the batch, in the unit of `synthetic_grad`.
    """
    names, parameters = zip(*controller.named_parameters(), strict=True)
    with torch.enable_grad():
        # detach: cuts the paths into the encoder, the memory and the previous step.
        state = ControllerState(state.hidden.detach(), state.cell.detach())
        output, _ = controller(inputs.detach(), state)
        # detach: cuts the path into the predictor, which Eq. 11 alone trains.
        grads = torch.autograd.grad(output, parameters, grad_outputs=synthetic_grad.detach())
    return dict(zip(names, grads, strict=True))


def true_gradients(loss: Float[Tensor, ""], activations: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of a loss by each controller output: what the predictors are fitted to (Eq. 11).

    Args:
        loss: the scalar task loss; its graph is kept, so that `backward` may follow.
        activations: controller outputs of the graph.

    Returns:
        One detached gradient an activation, in the reduction of `loss`; None where the loss does not depend on it,
        as for the last write vector of a window.
    """
    grads = torch.autograd.grad(loss, list(activations), retain_graph=True, allow_unused=True)
    return [None if grad is None else grad.detach() for grad in grads]


def join_gradients(module: nn.Module, grads: dict[str, Tensor], *, weight: float, join: Join = "added") -> None:
    """Joins synthetic gradients to the true ones that `backward` left in `.grad`.

    Args:
        module: the controller.
        grads: from `synthetic_update`.
        weight: mix factor of the synthetic gradient.
        join: "added" to the true one; the true one "replaced" by it; or, as a control, "matched": the true one alone,
            as long as the sum of the two would be, so that only the length of the step is learned fast.
    """
    named = dict(module.named_parameters())
    true = [torch.zeros_like(one) if one.grad is None else one.grad for one in named.values()]
    joined = [weight * grads[name] for name in named]
    if join != "replaced":
        joined = [before + synthetic for before, synthetic in zip(true, joined, strict=True)]
    if join == "matched":
        factor = norm_of(joined) / norm_of(true).clamp_min(1e-30)
        joined = [before * factor for before in true]
    for parameter, grad in zip(named.values(), joined, strict=True):
        parameter.grad = grad


def norm_of(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all the numbers together; 0 of none."""
    squares = [tensor.square().sum() for tensor in tensors]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())
