"""The finetune regime: the paper's plain reading of meta-testing, gradient steps on the support set.

For the plain memory network this is the only way a support set can act, for labels are not among its inputs. With the
fast path on, each gradient step sees the support stream as the fast path leaves it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from fastslow.methods.episodic import EpisodicLearner


class _TaskStream(nn.Module):
    """One task's support stream through the memory, then its queries; no batch axis."""

    def __init__(self, learner: EpisodicLearner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, support: Tensor, labels: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the support examples as they came, (support, classes), and of the queries after them."""
        state = self.learner.initial_state(1)
        logits = []
        for features, label in zip(support.unbind(), labels.unbind(), strict=True):
            step, state = self.learner.learn_step(features.unsqueeze(0), label.unsqueeze(0), state)
            logits.append(self.learner.network.decoder(step.activations["output"])[0])
        return torch.stack(logits), self.learner.answer(query.unsqueeze(0), state)[0]


def finetune_classifier(
    learner: EpisodicLearner, *, steps: int, rate: float
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A classifier that takes gradient steps on each support set before it answers.

    Memory, controllers and decoder move, from the learner's weights anew for each task; the encoder does not, since
    features come in. The learner itself is not modified.

    Args:
        learner: the network; with no fast controllers it is the plain memory network.
        steps: full-batch gradient steps on the support set's mean cross entropy.
        rate: their step size.

    Returns:
        A function of (support, support labels, query), shaped as in `EpisodicLearner.forward`, to logits.
    """
    stream = _TaskStream(learner)
    moving = {
        name: parameter.detach()
        for name, parameter in stream.named_parameters()
        if parameter.requires_grad and name.startswith(("learner.network.memory.", "learner.network.decoder."))
    }

    def support_loss(parameters: dict[str, Tensor], support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        logits, _ = functional_call(stream, parameters, (support, labels, query))
        return F.cross_entropy(logits, labels)

    def answer(parameters: dict[str, Tensor], support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        _, logits = functional_call(stream, parameters, (support, labels, query))
        assert isinstance(logits, Tensor)
        return logits

    def classify(
        support: Float[Tensor, "batch support features"],
        support_labels: Int64[Tensor, "batch support"],
        query: Float[Tensor, "batch queries features"],
    ) -> Float[Tensor, "batch queries classes"]:
        tasks = len(support)
        parameters = {name: value.expand(tasks, *value.shape) for name, value in moving.items()}
        # The loss does not look at the queries: one is enough there.
        gradient = vmap(grad(support_loss))
        with torch.enable_grad():
            for _ in range(steps):
                grads = gradient(parameters, support, support_labels, query[:, :1])
                parameters = {name: value - rate * grads[name] for name, value in parameters.items()}
        logits: Tensor = vmap(answer)(parameters, support, support_labels, query)
        return logits.detach()

    return classify
