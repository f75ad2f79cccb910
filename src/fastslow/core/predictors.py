"""Gradient predictors (Eq. 9) and their loss against the true gradient (Eq. 11)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.gated_layer import GatedLayer


class GradientPredictor(nn.Module):
    r"""Says from a controller's output and the target which way the loss would have it move.

    Eq. 9: :math:`\partial L / \partial a_t \approx SG(a_t, y_t)`; an LSTM on [a_t ; y_t] with a linear head.
    The head starts at zero, so an untrained predictor changes nothing.

    Sharing a predictor between controllers or networks is passing one object twice.

    Args:
        dim: features of the controller output, k in the paper.
        target_size: features of the target: classes for a one-hot label, 2 for a position.
        hidden_size: width of the LSTM.
        generator: source of the initial weights; torch's global one if None.
    """

    def __init__(
        self, *, dim: int, target_size: int, hidden_size: int = 64, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.lstm = LSTMController(input_size=dim + target_size, dim=hidden_size, generator=generator)
        self.head = _head_at_zero(hidden_size, dim)

    def initial_state(self, batch_size: int) -> ControllerState:
        """Zeros for the LSTM, shape (batch_size, hidden_size) each."""
        return self.lstm.initial_state(batch_size)

    def forward(
        self,
        activation: Float[Tensor, "batch *examples dim"],
        target: Float[Tensor, "batch *examples targets"],
        state: ControllerState | None = None,
    ) -> tuple[Float[Tensor, "batch *examples dim"], ControllerState]:
        """One step: the predicted gradient and the next state of the LSTM.

        Args:
            activation: the controller's output, shape (batch, dim); or (batch, examples, dim), each from the same
                state. Detach it where the loss of this call must not reach the
                controller (Eq. 11 does, see `predictor_loss`; learning a task wants it attached).
            target: one-hot label or target vector, shape (batch, target_size), likewise.
            state: the LSTM's state before the step; None for a step from zeros.

        Returns:
            dL/da for a loss summed over the batch, in units of the running scale of `RunningRMS` where one
            is in use, in the shape of `activation`; and the state after.
        """
        hidden, state = self.lstm(torch.cat([activation, target], dim=-1), state)
        return self.head(hidden), state


class StatelessPredictor(nn.Module):
    """Eq. 9 without a state: a `GradientPredictor` whose every step starts from zeros.

    Args:
        dim: features of the controller output.
        target_size: features of the target.
        hidden_size: width of the gated layer.
        generator: source of the initial weights; torch's global one if None.
    """

    def __init__(
        self, *, dim: int, target_size: int, hidden_size: int = 64, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.layer = GatedLayer(input_size=dim + target_size, dim=hidden_size, generator=generator)
        self.head = _head_at_zero(hidden_size, dim)

    def forward(
        self, activation: Float[Tensor, "*batch dim"], target: Float[Tensor, "*batch targets"]
    ) -> Float[Tensor, "*batch dim"]:
        """The predicted gradient, in the shape of `activation`; see `GradientPredictor.forward`."""
        predicted: Tensor = self.head(self.layer(torch.cat([activation, target], dim=-1)))
        return predicted


def _head_at_zero(hidden_size: int, dim: int) -> nn.Linear:
    head = nn.Linear(hidden_size, dim)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


class RunningRMS(nn.Module):
    """Running root mean square of the true gradient: the unit in which a predictor is trained.

    A mean-reduced loss gives gradients of about 1e-6, on which a squared error learns nothing; divided by this
    they are about 1.

    Args:
        momentum: share of the past that is kept at each update.
    """

    mean_square: Tensor
    updates: Tensor

    def __init__(self, momentum: float = 0.99) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean_square", torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))

    def update(self, true_grad: Tensor) -> None:
        """Takes one more gradient into the mean; any shape."""
        self.mean_square.lerp_(true_grad.detach().square().mean(), 1 - self.momentum)
        self.updates.add_(1)

    @property
    def scale(self) -> Tensor:
        """The root mean square, corrected for the zero it started from; 1 before the first update. Scalar."""
        if self.updates == 0:
            return torch.ones_like(self.mean_square)
        mean_square = self.mean_square / (1 - self.momentum**self.updates)
        return mean_square.sqrt().clamp_min(1e-30)


class GradientQuality(NamedTuple):
    """How near a prediction is to the true gradient; scalars, means over the batch.

    Attributes:
        cosine: cosine between the two; 0 where either is zero.
        relative_error: norm of the difference over the norm of the true gradient.
        predicted_norm: norm of the prediction, in the unit of the true gradient.
        true_norm: norm of the true gradient.
    """

    cosine: Tensor
    relative_error: Tensor
    predicted_norm: Tensor
    true_norm: Tensor


def predictor_loss(
    synthetic_grad: Float[Tensor, "*batch dim"],
    true_grad: Float[Tensor, "*batch dim"],
    scale: Float[Tensor, ""] | float = 1.0,
) -> Float[Tensor, ""]:
    r"""Eq. 11: squared distance of the predicted from the true gradient, in units of `scale`.

    :math:`L^{SG} = \lVert SG(a_t, y_t) - \tfrac{1}{\text{scale}} \partial L / \partial a_t \rVert^2`, summed over
    features and averaged over the rest.

    Args:
        synthetic_grad: SG(a_t, y_t), shape (..., dim), in units of `scale`.
        true_grad: dL/da_t, shape (..., dim). Detached here: the predictor runs after the truth, not the reverse.
        scale: the unit, such as `RunningRMS.scale`.

    Returns:
        A scalar; non-negative, zero exactly when the prediction is right.
    """
    return (synthetic_grad - true_grad.detach() / scale).square().sum(-1).mean()


@torch.no_grad()
def gradient_quality(
    synthetic_grad: Float[Tensor, "*batch dim"], true_grad: Float[Tensor, "*batch dim"]
) -> GradientQuality:
    """Diagnostics of Eq. 11: cosine, relative error and both norms, of gradients in the same unit."""
    predicted, true = synthetic_grad.flatten(0, -2), true_grad.flatten(0, -2)
    predicted_norm, true_norm = predicted.norm(dim=-1), true.norm(dim=-1)
    cosine = (predicted * true).sum(-1) / (predicted_norm * true_norm).clamp_min(1e-30)
    error = (predicted - true).norm(dim=-1).sum() / true_norm.sum().clamp_min(1e-30)
    return GradientQuality(cosine.mean(), error, predicted_norm.mean(), true_norm.mean())


class Predictors(nn.Module):
    """The three gradient predictors of Sec. 3.2, one per controller. Passing one object twice shares it.

    Args:
        input: SG^IC, of the input controller.
        output: SG^OC, of the output controller.
        write: SG^WC, of the write controller.
    """

    def __init__(self, input: nn.Module, output: nn.Module, write: nn.Module) -> None:
        super().__init__()
        self.input, self.output, self.write = input, output, write
