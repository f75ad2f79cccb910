"""Meta-training end to end: forward and backward of whole episodes, beside the encoder's alone on the same images."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from fastslow.methods.models import build_learner, preset

BARE, FULL = "encoder alone", "fastslow"
FORMS = (BARE, FULL)
#: Tasks a step by ways; one query a class.
TASKS = {5: 16, 20: 4}


def make(form: str, n_way: int) -> Any:
    """One form of the work as a function without arguments."""
    torch.manual_seed(0)
    tasks = TASKS[n_way]
    learner = build_learner(preset("default", n_way=n_way))
    encoder = learner.network.encoder.eval()
    images = torch.rand(tasks * 2 * n_way, 1, 28, 28)
    labels = torch.arange(n_way).expand(tasks, -1)

    def bare() -> None:
        learner.zero_grad()
        encoder(images).square().mean().backward()

    def full() -> None:
        learner.zero_grad()
        features = encoder(images).reshape(tasks, 2 * n_way, -1)
        logits = learner(features[:, :n_way], labels, features[:, n_way:])
        F.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()

    return {BARE: bare, FULL: full}[form]
