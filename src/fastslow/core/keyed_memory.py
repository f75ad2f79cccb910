"""The memory of the default preset: slots of a key and a value, addressed by distance, written one slot an example."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.checks import refuse_unless_whole
from fastslow.core import functional
from fastslow.core.fitting import refuse_other_batch
from fastslow.core.gated_layer import GatedLayer
from fastslow.core.write_gate import Shown
from fastslow.errors import InputError

#: How much of a slot's usage is left after an example: the slot written longest ago is used least.
USAGE_DECAY = 0.99

#: Scores of examples by slots that are worked on at a time: what fits the processor's cache.
_SCORES_AT_ONCE = 2**18


class KeyedState(NamedTuple):
    """All that the memory remembers.

    Attributes:
        slots: a row is a key, which is addressed, then a value, which is read; shape (batch, slots, 2 * dim).
        usage: how recently each slot was written, shape (batch, slots); 0 where never.
        shown: what the slots were shown, where there is a write gate, see `methods.write_gate`; else None.
    """

    slots: Tensor
    usage: Tensor
    shown: Shown | None = None

    @property
    def keys(self) -> Tensor:
        """What slots are addressed by, shape (batch, slots, dim)."""
        return self.slots.chunk(2, -1)[0]

    @property
    def values(self) -> Tensor:
        """What is read from them, shape (batch, slots, dim)."""
        return self.slots.chunk(2, -1)[1]


class KeyedLook(NamedTuple):
    """What the memory answers to inputs (Eqs. 2-5).

    Attributes:
        query: q_t, shape (batch, examples, dim).
        address_weights: z_t, shape (batch, examples, slots).
        read_vector: m-bar_t, shape (batch, examples, dim).
        output: m_t, likewise.
    """

    query: Tensor
    address_weights: Tensor
    read_vector: Tensor
    output: Tensor

    @property
    def write_input(self) -> Tensor:
        """What the write controller reads: [m_t ; q_t], shape (batch, examples, 2 * dim)."""
        return torch.cat([self.output, self.query], -1)


class KeyedMemory(nn.Module):
    r"""Slots of a key and a value. Where it leaves the paper, and why, is in `docs/deviations.md`.

    - Eq. 2: :math:`q_t = x_t + f_r(x_t)`, the input controller starting at zero, so that queries begin as the features.
    - Eq. 3: by distance, :math:`z_t = \mathrm{softmax}(-\tfrac{\beta}{2} \lVert q_t - K[i] \rVert^2)`, :math:`\beta`
      learned; slots never written do not answer while there are others.
    - Eqs. 5, 6: both controllers read the query beside their input; no controller has a state, so no example depends
      on another and several are looked up and stored side by side.
    - Eq. 7: an example goes to the slot used least, :math:`q_t` its key and :math:`m'_t` its value.

    Args:
        dim: k, features of inputs, controllers, keys and values.
        num_slots: l.
        generator: source of the initial weights; torch's global one if None.
    """

    def __init__(self, *, dim: int, num_slots: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        dim, num_slots = refuse_unless_whole("dim", dim, 1), refuse_unless_whole("num_slots", num_slots, 1)
        self.dim, self.num_slots = dim, num_slots

        def controller(size: int) -> GatedLayer:
            return GatedLayer(input_size=size, dim=dim, generator=generator)

        self.input_controller = controller(dim)
        self.output_controller = controller(2 * dim)
        self.write_controller = controller(2 * dim)
        nn.init.zeros_(self.input_controller.weight)
        # Slots start distinct: equal slots stay equal for ever. A row is a key, then a value.
        self.initial_slots = nn.Parameter(torch.empty(num_slots, 2 * dim).normal_(std=0.5, generator=generator))
        self.log_sharpness = nn.Parameter(torch.zeros(()))

    @property
    def examples_at_once(self) -> int:
        """How many examples can be stored side by side."""
        return self.num_slots

    def initial_state(self, batch_size: int) -> KeyedState:
        """Learned distinct slots, none of them written, for `batch_size` memories side by side."""
        slots = self.initial_slots.expand(batch_size, -1, -1)
        return KeyedState(slots, self.initial_slots.new_zeros(batch_size, self.num_slots))

    def look(self, features: Float[Tensor, "batch examples dim"], state: KeyedState) -> KeyedLook:
        """Eqs. 2-5: queries the memory and composes its output. Changes nothing.

        Args:
            features: x_t, shape (batch, examples, dim); each is answered as if alone.
            state: the memory that is asked.

        Returns:
            Query, address, read and output of each example.

        Raises:
            ValueError: if sizes, batch sizes or types differ; the message gives both.
        """
        refuse_other_batch(features.shape[0], state.slots.shape[0])
        at_once = max(1, _SCORES_AT_ONCE // self.num_slots)
        if features.shape[1] > at_once:
            looks = [self._look(part, state) for part in torch.split(features, at_once, 1)]
            return KeyedLook(*(torch.cat(parts, 1) for parts in zip(*looks, strict=True)))
        return self._look(features, state)

    def _look(self, features: Tensor, state: KeyedState) -> KeyedLook:
        query = features + self.input_controller(features)
        keys, values = state.slots.chunk(2, -1)
        weights = functional.address(
            query,
            keys,
            sharpness=self.log_sharpness.exp(),
            similarity="euclidean",
            empty=state.usage.logical_not(),
            gates=None if state.shown is None else state.shown.gates,
        )
        read_vector = self.read(weights, values)
        output = self.output_controller(torch.cat([query, read_vector], -1))
        return KeyedLook(query, weights, read_vector, output)

    def read(self, address_weights: Tensor, values: Tensor) -> Tensor:
        """Eq. 4, see `functional.read`. A control replaces it."""
        return functional.read(address_weights, values)

    def refuse_other_examples(self, look: KeyedLook, write_vector: Tensor, state: KeyedState) -> None:
        """Refuses write vectors that are not one for each example of a look, or a look at another batch of memories.

        Raises:
            ValueError: the message gives both.
        """
        if write_vector.shape != look.query.shape:
            raise InputError(
                f"got write vectors of shape {tuple(write_vector.shape)} for examples whose queries are of shape "
                f"{tuple(look.query.shape)}; give one per example, as wide as its query"
            )
        refuse_other_batch(write_vector.shape[0], state.slots.shape[0])

    def store(
        self, look: KeyedLook, write_vector: Float[Tensor, "batch examples dim"], state: KeyedState
    ) -> KeyedState:
        """Eq. 7: each example in a slot of its own, the one used least.

        Args:
            look: what the examples' queries are taken from; at most `examples_at_once`.
            write_vector: m'_t, their values.
            state: the state before; not modified.

        Returns:
            The state after.

        Raises:
            ValueError: if there are more examples than slots, or sizes differ.
        """
        self.refuse_other_examples(look, write_vector, state)
        num_examples = write_vector.shape[1]
        if num_examples > self.num_slots:
            raise InputError(
                f"got {num_examples} examples to store side by side in {self.num_slots} slots; store them in parts"
            )
        slots = functional.least_used_slots(state.usage, num_examples)
        content = torch.cat([look.query, write_vector], -1)
        content = content.to(state.slots.dtype)  # of 16 bits under autocast; the memory stays as it is
        rows = slots.unsqueeze(-1).expand_as(content)
        decayed = USAGE_DECAY**num_examples * state.usage
        return KeyedState(state.slots.scatter(1, rows, content), decayed.scatter(1, slots, 1.0, reduce="add"))
