"""Meta networks (Munkhdalai, Yu 2017), "MetaNet": fast weights that are made of each example's loss gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Method, refuse_wrong_labels
from fastslow.methods.config import ModelConfig

#: p of the gradients' preprocessing.
PRECISION = 7.0
#: Of d's forget gates at first: it keeps 95 % of its state a step. At 0 it would keep half, and of the first of 20
#: examples next to nothing.
_FORGET_BIAS = 3.0
#: What cosines are multiplied by at first: at 1 no key of 20 has more than 7.4 times the attention of another.
_ATTENTION = 10.0
#: The weights that the paper starts from are uniform from minus this to this.
INITIAL = 0.1


class MetaState(NamedTuple):
    """What a support set has taught.

    Attributes:
        examples: all of it, as the embedding's slow part gives it, shape (batch, support, key_dim).
        controller: of d, one for each weight of the embedding's last layer, shape (batch, weights, hidden) each.
        embedding_fast: Q*, shape (batch, key_dim, key_dim + 1).
        keys: R, shape (batch, support, key_dim).
        fast: M, each example's fast weights of the base learner, shape (batch, support, weights).
    """

    examples: Tensor
    controller: ControllerState
    embedding_fast: Tensor
    keys: Tensor
    fast: Tensor


def preprocess(gradients: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2"]:
    r"""Gradients as two numbers each that a network can read: how large they are, and their sign.

    Appendix A of Andrychowicz et al. (2016): :math:`(\log|g| / p, sign(g))` where :math:`|g| \ge e^{-p}`, and
    :math:`(-1, e^p g)` below.

    Args:
        gradients: g, shape (...).

    Returns:
        Shape (..., 2), each at least -1 and, for gradients of at most 1, at most 1.
    """
    sizes = gradients.abs()
    smallest = torch.exp(torch.as_tensor(-PRECISION, dtype=gradients.dtype, device=gradients.device))
    large = sizes >= smallest
    scale = torch.where(large, sizes.clamp_min(smallest).log() / PRECISION, -torch.ones_like(sizes))
    return torch.stack([scale, torch.where(large, gradients.sign(), gradients / smallest)], -1)


def with_one(inputs: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch joined"]:
    """Inputs and a constant 1, so that a layer's bias is the last column of its weights."""
    return torch.cat([inputs, torch.ones_like(inputs[..., :1])], -1)


def example_gradients(
    layers: Sequence[Float[Tensor, "_ _"]],
    inputs: Float[Tensor, "batch examples features"],
    labels: Int64[Tensor, "batch examples"],
) -> Float[Tensor, "batch examples weights"]:
    """Gradients of each example's own cross entropy, in closed form, without autograd.

    Args:
        layers: weights of dense layers, biases their last columns, with ReLU between them and a softmax at the end.
        inputs: of the first layer, shape (batch, examples, features).
        labels: shape (batch, examples), each an output of the last layer.

    Returns:
        The gradients of all layers' weights, flat, one layer after another; without a graph.
    """
    activations = [with_one(inputs.detach())]
    outputs = F.linear(activations[0], layers[0].detach())
    for layer in layers[1:]:
        activations.append(with_one(F.relu(outputs)))
        outputs = F.linear(activations[-1], layer.detach())
    delta = outputs.softmax(-1) - F.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)
    gradients: list[Tensor] = []
    for layer, activation in zip(reversed(layers), reversed(activations), strict=True):
        gradients.insert(0, (delta.unsqueeze(-1) * activation.unsqueeze(-2)).flatten(2))
        delta = (delta @ layer.detach())[..., :-1] * (activation[..., :-1] > 0)
    return torch.cat(gradients, -1)


class MetaNetwork(Method[MetaState]):
    r"""A base learner b and an embedding u of which the last layers have slow weights and fast ones, made for the task.

    Algorithm 1 of that paper. Each support example i has a gradient of its own loss in the slow weights Q of u and W
    of b. An LSTM d reads the gradients in Q one example after another and gives the task's fast weights Q*; a network
    m turns the gradient in W of each example into fast weights :math:`W^*_i`, stored under the key
    :math:`r_i = u(Q, Q^*, x_i)`. A query's fast weights are :math:`\sum_i a_i W^*_i`, a the softmax of the cosines of
    its key with the stored ones, sharpened by a learned factor. Both d and m are the same for every weight. Layers are
    augmented: ReLU(slow) + ReLU(fast), and at the end slow + fast before the softmax.

    b and u share the encoder and have a slow dense layer each on it; then u one augmented layer, whose outputs are
    both the logits of its loss and the key, and b two. Gradients go into d and m as data: training does not go
    through them. Learning needs no autograd.

    Args:
        encoder: images to features.
        num_classes: the most ways a task can have.
        dim: features of the base learner's dense layers.
        key_dim: features of the embedding's dense layers and of keys; raised to the number of classes if lower.
        hidden: units of m's layers and of d.
    """

    stages: ClassVar[tuple[str, ...]] = ("end_to_end",)
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"end_to_end": 1e-3})
    batch_statistics: ClassVar[bool] = True

    def __init__(
        self, *, encoder: ImageEncoder, num_classes: int, dim: int = 32, key_dim: int = 32, hidden: int = 20
    ) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes)
        key_dim = max(key_dim, num_classes)
        self.key_dim, self.hidden = key_dim, hidden
        self.base_input = nn.Linear(encoder.num_features, dim)
        self.base_slow = nn.ParameterList([_uniform(dim, dim + 1), _uniform(num_classes, dim + 1)])
        self.embedding_input = nn.Linear(encoder.num_features, key_dim)
        self.embedding_slow = _uniform(key_dim, key_dim + 1)
        widths = (nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.m = nn.Sequential(*widths)
        self.d = LSTMController(input_size=2, dim=hidden, forget_bias=_FORGET_BIAS)
        self.d_output = nn.Linear(hidden, 1)
        self.log_attention = nn.Parameter(torch.tensor(math.log(_ATTENTION)))

    def initial_state(self, batch_size: int) -> MetaState:
        """See `Method.initial_state`."""
        nothing = self.embedding_slow.new_zeros(batch_size, 0, self.key_dim)
        fast = nothing.new_zeros(batch_size, 0, sum(layer.numel() for layer in self.base_slow))
        hidden = nothing.new_zeros(batch_size, self.embedding_slow.numel(), self.hidden)
        controller = ControllerState(hidden, hidden)
        return MetaState(nothing, controller, self.generated(controller), nothing, fast)

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: MetaState | None = None,
    ) -> MetaState:
        """See `Method.learn`."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = state or self.initial_state(len(examples))
        low = F.relu(self.embedding_input(examples))
        controller = self.read(example_gradients([self.embedding_slow], low, targets), state.controller)
        base = F.relu(self.base_input(examples))
        fast = self.m(preprocess(example_gradients(list(self.base_slow), base, targets))).squeeze(-1)
        seen, embedding_fast = torch.cat([state.examples, low], 1), self.generated(controller)
        keys = self.keys(seen, embedding_fast)
        return MetaState(seen, controller, embedding_fast, keys, torch.cat([state.fast, fast], 1))

    def read(self, gradients: Float[Tensor, "batch support weights"], controller: ControllerState) -> ControllerState:
        """Where d has come to after more gradients, one after another; each weight by itself."""
        flat = ControllerState(*(part.flatten(0, 1) for part in controller))
        for gradient in preprocess(gradients).unbind(1):
            flat = self.d(gradient.flatten(0, 1), flat)[1]
        return ControllerState(*(part.reshape(controller.hidden.shape) for part in flat))

    def generated(self, controller: ControllerState) -> Float[Tensor, "batch outputs inputs"]:
        """Q*, from where d has come to."""
        fast: Tensor = self.d_output(controller.hidden)
        return fast.reshape(-1, *self.embedding_slow.shape)

    def keys(
        self, low: Float[Tensor, "batch examples dim"], embedding_fast: Float[Tensor, "batch outputs inputs"]
    ) -> Float[Tensor, "batch examples outputs"]:
        """u(Q, Q*, x), from what its slow part gives."""
        return with_one(low) @ (self.embedding_slow + embedding_fast).mT

    def attention(
        self, queries: Float[Tensor, "batch queries dim"], keys: Float[Tensor, "batch support dim"]
    ) -> Float[Tensor, "batch queries support"]:
        """How much each stored example counts for each query; sums to 1."""
        cosines = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).mT
        return (self.log_attention.exp() * cosines).softmax(-1)

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: MetaState
    ) -> Float[Tensor, "batch queries classes"]:
        """See `Method.answer`."""
        queries = self.keys(F.relu(self.embedding_input(examples)), state.embedding_fast)
        fast = self.attention(queries, state.keys) @ state.fast
        sizes = [layer.numel() for layer in self.base_slow]
        parts = zip(torch.split(fast, sizes, -1), self.base_slow, strict=True)
        first, last = (part.reshape(*fast.shape[:2], *layer.shape) for part, layer in parts)
        low = with_one(F.relu(self.base_input(examples)))
        inner = with_one(F.relu(F.linear(low, self.base_slow[0])) + F.relu((first @ low.unsqueeze(-1)).squeeze(-1)))
        return F.linear(inner, self.base_slow[1]) + (last @ inner.unsqueeze(-1)).squeeze(-1)


def _uniform(num_outputs: int, num_inputs: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(num_outputs, num_inputs).uniform_(-INITIAL, INITIAL))


def build(config: ModelConfig, encoder: ImageEncoder) -> MetaNetwork:
    """Small dense layers on an encoder of the configuration's; weights from torch's global generator."""
    return MetaNetwork(encoder=encoder, num_classes=config.n_way)
