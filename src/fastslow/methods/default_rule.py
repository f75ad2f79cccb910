"""The fast rule of the preset `default`: the write controller learns for one step, then writes (Eqs. 9, 10, 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastslow.core.encoders import ImageEncoder
from fastslow.core.fast_weights import StepSize, gate_deltas
from fastslow.core.keyed_memory import KeyedLook, KeyedMemory, KeyedState
from fastslow.methods.networks import KeyedNetwork, SupportStep


class FastSlow(KeyedNetwork):
    r"""A memory network that learns a task in one pass over its support set, without a backward pass.

    For each example the predictor says how the write vector should have been (Eq. 9), Eq. 10 moves the write
    controller, and the write vector is made again under the moved weights, so that the label reaches the memory at
    once. What the controller learned is let go once the memory has been written: no example disturbs another.

    Args:
        encoder: images to features.
        memory: the memory.
        decoder: f^D of Eq. 8.
        predictor: SG^WC, of a write vector and a one-hot label to a gradient.
        step_size: :math:`\alpha` of Eq. 10 to start from; learned.
    """

    fast_controllers = ("write",)

    def __init__(
        self, *, encoder: ImageEncoder, memory: KeyedMemory, decoder: nn.Linear, predictor: nn.Module, step_size: float
    ) -> None:
        super().__init__(encoder=encoder, memory=memory, decoder=decoder)
        self.predictor, self.step_size = predictor, StepSize(step_size)

    def learn_step(self, features: Tensor, labels: Tensor, state: KeyedState) -> tuple[SupportStep, KeyedState]:
        """Learns examples, shape (batch, examples, features), each as the state before all of them sees it."""
        look, controller = self.memory.look(features, state), self.memory.write_controller
        inputs = look.write_input
        preactivation = controller.preactivation(inputs)
        gates = controller.gates(preactivation)
        synthetic = self.predict(features, labels, look, gates.hidden, state)
        # Eq. 10 on the example's own input: -alpha delta (x) u moves the pre-activations by -alpha delta (u . u).
        size = self.step_size() * (inputs * inputs).sum(-1, keepdim=True)
        deltas = gate_deltas(gates, synthetic)
        write_vector = controller.gates(torch.addcmul(preactivation, deltas, size, value=-1)).hidden
        activations = {"input": look.query, "output": look.output, "write": write_vector}
        step = SupportStep(activations, {"write": synthetic}, look.address_weights)
        return step, self.memory.store(look, write_vector, state)

    def predict(
        self, features: Tensor, labels: Tensor, look: KeyedLook, write_vector: Tensor, state: KeyedState
    ) -> Tensor:
        """Eq. 9: the gradient at each write vector, shape (batch, examples, dim). A control replaces it."""
        # Not F.one_hot, which torch.func.vmap does not take.
        predicted: Tensor = self.predictor(write_vector, self.one_hot[labels])
        return predicted
