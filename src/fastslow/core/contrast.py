"""A loss that sets classes apart within one batch, and views of drawings that stand for classes to come."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.views import NUM_VIEWS

#: Rotations by 90 degrees, each taken for a class of its own.
NUM_TURNS = NUM_VIEWS // 2


def contrast(
    features: Float[Tensor, "examples features"], labels: Int64[Tensor, " examples"], sharpness: Tensor
) -> Float[Tensor, ""]:
    r"""Each example finds the others of its class among all others (Khosla et al., 2020, by distance).

    .. math:: -\frac 1 n \sum_i \log \frac{\sum_{j \ne i,\ y_j = y_i} e^{-s d_{ij} / 2}}
                                         {\sum_{j \ne i} e^{-s d_{ij} / 2}}

    with squared distances d, over the n examples that are not alone in their class.

    Args:
        features: of a batch, shape (examples, features).
        labels: of their classes, any numbers, shape (examples,).
        sharpness: s, a positive scalar.

    Returns:
        Mean over those that are not alone, nats; 0 where all are.
    """
    logits = -0.5 * sharpness * torch.cdist(features, features).square()
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    alike = (labels.unsqueeze(1) == labels) & ~itself
    asked = alike.any(1)
    if not bool(asked.any()):
        return features.sum() * 0
    logits, alike, itself = logits[asked], alike[asked], itself[asked]
    all_others = logits.masked_fill(itself, -torch.inf).logsumexp(1)
    return (all_others - logits.masked_fill(~alike, -torch.inf).logsumexp(1)).mean()


def turned(
    images: Float[Tensor, "batch 1 size size"], labels: Int64[Tensor, " batch"]
) -> tuple[Float[Tensor, "turned 1 size size"], Int64[Tensor, " turned"]]:
    """Images by 0, 90, 180 and 270 degrees, each turn of a class a class by itself (Zhu et al., 2021, PASS).

    Args:
        images: shape (batch, 1, size, size).
        labels: of their classes, from 0, shape (batch,).

    Returns:
        All images as they are, then all turned by 90 degrees, ...; and labels that tell class and turn.
    """
    turns = torch.cat([torch.rot90(images, turn, (2, 3)) for turn in range(NUM_TURNS)])
    return turns, torch.cat([labels * NUM_TURNS + turn for turn in range(NUM_TURNS)])
