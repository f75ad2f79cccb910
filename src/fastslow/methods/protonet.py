"""Prototypical networks (Snell, Swersky, Zemel 2017): the reference that tells whether encoder and data are right."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Method, refuse_wrong_labels
from fastslow.methods.config import ModelConfig


class ClassSums(NamedTuple):
    """What a support set has taught: the mean of each class, as sum and count.

    Attributes:
        sums: of features, shape (batch, classes, features).
        counts: of examples, shape (batch, classes).
    """

    sums: Tensor
    counts: Tensor


class PrototypicalNetwork(Method[ClassSums]):
    """Nearest class mean, by distance in the encoder's features."""

    def initial_state(self, batch_size: int) -> ClassSums:
        """See `Method.initial_state`."""
        weight = self.encoder.log_sharpness
        sums = weight.new_zeros(batch_size, self.num_classes, self.encoder.num_features)
        return ClassSums(sums, sums[..., 0])

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: ClassSums | None = None,
    ) -> ClassSums:
        """See `Method.learn`."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = state or self.initial_state(len(examples))
        members = F.one_hot(targets, self.num_classes).to(examples.dtype).mT
        return ClassSums(state.sums + members @ examples, state.counts + members.sum(-1))

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: ClassSums
    ) -> Float[Tensor, "batch queries classes"]:
        """Minus half the squared distance to each class mean, up to a constant per query, times the sharpness.

        Minus infinity for classes never shown. See `Method.answer`.
        """
        prototypes = state.sums / state.counts.clamp_min(1).unsqueeze(-1)
        logits = examples @ prototypes.mT - 0.5 * prototypes.square().sum(-1).unsqueeze(1)
        never_shown = (state.counts == 0).unsqueeze(1)
        return self.encoder.log_sharpness.exp() * logits.masked_fill(never_shown, -math.inf)


def build(config: ModelConfig, encoder: ImageEncoder) -> PrototypicalNetwork:
    """Prototypes on an encoder; there are no weights beside it."""
    return PrototypicalNetwork(encoder=encoder, num_classes=config.n_way)
