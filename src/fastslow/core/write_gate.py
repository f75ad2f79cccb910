r"""A write gate: each example is written as much as the others in memory agree with its label.

Not in the paper, and not its Eq. 10: nothing is learned and no controller moves. It is for support sets with wrong
labels; see `docs/deviations.md`. Everything is a function of the keys as they were shown and of their labels, and so
the same in whatever order and in however many parts they are given.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

#: Chosen on validation classes, with labels right and wrong: sharpness as a share of the memory's, how often gates are
#: estimated, each time with means under the gates before, and how far keys go towards the mean of their class.
SHARPNESS, PASSES, PULL = 0.3, 2, 0.5
#: No gate is below this, so that its logarithm is a number.
LEAST = 1e-6


class Shown(NamedTuple):
    """What has been shown and how much of it is written, a row for each slot.

    Attributes:
        gates: in (0, 1]; 1 for slots never written, shape (batch, slots).
        keys: as they were shown, shape (batch, slots, dim).
        labels: of the examples, -1 in slots never written, shape (batch, slots).
    """

    gates: Tensor
    keys: Tensor
    labels: Tensor


def members_of(
    labels: Int64[Tensor, "batch slots"], one_hot: Float[Tensor, "classes classes"]
) -> Float[Tensor, "batch slots classes"]:
    """One-hot rows by label; zeros for -1."""
    return one_hot[labels.clamp_min(0)] * (labels >= 0).unsqueeze(-1)


def agreement(
    keys: Float[Tensor, "batch slots dim"],
    members: Float[Tensor, "batch slots classes"],
    sharpness: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch slots"]:
    r"""How far the other examples agree with each one's label: its gate.

    The attention of an example over the mean keys of the classes, by distance and with a softmax as in Eq. 3, itself
    left out of the mean of its own class: the share that its own class gets. Means are weighted by the gates, which are
    estimated `PASSES` times, all 1 at first.

    Args:
        keys: shape (batch, slots, dim).
        members: see `members_of`.
        sharpness: of the attention, a positive number.

    Returns:
        Gates from `LEAST` to 1, shape (batch, slots); exactly 1 where there is no other example of the class.
    """
    itself = torch.eye(keys.shape[1], dtype=keys.dtype, device=keys.device)
    others = (members @ members.mT) * (1 - itself)
    alone = others.sum(-1) == 0
    never_shown = members.sum(1, keepdim=True) == 0
    gates = torch.ones_like(keys[..., 0])
    for _ in range(PASSES):
        weights = gates.unsqueeze(1)
        own, means = _means(others * weights, keys), _means(members.mT * weights, keys)
        scores = keys @ means.mT - 0.5 * (means * means).sum(-1).unsqueeze(1)
        own_score = (keys * own).sum(-1) - 0.5 * (own * own).sum(-1)
        scores = sharpness * torch.where(members > 0, own_score.unsqueeze(-1), scores)
        shares = (scores.masked_fill(never_shown, -torch.inf).softmax(-1) * members).sum(-1)
        gates = torch.where(alone, 1.0, shares.clamp_min(LEAST))
    return gates


def drawn_together(
    keys: Float[Tensor, "batch slots dim"],
    members: Float[Tensor, "batch slots classes"],
    gates: Float[Tensor, "batch slots"],
) -> Float[Tensor, "batch slots dim"]:
    """Keys on their way, by `PULL`, to the gated mean key of their class, their own part in it included.

    What is alone in its class, and what has none, stays where it is, exactly.
    """
    means = members @ _means(members.mT * gates.unsqueeze(1), keys)
    return torch.where(members.sum(-1, keepdim=True) > 0, torch.lerp(keys, means, PULL), keys)


def _means(weights: Tensor, keys: Tensor) -> Tensor:
    """Of keys under rows of weights; zeros for rows of zeros."""
    total = weights.sum(-1, keepdim=True)
    return (weights @ keys) / torch.where(total > 0, total, 1)  # whose gradient is finite at 0, as 1 / tiny is not
