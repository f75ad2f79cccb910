"""Prototypical networks (Snell, Swersky, Zemel 2017): the reference that tells whether encoder and data are right."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F


def prototype_logits(
    support: Float[Tensor, "batch support features"],
    support_labels: Int64[Tensor, "batch support"],
    query: Float[Tensor, "batch queries features"],
    *,
    n_way: int,
) -> Float[Tensor, "batch queries classes"]:
    """Minus half the squared distance of each query to the mean of each class.

    Args:
        support: features of the support set, shape (batch, support, features).
        support_labels: shape (batch, support), in [0, n_way); every class at least once.
        query: shape (batch, queries, features).
        n_way: number of classes.

    Returns:
        Logits up to their sharpness and a constant a query, shape (batch, queries, n_way).
    """
    members = F.one_hot(support_labels, n_way).to(support.dtype).mT
    prototypes = members @ support / members.sum(-1, keepdim=True)
    return query @ prototypes.mT - 0.5 * prototypes.square().sum(-1).unsqueeze(1)


def pair_loss(features: Float[Tensor, "classes 2 features"], sharpness: Tensor) -> Float[Tensor, ""]:
    """Prototypical loss of one large 1-shot task read both ways: each of two drawings a class finds the other.

    Args:
        features: two examples of each of many classes, shape (classes, 2, features).
        sharpness: scale of the logits, a positive scalar.

    Returns:
        Mean cross entropy in nats.
    """
    first, second = features[:, 0], features[:, 1]
    logits = -0.5 * sharpness * torch.cdist(first, second).square()
    target = torch.arange(len(features), device=features.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.mT, target))


class PrototypeClassifier(nn.Module):
    """Nearest class mean in the encoder's features, with the call of `EpisodicLearner`.

    Args:
        num_classes: the most ways a task can have.
    """

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.log_sharpness = nn.Parameter(torch.tensor(-2.0))

    def forward(
        self,
        support: Float[Tensor, "batch support features"],
        support_labels: Int64[Tensor, "batch support"],
        query: Float[Tensor, "batch queries features"],
    ) -> Float[Tensor, "batch queries classes"]:
        """Logits of the query sets, shape (batch, queries, ways): as many as the support labels name."""
        n_way = int(support_labels.max()) + 1
        return self.log_sharpness.exp() * prototype_logits(support, support_labels, query, n_way=n_way)
