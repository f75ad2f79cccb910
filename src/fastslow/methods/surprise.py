"""A memory that is written when it is surprised (Kaiser et al., 2017; Ramalho and Garnelo, 2019)."""

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

#: Margin alpha of Kaiser et al. between the nearest right and the nearest wrong key, as cosines.
MARGIN = 0.1
#: Most keys that an answer looks at, and slots: no task of a few classes fills them.
NEIGHBOURS, SLOTS = 256, 256
#: Surprise above which an example is stored, as a share of the surprise of a guess, log(classes).
SURPRISE = 0.75


class Remembered(NamedTuple):
    """What a support set has taught: the examples that were surprising, and what was added to them.

    Attributes:
        keys: of unit length, zero where nothing was stored, shape (batch, slots, features).
        values: their classes, -1 where nothing was stored, int64, shape (batch, slots).
        ages: examples shown since a slot was last written, int64, shape (batch, slots). At first they tell the slots
            apart, so that the oldest one is always a single one.
    """

    keys: Tensor
    values: Tensor
    ages: Tensor


class SurpriseMemory(Method[Remembered]):
    r"""Keys and classes of surprising examples; a query is answered by the keys nearest to it.

    One example after another is learned, by the memory update of Kaiser et al., with :math:`n_1` the nearest key to the
    example :math:`q`, of unit length, and :math:`v` its class. If :math:`V[n_1] = v`, the key moves towards it,
    :math:`K[n_1] \leftarrow (q + K[n_1]) / \|q + K[n_1]\|`. If not, the example is stored in the oldest slot, if it is
    surprising as Ramalho and Garnelo mean it: :math:`-\log p(v \mid q) >` `surprise`. A slot that is written has
    age 0, all others age by 1. No gradient goes through what is stored, as in both.

    Args:
        encoder: images to features.
        num_classes: the most ways a task can have.
        num_slots: slots; one example more takes the place of the oldest key.
        neighbours: k, the most keys that an answer looks at.
        surprise: threshold, nats; `SURPRISE` times log(`num_classes`) if None.
        margin: see `margin_loss`.
    """

    def __init__(
        self,
        *,
        encoder: ImageEncoder,
        num_classes: int,
        num_slots: int = SLOTS,
        neighbours: int = NEIGHBOURS,
        surprise: float | None = None,
        margin: float = MARGIN,
    ) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes)
        self.num_slots, self.neighbours, self.margin = num_slots, min(neighbours, num_slots), margin
        self.surprise = SURPRISE * math.log(num_classes) if surprise is None else surprise

    @property
    def sharpness(self) -> float:
        """Scale t of the cosines: a key nearer than k others by the margin gets about a sixth of the attention.

        That is what their code does, and 39 for k = 256; the paper says 40.
        """
        return max(1.0, math.log(0.2 * self.neighbours) / self.margin)

    def initial_state(self, batch_size: int) -> Remembered:
        """See `Method.initial_state`."""
        like = self.encoder.log_sharpness
        keys = like.new_zeros(batch_size, self.num_slots, self.encoder.num_features)
        ages = torch.arange(self.num_slots, 0, -1, dtype=torch.int64, device=like.device).repeat(batch_size, 1)
        return Remembered(keys, torch.full_like(ages, -1), ages)

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: Remembered | None = None,
    ) -> Remembered:
        """See `Method.learn`: one example after another."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = self.initial_state(len(examples)) if state is None else Remembered(*(part.clone() for part in state))
        with torch.no_grad():
            for query, label in zip(F.normalize(examples, dim=-1).unbind(1), targets.unbind(1), strict=True):
                self._remember(query, label, state)
        return state

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: Remembered
    ) -> Float[Tensor, "batch queries classes"]:
        """The logarithm of the attention that the keys of each class get among the k nearest, up to a constant.

        Minus infinity for classes that none of these keys is of. See `Method.answer`.
        """
        attention = self._attention(self._cosines(F.normalize(examples, dim=-1), state), state)
        least = torch.finfo(attention.dtype).tiny
        return attention.clamp_min(least).log().masked_fill(attention == 0, -math.inf)

    def pair_loss(self, features: Float[Tensor, "classes 2 features"]) -> Float[Tensor, ""]:
        """See `Method.pair_loss`: `margin_loss` with the keys of one drawing of each class, read both ways."""
        first, second = F.normalize(features, dim=-1).unbind(1)
        return 0.5 * (margin_loss(first, second, self.margin) + margin_loss(second, first, self.margin))

    def _cosines(self, queries: Tensor, state: Remembered) -> Tensor:
        """Shape (batch, queries, slots); minus infinity where nothing was stored."""
        return (queries @ state.keys.mT).masked_fill((state.values < 0).unsqueeze(1), -math.inf)

    def _attention(self, cosines: Tensor, state: Remembered) -> Tensor:
        """What each class gets from the k nearest keys, shape (batch, queries, classes); 0 if there are none of it."""
        if self.neighbours < self.num_slots:
            least = cosines.topk(self.neighbours).values[..., -1:]
            cosines = cosines.masked_fill(cosines < least, -math.inf)
        # No cosine is above 1, so that none of these is too large; at the usual sharpness none is too small either.
        weights = (self.sharpness * (cosines - 1)).exp()
        classes = torch.arange(self.num_classes, device=cosines.device)
        return weights @ (state.values.unsqueeze(-1) == classes).to(weights.dtype)

    def _remember(self, query: Tensor, label: Tensor, state: Remembered) -> None:
        """Learns one example of each task, shape (batch, features), in place."""
        tasks = torch.arange(len(query), device=query.device)
        cosines = self._cosines(query.unsqueeze(1), state)
        attention = self._attention(cosines, state)[:, 0]
        nearest = cosines[:, 0].argmax(-1)
        right = state.values[tasks, nearest] == label
        # Where nothing is stored the share is 0 / 0: no number is at most the threshold then, and that is a surprise.
        surprising = ~(-(attention[tasks, label] / attention.sum(-1)).log() <= self.surprise)
        place = torch.where(right, nearest, state.ages.argmax(-1))
        before = state.keys[tasks, place]
        key = torch.where(right.unsqueeze(-1), F.normalize(query + before, dim=-1), query)
        written = right | surprising
        state.keys[tasks, place] = torch.where(written.unsqueeze(-1), key, before)
        state.values[tasks, place] = torch.where(written, label, state.values[tasks, place])
        state.ages.add_(1)
        state.ages[tasks, place] *= ~written


def margin_loss(
    queries: Float[Tensor, "classes features"], keys: Float[Tensor, "classes features"], margin: float
) -> Float[Tensor, ""]:
    r"""The memory loss of Kaiser et al.: the right key is to be nearer than any wrong one, by a margin.

    :math:`[q \cdot K[n_b] - q \cdot K[n_p] + \alpha]_+` with :math:`n_p` the nearest key of the query's class and
    :math:`n_b` the nearest of another; here each class has one key.

    Args:
        queries: one of each class, of unit length, shape (classes, features).
        keys: likewise, in the same order.
        margin: alpha, as a difference of cosines.

    Returns:
        Mean over the queries.
    """
    cosines = queries @ keys.mT
    itself = torch.eye(len(keys), dtype=torch.bool, device=keys.device)
    nearest_wrong = cosines.masked_fill(itself, -math.inf).amax(-1)
    return F.relu(nearest_wrong - cosines.diagonal() + margin).mean()


def build(config: ModelConfig, encoder: ImageEncoder) -> SurpriseMemory:
    """A memory on an encoder; there are no weights beside it."""
    return SurpriseMemory(encoder=encoder, num_classes=config.n_way)
