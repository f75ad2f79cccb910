"""The plain memory networks, without a fast path: labels are not among their inputs, so they cannot learn a task.

Forward only they store what they are shown and guess; `methods.nmn` fine-tunes them, and the fast rules build on them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastslow.core.encoders import ImageEncoder
from fastslow.core.keyed_memory import KeyedMemory, KeyedState
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.memory import MemoryState
from fastslow.methods.base import Method, State, refuse_wrong_labels


class SupportStep(NamedTuple):
    """One step of learning, for Eq. 11, diagnostics and pictures.

    Attributes:
        activations: q_t, m_t and m'_t by controller, each (batch, dim), in the graph; (batch, examples, dim) where
            several were learned side by side. m'_t is the vector that was written.
        synthetic_grads: SG(a_t, y_t) by controller that learns fast, likewise.
        address_weights: z_t, shape (batch, slots) or (batch, examples, slots).
    """

    activations: dict[str, Tensor]
    synthetic_grads: dict[str, Tensor]
    address_weights: Tensor


class MemoryMethod(Method[State]):
    """What both designs share: a memory, a decoder, and learning step by step.

    Args:
        encoder: images to features.
        memory: the memory.
        decoder: f^D of Eq. 8, to `num_classes` logits.
    """

    stages: ClassVar[tuple[str, ...]] = ("encoder", "memory", "end_to_end")
    #: Controllers that learn fast.
    fast_controllers: tuple[str, ...] = ()
    one_hot: Tensor

    def __init__(self, *, encoder: ImageEncoder, memory: nn.Module, decoder: nn.Linear) -> None:
        super().__init__(encoder=encoder, num_classes=decoder.out_features)
        self.memory, self.decoder = memory, decoder
        self.register_buffer("one_hot", torch.eye(self.num_classes), persistent=False)

    def learn(self, examples: Tensor, targets: Tensor, state: State | None = None) -> State:
        """See `Method.learn`."""
        return self.learn_steps(examples, targets, state)[1]

    def learn_steps(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: State | None = None,
    ) -> tuple[list[SupportStep], State]:
        """As `learn`, with what happened on the way."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = self.initial_state(examples.shape[0]) if state is None else state
        steps = []
        for part, labels in self.parts(examples, targets):
            step, state = self.learn_step(part, labels, state)
            steps.append(step)
        return steps, state

    @abstractmethod
    def parts(self, examples: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The support set as it is learned, part after part."""

    @abstractmethod
    def learn_step(self, features: Tensor, labels: Tensor, state: State) -> tuple[SupportStep, State]:
        """Learns one part: what happened, and what is known after."""

    @abstractmethod
    def without_fast_path(self) -> MemoryMethod[Any]:
        """The same weights with no controller learning fast: the plain memory network."""


class KeyedNetwork(MemoryMethod[KeyedState]):
    """The plain network around a `KeyedMemory`: a support set is stored side by side."""

    memory: KeyedMemory

    @property
    def capacity(self) -> int | None:
        """One example a slot."""
        return self.memory.num_slots

    def initial_state(self, batch_size: int) -> KeyedState:
        """See `Method.initial_state`."""
        return self.memory.initial_state(batch_size)

    def parts(self, examples: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """All at once, or as many as can be stored at once."""
        size = self.memory.examples_at_once
        if examples.shape[1] <= size and targets.shape[1] <= size:
            return [(examples, targets)]
        return list(zip(torch.split(examples, size, 1), torch.split(targets, size, 1), strict=True))

    def learn_step(self, features: Tensor, labels: Tensor, state: KeyedState) -> tuple[SupportStep, KeyedState]:
        """Stores examples, shape (batch, examples, features), each as the state before all of them sees it."""
        look = self.memory.look(features, state)
        write_vector = self.memory.write_controller(look.write_input)
        activations = {"input": look.query, "output": look.output, "write": write_vector}
        return SupportStep(activations, {}, look.address_weights), self.memory.store(look, write_vector, state)

    def answer(self, examples: Tensor, state: KeyedState) -> Tensor:
        """See `Method.answer`."""
        logits: Tensor = self.decoder(self.memory.look(examples, state).output)
        return logits

    def without_fast_path(self) -> KeyedNetwork:
        """See `MemoryMethod.without_fast_path`; shares its parts with this one."""
        return KeyedNetwork(encoder=self.encoder, memory=self.memory, decoder=self.decoder).train(self.training)

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        """See `Method.parameters_of`; in the memory stage the input controller rests.

        Queries are what the encoder learned to compare. On cached features the input controller would learn the
        training classes by heart: it moves end to end only, where drawings vary.
        """
        resting = set(self.memory.input_controller.parameters()) if stage == "memory" else set()
        return [p for p in super().parameters_of(stage) if p not in resting]

    def begin(self, stage: str) -> None:
        """Keys are compared as the encoder stage learned to compare features."""
        if stage != "encoder":
            self.memory.log_sharpness.data.copy_(self.encoder.log_sharpness.data)


class LiteralNetwork(MemoryMethod[MemoryState]):
    """The paper's plain network: a support set is a stream, one example after another."""

    memory: LiteralMemory

    def initial_state(self, batch_size: int) -> MemoryState:
        """See `Method.initial_state`."""
        return self.memory.initial_state(batch_size)

    def parts(self, examples: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """One example after another."""
        return list(zip(examples.unbind(1), targets.unbind(1), strict=True))

    def learn_step(self, features: Tensor, labels: Tensor, state: MemoryState) -> tuple[SupportStep, MemoryState]:
        """Stores one example a task, shape (batch, features)."""
        look = self.memory.look(features, state)
        write = self.memory.compose_write(look, state)
        activations = {"input": look.query, "output": look.output.output, "write": write.output}
        return SupportStep(activations, {}, look.address_weights), self.memory.store(look, write, state)

    def answer(self, examples: Tensor, state: MemoryState) -> Tensor:
        """See `Method.answer`."""
        logits: Tensor = self.decoder(self.memory.look(examples, state).output.output)
        return logits

    def without_fast_path(self) -> LiteralNetwork:
        """See `MemoryMethod.without_fast_path`; shares its parts with this one."""
        return LiteralNetwork(encoder=self.encoder, memory=self.memory, decoder=self.decoder).train(self.training)
