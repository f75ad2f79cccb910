"""Learning one task and answering its queries at batch 1, beside MAML on the same encoder.

MAML here is the leanest there is: first order, plain gradient steps by `torch.func` on encoder and linear head, no
outer graph. Its normalisation statistics are frozen, which spares it work.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F

from fastslow.methods.models import build_learner, preset

ENCODER, LEARN, MAML = "encoder", "fastslow", "MAML, 5 steps"
CLASSIFY, MAML_CLASSIFY = "fastslow + queries", "MAML + queries"
FORMS = (ENCODER, LEARN, MAML, CLASSIFY, MAML_CLASSIFY)
QUERIES_PER_CLASS = 15
MAML_STEPS, MAML_RATE = 5, 0.4


class _Adapted(nn.Module):
    """An encoder with a linear head, for MAML."""

    def __init__(self, encoder: nn.Module, n_way: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.num_features, n_way)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))


def make(form: str, n_way: int) -> Any:
    """One form of the work as a function without arguments."""
    torch.manual_seed(0)
    learner = build_learner(preset("default", n_way=n_way)).eval()
    support, labels = torch.rand(n_way, 1, 28, 28), torch.arange(n_way)
    queries = torch.rand(QUERIES_PER_CLASS * n_way, 1, 28, 28)
    encoder = learner.network.encoder.folded()

    def learn(then_answer: bool) -> object:
        with torch.inference_mode():
            _, state = learner.learn(encoder(support).unsqueeze(0), labels.unsqueeze(0))
            return learner.answer(encoder(queries).unsqueeze(0), state) if then_answer else state

    adapted = _Adapted(learner.network.encoder, n_way).eval()
    start = {name: parameter.detach() for name, parameter in adapted.named_parameters()}
    gradient = grad(lambda parameters: F.cross_entropy(functional_call(adapted, parameters, (support,)), labels))

    def maml(then_answer: bool) -> object:
        parameters = start
        for _ in range(MAML_STEPS):
            grads = gradient(parameters)
            parameters = {name: value - MAML_RATE * grads[name] for name, value in parameters.items()}
        with torch.no_grad():
            return functional_call(adapted, parameters, (queries,)) if then_answer else parameters

    def encode() -> object:
        with torch.inference_mode():
            return encoder(support)

    return {
        ENCODER: encode,
        LEARN: lambda: learn(False),
        MAML: lambda: maml(False),
        CLASSIFY: lambda: learn(True),
        MAML_CLASSIFY: lambda: maml(True),
    }[form]
