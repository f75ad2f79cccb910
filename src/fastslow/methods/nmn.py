"""The paper's plain network (NMN) at meta-test: gradient steps on the support set, for it has no other way to learn."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Method, refuse_wrong_labels
from fastslow.methods.config import ModelConfig
from fastslow.methods.fastslow import plain_keyed_network, plain_literal_network
from fastslow.methods.networks import MemoryMethod


class TunedState(NamedTuple):
    """What a support set has taught.

    Attributes:
        support: all examples so far, shape (batch, support, features).
        labels: theirs, shape (batch, support).
        parameters: the tuned weights by name, each (batch, ...); none before the first example.
    """

    support: Tensor
    labels: Tensor
    parameters: dict[str, Tensor]


class _TaskStream(nn.Module):
    """One task's support stream through the memory, then its queries; no batch axis."""

    def __init__(self, network: MemoryMethod[Any]) -> None:
        super().__init__()
        self.network = network

    def forward(self, support: Tensor, labels: Tensor, query: Tensor | None) -> Tensor:
        """Logits of the queries after the support set, or of the support examples in their order: (..., classes)."""
        state = self.network.initial_state(1)
        logits = []
        # Not split, which gives one empty part of an empty support set.
        for features, label in zip(support.unsqueeze(1).unbind(0), labels.unsqueeze(1).unbind(0), strict=True):
            [(part, part_label)] = self.network.parts(features.unsqueeze(0), label.unsqueeze(0))
            step, state = self.network.learn_step(part, part_label, state)
            logits.append(self.network.decoder(step.activations["output"]).flatten(0, -2))
        if query is None:
            return torch.cat(logits)
        answers: Tensor = self.network.answer(query.unsqueeze(0), state)[0]
        return answers


class FineTunedNetwork(Method[TunedState]):
    """The plain memory network, fine-tuned on each support set before it answers.

    Memory, controllers and decoder move, from the network's weights anew for each task; the encoder does not, since
    features come in. The network itself is not modified. Examples shown later are joined to those before, and the
    tuning starts over, so that a support set in two parts is the whole one.

    Args:
        network: the network; with a fast path each gradient step sees the support stream as that leaves it.
        steps: full-batch gradient steps on the support set's mean cross entropy.
        rate: their step size.
    """

    needs_autograd: ClassVar[bool] = True

    def __init__(self, *, network: MemoryMethod[Any], steps: int = 50, rate: float = 0.5) -> None:
        super().__init__(encoder=network.encoder, num_classes=network.num_classes)
        self.network, self.steps, self.rate = network, steps, rate

    def initial_state(self, batch_size: int) -> TunedState:
        """See `Method.initial_state`."""
        like = self.network.decoder.weight
        support = like.new_zeros(batch_size, 0, self.encoder.num_features)
        return TunedState(support, torch.zeros(batch_size, 0, dtype=torch.int64, device=like.device), {})

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: TunedState | None = None,
    ) -> TunedState:
        """See `Method.learn`. Needs autograd, also where the caller has switched it off."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        if state is not None:
            examples, targets = torch.cat([state.support, examples], 1), torch.cat([state.labels, targets], 1)
        stream = _TaskStream(self.network)
        parameters = {
            name: value.detach().expand(len(examples), *value.shape)
            for name, value in stream.named_parameters()
            if name.startswith(("network.memory.", "network.decoder."))
        }

        def support_loss(parameters: dict[str, Tensor], support: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(functional_call(stream, parameters, (support, labels, None)), labels)

        gradient = vmap(grad(support_loss))
        with torch.enable_grad():
            for _ in range(self.steps):
                grads = gradient(parameters, examples, targets)
                parameters = {name: value - self.rate * grads[name] for name, value in parameters.items()}
        return TunedState(examples, targets, {name: value.detach() for name, value in parameters.items()})

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: TunedState
    ) -> Float[Tensor, "batch queries classes"]:
        """See `Method.answer`."""
        stream = _TaskStream(self.network)

        def logits_of(parameters: dict[str, Tensor], support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
            logits: Tensor = functional_call(stream, parameters, (support, labels, query))
            return logits

        logits: Tensor = vmap(logits_of)(state.parameters, state.support, state.labels, examples)
        return logits.detach()


def build(config: ModelConfig, encoder: ImageEncoder) -> FineTunedNetwork:
    """The plain network of a preset around an encoder; weights from torch's global generator."""
    plain = plain_keyed_network if config.preset == "default" else plain_literal_network
    return FineTunedNetwork(network=plain(config, encoder))
