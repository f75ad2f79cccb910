"""Controls: constructions in place of a part of a design, which the design itself has never heard of.

A claim for the fast path stands on them (design, section 4). `core/` knows none of them.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core import functional
from fastslow.core.keyed_memory import USAGE_DECAY, KeyedLook, KeyedMemory, KeyedState
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.predictors import GradientPredictor, StatelessPredictor
from fastslow.errors import InputError
from fastslow.methods.default_rule import FastSlow

Predictor = TypeVar("Predictor", GradientPredictor, StatelessPredictor)


class NoRead:
    """zero_read: the memory read is replaced by zeros throughout; goes before a memory in the list of bases."""

    def read(self, address_weights: Tensor, slots: Tensor) -> Tensor:
        """Zeros in the shape of what would have been read; no gradient goes through them."""
        return address_weights.new_zeros(*address_weights.shape[:-1], slots.shape[-1])


class KeyedMemoryWithoutRead(NoRead, KeyedMemory):
    """`KeyedMemory` under the control zero_read."""


class LiteralMemoryWithoutRead(NoRead, LiteralMemory):
    """`LiteralMemory` under the control zero_read."""


class WrittenWhereRead(KeyedMemory):
    """write_where_read: Eq. 7 as printed, each example blended into the slots that answered it."""

    @property
    def examples_at_once(self) -> int:
        """One: what an example finds depends on the one before."""
        return 1

    def store(self, look: KeyedLook, write_vector: Tensor, state: KeyedState) -> KeyedState:
        """See `KeyedMemory.store`; of one example."""
        if write_vector.shape[1] != 1:
            raise InputError(f"got {write_vector.shape[1]} examples; where they are read they are written one by one")
        self.refuse_other_examples(look, write_vector, state)
        weights = look.address_weights.squeeze(1)
        content = torch.cat([look.query, write_vector], -1).squeeze(1)
        slots = functional.write(state.slots, weights, content)
        return KeyedState(slots, USAGE_DECAY * state.usage + weights.detach())


class LabelOnly(nn.Module):
    """label_only: a predictor that sees zeros in place of the activation.

    Args:
        predictor: the predictor, of either kind.
    """

    def __init__(self, predictor: GradientPredictor | StatelessPredictor) -> None:
        super().__init__()
        self.predictor = predictor
        if isinstance(predictor, GradientPredictor):
            self.initial_state = predictor.initial_state

    def forward(self, activation: Tensor, *rest: object) -> object:
        """See `GradientPredictor.forward` and `StatelessPredictor.forward`."""
        return self.predictor(torch.zeros_like(activation), *rest)


def random_(predictor: Predictor) -> Predictor:
    """random_predictor: gives a predictor a random head, and it never learns. In place; returned for convenience."""
    nn.init.normal_(predictor.head.weight)
    predictor.requires_grad_(False)
    return predictor


class RecallGradient(FastSlow):
    """true_gradient: the length of the predicted gradient in the direction of the true one.

    By backpropagation of the loss of recalling the example that is being written.
    """

    needs_autograd = True

    def predict(
        self, features: Tensor, labels: Tensor, look: KeyedLook, write_vector: Tensor, state: KeyedState
    ) -> Tensor:
        """See `FastSlow.predict`."""

        def loss(vector: Tensor) -> Tensor:
            logits = self.answer(features, self.memory.store(look, vector, state))
            return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")

        predicted = super().predict(features, labels, look, write_vector, state)
        true: Tensor = torch.func.grad(loss)(write_vector)
        length: Tensor = predicted.norm(dim=-1, keepdim=True)
        return F.normalize(true, dim=-1) * length


def keyed_memory_of(control: str) -> type[KeyedMemory]:
    """The memory that a control puts in the place of `KeyedMemory`."""
    replaced: dict[str, type[KeyedMemory]] = {
        "zero_read": KeyedMemoryWithoutRead,
        "write_where_read": WrittenWhereRead,
    }
    return replaced.get(control, KeyedMemory)


def literal_memory_of(control: str) -> type[LiteralMemory]:
    """The memory that a control puts in the place of `LiteralMemory`."""
    return LiteralMemoryWithoutRead if control == "zero_read" else LiteralMemory


def predictor_of(control: str, predictor: Predictor) -> nn.Module:
    """What a control puts in the place of a predictor."""
    if control == "label_only":
        return LabelOnly(predictor)
    return random_(predictor) if control in ("random_predictor", "true_gradient") else predictor
