"""Matching networks (Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra 2016): attention over the support set."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Method, refuse_wrong_labels
from fastslow.methods.config import ModelConfig


class Shown(NamedTuple):
    """What a support set has taught: all of it is kept.

    Attributes:
        directions: features of unit length, shape (batch, support, features).
        labels: classes, shape (batch, support).
    """

    directions: Tensor
    labels: Tensor


class MatchingNetwork(Method[Shown]):
    r"""A query attends to each support example by their cosine; a class gets the attention that its examples get.

    Eq. 1 of that paper: :math:`P(y \mid q) = \sum_{s:\, y_s = y} a(q, x_s)` with :math:`a` a softmax over the support
    set of cosines. Unlike there, cosines are scaled before the softmax, by a learned factor: between -1 and 1 they
    would leave attention nearly even over many examples. Full context embeddings (Sec. 2.1.2 there: LSTMs that read
    the whole support set before it is compared) are left out: features would depend on the other examples, which
    `embed` rules out.
    """

    @property
    def sharpness(self) -> Tensor:
        """The scale of the cosines, positive.

        The encoder's scale of squared distances, times the squared length of features of variance 1: at that length
        both comparisons say the same.
        """
        scale: Tensor = self.encoder.log_sharpness.exp() * self.encoder.num_features
        return scale

    def initial_state(self, batch_size: int) -> Shown:
        """See `Method.initial_state`."""
        like = self.encoder.log_sharpness
        nothing = like.new_zeros(batch_size, 0, self.encoder.num_features)
        return Shown(nothing, torch.zeros(batch_size, 0, dtype=torch.int64, device=like.device))

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: Shown | None = None,
    ) -> Shown:
        """See `Method.learn`."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = state or self.initial_state(len(examples))
        directions = torch.cat([state.directions, F.normalize(examples, dim=-1)], 1)
        return Shown(directions, torch.cat([state.labels, targets], 1))

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: Shown
    ) -> Float[Tensor, "batch queries classes"]:
        """The logarithm of the attention that each class gets; minus infinity for classes never shown.

        See `Method.answer`.
        """
        cosines = F.normalize(examples, dim=-1) @ state.directions.mT
        attention = (self.sharpness * cosines).log_softmax(-1)
        # In logarithms throughout: the share of a class may be too small for a number of 32 bits.
        others = state.labels.unsqueeze(-1) != torch.arange(self.num_classes, device=state.labels.device)
        return attention.unsqueeze(-1).masked_fill(others.unsqueeze(1), -math.inf).logsumexp(2)

    def pair_loss(self, features: Float[Tensor, "classes 2 features"]) -> Float[Tensor, ""]:
        """See `Method.pair_loss`: by cosine, as tasks are answered."""
        first, second = F.normalize(features, dim=-1).unbind(1)
        logits = self.sharpness * (first @ second.mT)
        target = torch.arange(len(features), device=features.device)
        return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.mT, target))


def build(config: ModelConfig, encoder: ImageEncoder) -> MatchingNetwork:
    """Attention on an encoder; there are no weights beside it."""
    return MatchingNetwork(encoder=encoder, num_classes=config.n_way)
