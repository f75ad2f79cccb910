"""Memory-augmented network (Santoro, Bartunov, Botvinick, Wierstra, Lillicrap 2016), "MANN": its least used rows go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.encoders import ImageEncoder
from fastslow.errors import InputError
from fastslow.methods.base import Method, Task, refuse_wrong_labels
from fastslow.methods.config import ModelConfig

#: Rows of the memory, and heads that read and write it, in the paper.
_ROWS, _HEADS = 128, 4
#: Of the controller's forget gates at first: at 0 it keeps half of its state a step, a thousandth over ten.
_FORGET_BIAS = 1.0
#: Squared lengths below this count as it: an erased row is as far from every key as a right angle.
SMALLEST_SQUARE = 1e-12


class StreamState(NamedTuple):
    """What a stream of examples has left behind.

    Attributes:
        controller: the controller's own, (batch, dim) each.
        memory: M_t, shape (batch, rows, row_dim).
        read_weights: w^r_t of each head, shape (batch, heads, rows).
        read_vector: r_t of all heads joined, shape (batch, heads * row_dim).
        usage: w^u_t, shape (batch, rows); without gradient.
        label: of the last example, which comes in with the next one; one-hot, zeros at first, shape (batch, classes).
    """

    controller: ControllerState
    memory: Tensor
    read_weights: Tensor
    read_vector: Tensor
    usage: Tensor
    label: Tensor


class Access(NamedTuple):
    """One step from a state, for each of several inputs by itself.

    Attributes:
        controller: after the step, shape (batch, inputs, dim) each.
        keys: k_t, shape (batch, inputs, heads, row_dim).
        write_weights: w^w_t, shape (batch, inputs, heads, rows).
        read_weights: w^r_t, likewise.
        read_vector: r_t, shape (batch, inputs, heads * row_dim).
        kept: M_{t-1} with its least used rows erased, shape (batch, rows, row_dim); the same for all inputs.
    """

    controller: ControllerState
    keys: Tensor
    write_weights: Tensor
    read_weights: Tensor
    read_vector: Tensor
    kept: Tensor


def least_used(usage: Float[Tensor, "batch rows"], num_heads: int) -> Float[Tensor, "batch heads rows"]:
    """The row that each head may fill anew: the least used for the first head, the next for the second, and so on.

    Eq. 6 of that paper, its n rows shared out among the heads.

    Args:
        usage: w^u_{t-1}, shape (batch, rows).
        num_heads: n.

    Returns:
        w^lu_{t-1}, one-hot, shape (batch, heads, rows).
    """
    rows = torch.sort(usage, dim=-1, stable=True).indices[:, :num_heads]
    return torch.zeros_like(usage).unsqueeze(1).repeat(1, num_heads, 1).scatter_(-1, rows.unsqueeze(-1), 1.0)


def read_written(
    kept: Float[Tensor, "batch rows dim"],
    write_weights: Float[Tensor, "batch inputs heads rows"],
    keys: Float[Tensor, "batch inputs heads dim"],
    sharpness: Float[Tensor, "batch inputs heads"],
) -> tuple[Float[Tensor, "batch inputs heads rows"], Float[Tensor, "batch inputs heads dim"]]:
    r"""Reads the memory that each input would leave behind, without making it.

    Eqs. 2 to 4 on the memory of Eq. 8, :math:`M_t(i) = M_{t-1}(i) + \sum_h w^w_h(i) k_h`: products with it and lengths
    of its rows follow from those of M_{t-1} and of the keys. So many queries from one state need one memory.

    Args:
        kept: M_{t-1} with its least used rows erased, shape (batch, rows, dim).
        write_weights: w^w_t, shape (batch, inputs, heads, rows).
        keys: k_t, which each head writes and reads by, shape (batch, inputs, heads, dim).
        sharpness: what the cosines are multiplied by; 1 in that paper.

    Returns:
        w^r_t, a softmax over the rows of cosines, shape (batch, inputs, heads, rows), and each head's read vector,
        shape (batch, inputs, heads, dim).
    """
    old_products = keys @ kept.mT.unsqueeze(1)
    products = old_products + keys @ keys.mT @ write_weights
    squares = kept.square().sum(-1)[:, None] + (write_weights * (old_products + products)).sum(2)
    lengths = squares.clamp_min(SMALLEST_SQUARE).sqrt().unsqueeze(2)
    key_lengths = keys.square().sum(-1, keepdim=True).clamp_min(SMALLEST_SQUARE).sqrt()
    weights = (sharpness.unsqueeze(-1) * products / (lengths * key_lengths)).softmax(-1)
    return weights, weights @ kept.unsqueeze(1) + weights @ write_weights.mT @ keys


class MemoryAugmentedNetwork(Method[StreamState]):
    r"""An LSTM beside a memory; it reads examples as a stream, each with the label of the one before.

    Its step (Sec. 3 there), for input x_t and the label y_{t-1}, head by head:
    :math:`h_t = LSTM([x_t ; y_{t-1} ; r_{t-1}])`, :math:`k_t = \tanh(W h_t)`, the least used rows are erased,
    :math:`w^w_t = \sigma(\alpha_t) w^r_{t-1} + (1 - \sigma(\alpha_t)) w^{lu}_{t-1}` (Eq. 7), the key is written (Eq. 8)
    and the memory is read by it (Eqs. 2 to 4), usage is :math:`w^u_t = \gamma w^u_{t-1} + w^r_t + w^w_t` summed over
    heads (Eq. 5), and logits are a linear map of [h_t ; r_t].

    Two things are not in that paper and make it learn far sooner (`docs/deviations.md`, with what else differs).
    Cosines are multiplied by a sharpness that each head has, as in the Neural Turing Machine; it starts at the
    logarithm of the number of rows, with which one row that matches gets as much of a read as all the others. And a
    label starts by moving the controller as far as an image does.

    A support set is such a stream, and each query is one more step from where it ended. The paper's own tasks are
    streams alone (`protocol.instances`): the loss is therefore taken at support examples as well, where their class
    has been seen before. Training with n_shot of 9 and one query a class is training on its streams of 50.

    Args:
        encoder: images to features.
        num_classes: the most ways a task can have.
        num_rows: rows of the memory.
        row_dim: features of a row and of a key.
        dim: features of the controller.
        num_heads: keys written and read at each step.
        decay: gamma of Eq. 5.

    Raises:
        ValueError: if there are fewer rows than heads.
    """

    stages: ClassVar[tuple[str, ...]] = ("encoder", "memory", "end_to_end")
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"memory": 2e-3, "end_to_end": 2e-3})
    batch_statistics: ClassVar[bool] = True
    one_hot: Tensor

    def __init__(
        self,
        *,
        encoder: ImageEncoder,
        num_classes: int,
        num_rows: int = _ROWS,
        row_dim: int = 40,
        dim: int = 200,
        num_heads: int = _HEADS,
        decay: float = 0.95,
    ) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes)
        if num_rows < num_heads:
            raise InputError(f"got num_rows={num_rows}, num_heads={num_heads}; each head needs a row of its own")
        self.num_rows, self.row_dim, self.num_heads, self.decay = num_rows, row_dim, num_heads, decay
        size = num_heads * row_dim
        self.controller = LSTMController(
            input_size=encoder.num_features + num_classes + size, dim=dim, forget_bias=_FORGET_BIAS
        )
        # An image has many features of size about 1, a label a single 1.
        labels = slice(encoder.num_features, encoder.num_features + num_classes)
        self.controller.weight_ih.data[:, labels] *= math.sqrt(encoder.num_features)
        self.key_layer, self.gate_layer = nn.Linear(dim, size), nn.Linear(dim, num_heads)
        self.sharpness_layer = nn.Linear(dim, num_heads)
        nn.init.constant_(self.sharpness_layer.bias, math.log(num_rows))
        self.decoder = nn.Linear(dim + size, num_classes)
        self.register_buffer("one_hot", torch.eye(num_classes), persistent=False)

    def initial_state(self, batch_size: int) -> StreamState:
        """See `Method.initial_state`; all zeros, so no row is told from another."""
        memory = self.decoder.weight.new_zeros(batch_size, self.num_rows, self.row_dim)
        weights = memory.new_zeros(batch_size, self.num_heads, self.num_rows)
        vector, label = memory.new_zeros(batch_size, self.num_heads * self.row_dim), self.one_hot[:1] * 0
        controller = self.controller.initial_state(batch_size)
        return StreamState(controller, memory, weights, vector, weights[:, 0], label.repeat(batch_size, 1))

    def access(self, features: Float[Tensor, "batch inputs features"], state: StreamState) -> Access:
        """One step from a state for each input by itself."""
        known = torch.cat([state.label, state.read_vector], -1).unsqueeze(1).expand(-1, features.shape[1], -1)
        hidden, controller = self.controller(torch.cat([features, known], -1), state.controller)
        keys = torch.tanh(self.key_layer(hidden)).reshape(*hidden.shape[:2], self.num_heads, self.row_dim)
        gates = torch.sigmoid(self.gate_layer(hidden)).unsqueeze(-1)
        free = least_used(state.usage, self.num_heads)
        kept = state.memory * (1 - free.sum(1)).unsqueeze(-1)
        write_weights = gates * state.read_weights.unsqueeze(1) + (1 - gates) * free.unsqueeze(1)
        sharpness = F.softplus(self.sharpness_layer(hidden))
        read_weights, read = read_written(kept, write_weights, keys, sharpness)
        return Access(controller, keys, write_weights, read_weights, read.flatten(2), kept)

    def logits(self, access: Access) -> Float[Tensor, "batch inputs classes"]:
        """The answers at a step."""
        logits: Tensor = self.decoder(torch.cat([access.controller.hidden, access.read_vector], -1))
        return logits

    def advance(self, access: Access, labels: Int64[Tensor, " batch"], state: StreamState) -> StreamState:
        """The state after a step with one input, of which the label is known from now on."""
        write_weights, read_weights = access.write_weights[:, 0], access.read_weights[:, 0]
        usage = self.decay * state.usage + (write_weights + read_weights).detach().sum(1)
        return StreamState(
            controller=ControllerState(*(part[:, 0] for part in access.controller)),
            memory=access.kept + write_weights.mT @ access.keys[:, 0],
            read_weights=read_weights,
            read_vector=access.read_vector[:, 0],
            usage=usage,
            label=self.one_hot[labels],
        )

    def stream(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: StreamState | None = None,
    ) -> tuple[list[Access], StreamState]:
        """As `learn`, with every step on the way."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state, steps = state or self.initial_state(len(examples)), []
        for n in range(examples.shape[1]):
            steps.append(self.access(examples[:, n : n + 1], state))
            state = self.advance(steps[-1], targets[:, n], state)
        return steps, state

    def learn(self, examples: Tensor, targets: Tensor, state: StreamState | None = None) -> StreamState:
        """See `Method.learn`; one example after another."""
        return self.stream(examples, targets, state)[1]

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: StreamState
    ) -> Float[Tensor, "batch queries classes"]:
        """See `Method.answer`; each query is a step of its own, which leaves the state as it is."""
        return self.logits(self.access(examples, state))

    def loss(self, task: Task) -> Float[Tensor, ""]:
        """Mean cross entropy of queries and of support examples whose class was seen before, nats.

        A support set in two parts is the whole one, so `Task.cut` changes nothing.
        """
        steps, state = self.stream(task.support, task.support_labels)
        logits = torch.cat([*(self.logits(step) for step in steps), self.answer(task.query, state)], 1)
        same = task.support_labels.unsqueeze(2) == task.support_labels.unsqueeze(1)
        seen = torch.cat([same.tril(-1).any(2), torch.ones_like(task.query_labels, dtype=torch.bool)], 1)
        labels = torch.cat([task.support_labels, task.query_labels], 1)
        return F.cross_entropy(logits[seen], labels[seen])


def build(config: ModelConfig, encoder: ImageEncoder) -> MemoryAugmentedNetwork:
    """The paper's sizes beside an encoder of the configuration's; weights from torch's global generator.

    Each head takes a row for each example, so that more than 32 slots make more rows than the paper's 128.
    """
    rows = max(_ROWS, _HEADS * config.num_slots)
    return MemoryAugmentedNetwork(encoder=encoder, num_classes=config.n_way, num_rows=rows)
