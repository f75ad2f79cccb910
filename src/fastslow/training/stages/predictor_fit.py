"""Eq. 11 beside the query loss: predictors are fitted to the true gradients, and nothing else is moved by it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.feedback import true_gradients
from fastslow.core.predictors import RunningRMS, predictor_loss
from fastslow.methods.base import Task
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.networks import MemoryMethod, SupportStep
from fastslow.methods.paper_rule import LiteralFastSlow
from fastslow.training import distributed


class PredictorFit:
    """A term of the loss of tasks that has the gradient of Eq. 11 by the predictors' own parameters, and no other.

    Args:
        method: whose predictors; one without has no such term.
        weight: of Eq. 11 beside the query loss.
    """

    def __init__(self, method: MemoryMethod[Any], weight: float) -> None:
        self.weight, self.predictors = weight, predictors_of(method)
        device = method.encoder.log_sharpness.device
        self.scales = nn.ModuleDict({name: RunningRMS() for name in self.predictors}).to(device)

    def term(self, loss: Float[Tensor, ""], steps: list[SupportStep]) -> Float[Tensor, ""]:
        """To be added to a loss: of value 0, so that the loss that is shown stays that of the queries.

        Args:
            loss: of the queries; the graph is kept.
            steps: what was learned on the way.
        """
        term = loss.new_zeros(())
        for name, predictor in self.predictors.items():
            parameters = [p for p in predictor.parameters() if p.requires_grad]
            fit = self._fit(name, loss, steps) if parameters else None
            if fit is not None:
                grads = torch.autograd.grad(self.weight * fit, parameters, retain_graph=True)
                # Eq. 11 moves neither controllers nor encoder: of `fit` only these gradients go on, and the sum of
                # each with its parameter has just them.
                term = term + sum((p * g).sum() for p, g in zip(parameters, grads, strict=True))
        return term - term.detach()

    def _fit(self, name: str, loss: Tensor, steps: list[SupportStep]) -> Tensor | None:
        """Eq. 11 of one controller, mean over steps; None where the loss does not depend on it."""
        true = true_gradients(loss, [step.activations[name] for step in steps])
        pairs = [(s.synthetic_grads[name], t) for s, t in zip(steps, true, strict=True) if t is not None]
        if not pairs:
            return None
        scale = self.scales[name]
        assert isinstance(scale, RunningRMS)
        scale.update(torch.cat([t.flatten(0, -2) for _, t in pairs]))
        distributed.average_buffers(scale)
        return torch.stack([predictor_loss(s, t, scale.scale) for s, t in pairs]).mean()


def predictors_of(method: MemoryMethod[Any]) -> dict[str, nn.Module]:
    """Gradient predictors by the controller that each is for; none for a method without a fast path."""
    if isinstance(method, FastSlow):
        return {"write": method.predictor}
    if isinstance(method, LiteralFastSlow):
        return {name: getattr(method.predictors, name) for name in method.fast_controllers}
    return {}


def learned_with_steps(method: MemoryMethod[Any], task: Task) -> tuple[list[SupportStep], Any]:
    """As `Method.loss` learns a task, with what happened on the way."""
    state, steps = None, []
    for part in (slice(0, task.cut), slice(task.cut, None)) if task.cut else (slice(None),):
        taken, state = method.learn_steps(task.support[:, part], task.support_labels[:, part], state)
        steps += taken
    return steps, state
