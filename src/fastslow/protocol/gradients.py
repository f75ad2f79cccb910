"""How near the predicted gradients are to the true ones on a task (Eq. 11): a diagnosis, no training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.feedback import true_gradients
from fastslow.core.predictors import gradient_quality
from fastslow.methods.base import Task
from fastslow.methods.networks import MemoryMethod, SupportStep


def gradient_quality_of(method: MemoryMethod[Any], task: Task) -> dict[str, dict[str, float]]:
    """How near each predictor is to the true gradient of the query loss.

    Args:
        method: learns the support sets, each as a whole, and answers the query sets. Not modified.
        task: tasks side by side, features as `Method.embed` gives them.

    Returns:
        By controller that learns fast: cosine, relative error and both norms, in the unit of a loss summed over the
        queries (`GradientQuality`); means over tasks and support steps. A controller whose outputs the loss does not
        depend on is left out.
    """
    with torch.enable_grad():
        steps, state = method.learn_steps(task.support, task.support_labels)
        logits = method.answer(task.query, state)
        loss = F.cross_entropy(logits.flatten(0, 1), task.query_labels.flatten(), reduction="sum")
        pairs = {name: _pairs(steps, loss, name) for name in method.fast_controllers}
    return {
        name: {part: float(value) for part, value in gradient_quality(*found)._asdict().items()}
        for name, found in pairs.items()
        if found is not None
    }


def _pairs(steps: list[SupportStep], loss: Tensor, controller: str) -> tuple[Tensor, Tensor] | None:
    """Predicted and true gradients of one controller, each (all examples of all steps, dim)."""
    true = true_gradients(loss, [step.activations[controller] for step in steps])
    guesses = [step.synthetic_grads[controller] for step in steps]
    found = [(guess, grad) for guess, grad in zip(guesses, true, strict=True) if grad is not None]
    if not found:
        return None
    # Steps of a large support set may be of different numbers of examples.
    predicted, wanted = (torch.cat([grad.flatten(0, -2) for grad in part]) for part in zip(*found, strict=True))
    return predicted, wanted
