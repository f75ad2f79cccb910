"""The neural memory (Eqs. 2-7) and the network around it (Eqs. 1 and 8)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core import functional
from fastslow.core.controllers import ControllerState, Gates, LSTMController
from fastslow.core.fast_weights import FastWeights
from fastslow.core.memory import MemoryState
from fastslow.errors import InputError, refuse_unknown

#: How much of a slot's usage is left after a step: the slot written longest ago is used least.
USAGE_DECAY = 0.99


class ControllerStep(NamedTuple):
    """One step of one controller, with what Eq. 10 needs of it.

    Attributes:
        key: u = [x ; h], what the step read, shape (..., key_size).
        preactivation: shape (..., num_preactivations).
        gates: the inside of the step.
        output: q_t, m_t or m'_t, shape (..., dim).
    """

    key: Tensor
    preactivation: Tensor
    gates: Gates
    output: Tensor

    @property
    def state(self) -> ControllerState:
        """The controller's state after the step."""
        return ControllerState(self.output, self.gates.cell)


class ControllerFastWeights(NamedTuple):
    """Fast weights of the three controllers; None for a controller that learns slowly only."""

    input: FastWeights | None
    output: FastWeights | None
    write: FastWeights | None


class Look(NamedTuple):
    """What a memory answers to one input (Eqs. 2-5).

    Attributes:
        input: the step of the input controller.
        query: q_t, shape (batch, dim).
        address_weights: z_t, shape (batch, slots).
        read_vector: the memory read, m-bar_t, shape (batch, dim).
        output: the step of the output controller; its `output` is m_t.
    """

    input: ControllerStep
    query: Tensor
    address_weights: Tensor
    read_vector: Tensor
    output: ControllerStep


NO_FAST_WEIGHTS = ControllerFastWeights(None, None, None)


def controller_step(
    controller: LSTMController, inputs: Tensor, state: ControllerState, fast: FastWeights | None
) -> ControllerStep:
    """One step of a controller under its slow weights plus, if given, its fast ones."""
    key = controller.key(inputs, state)
    preactivation = controller.preactivation(inputs, state)
    if fast is not None and not fast.is_empty:
        preactivation = preactivation + fast.preactivation(key)
    return finish_step(controller, key, preactivation, state)


def finish_step(
    controller: LSTMController, key: Tensor, preactivation: Tensor, state: ControllerState
) -> ControllerStep:
    """The step that follows from pre-activations already known."""
    gates = controller.gates(preactivation, state)
    return ControllerStep(key, preactivation, gates, gates.hidden)


class NeuralMemory(nn.Module):
    r"""A memory of slots with an input, an output and a write controller (Sec. 3.1).

    With the options at their first value this is the paper's memory. The other values are ours; each one, with the
    reason and what it brought, is in `docs/deviations.md`.

    Args:
        input_size: features of :math:`x_t`.
        dim: k, features of a controller's output.
        num_slots: l.
        compose: "literal": the output controller reads :math:`\bar m_t` and the write controller :math:`m_t`
            (Eqs. 5, 6). "query": both read the query beside it.
        slots: "shared": a slot is one vector, both addressed and read (Eqs. 3, 4). "keyed": a slot is a key, which
            is addressed and written with :math:`q_t`, and a value, which is read and written with :math:`m'_t`.
        similarity: "dot" (Eq. 3) or "euclidean", see `functional.address`.
        write_policy: "read": Eq. 7 writes where Eq. 3 read. "least_used": it writes to the slot used least.
        recurrent: controllers carry their state from step to step. Where False each step starts from zeros.
        residual_query: :math:`q_t = x_t + f_r(x_t)`, the input controller starting at zero, so that queries begin as
            the features themselves. Needs `input_size == dim`.
        skip_empty: slots never written are not addressed while there are others.
        generator: source of the initial weights; torch's global one if None.

    Attributes:
        takes_sets: whether several steps can be stored side by side.
    """

    def __init__(
        self,
        *,
        input_size: int,
        dim: int,
        num_slots: int = 10,
        compose: Literal["literal", "query"] = "literal",
        slots: Literal["shared", "keyed"] = "shared",
        similarity: Literal["dot", "euclidean"] = "dot",
        write_policy: Literal["read", "least_used"] = "read",
        recurrent: bool = True,
        residual_query: bool = False,
        skip_empty: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if num_slots < 1:
            raise InputError(f"a memory needs at least one slot; num_slots={num_slots} came")
        refuse_unknown({
            "compose": (compose, ("literal", "query")), "slots": (slots, ("shared", "keyed")),
            "similarity": (similarity, ("dot", "euclidean")), "write_policy": (write_policy, ("read", "least_used")),
        })  # fmt: skip
        if residual_query and input_size != dim:
            raise InputError(
                f"residual_query adds inputs of {input_size} features to queries of {dim}; make input_size equal dim"
            )
        self.dim, self.num_slots = dim, num_slots
        self.compose, self.slots, self.similarity = compose, slots, similarity
        self.write_policy, self.residual_query, self.skip_empty = write_policy, residual_query, skip_empty
        self.takes_sets = write_policy == "least_used" and not recurrent
        composed = 2 * dim if compose == "query" else dim

        def controller(size: int) -> LSTMController:
            return LSTMController(input_size=size, dim=dim, recurrent=recurrent, generator=generator)

        self.input_controller = controller(input_size)
        self.output_controller = controller(composed)
        self.write_controller = controller(composed)
        if residual_query:
            nn.init.zeros_(self.input_controller.weight_ih)
        # Slots start distinct: equal slots stay equal for ever, and a read of them says nothing of the query.
        width = 2 * dim if slots == "keyed" else dim
        self.initial_slots = nn.Parameter(torch.empty(num_slots, width).normal_(std=0.5, generator=generator))
        self.log_sharpness = nn.Parameter(torch.zeros(()), requires_grad=slots == "keyed")

    def initial_state(self, batch_size: int) -> MemoryState:
        """Learned distinct slots and controllers at zero, for `batch_size` memories side by side."""
        slots = self.initial_slots
        nothing = slots.new_zeros(batch_size, self.dim)
        zeros = ControllerState(nothing, nothing)  # the controllers are of one size
        usage = slots.new_zeros(batch_size, self.num_slots)
        return MemoryState(slots.expand(batch_size, -1, -1), usage, input=zeros, output=zeros, write=zeros)

    def look(
        self,
        features: Float[Tensor, "batch *queries features"],
        state: MemoryState,
        fast: ControllerFastWeights = NO_FAST_WEIGHTS,
        *,
        zero_read: bool = False,
    ) -> Look:
        """Eqs. 2-5: queries the memory and composes its output. Changes nothing.

        Args:
            features: x_t, shape (batch, input_size); or (batch, queries, input_size), each answered as if alone.
            state: the memory that is asked.
            fast: fast weights of the controllers.
            zero_read: a control: the output controller sees zeros for the memory read.

        Returns:
            The steps of both controllers and what lies between them.
        """
        input_step = controller_step(self.input_controller, features, state.input, fast.input)
        query = features + input_step.output if self.residual_query else input_step.output
        keys, values = self._keys_and_values(state.memory)
        weights = functional.address(
            query,
            keys,
            sharpness=self.log_sharpness.exp(),
            similarity=self.similarity,
            empty=state.usage.logical_not() if self.skip_empty else None,
        )
        read_vector = functional.read(weights, values)
        if zero_read:
            read_vector = torch.zeros_like(read_vector)
        composed = torch.cat([query, read_vector], -1) if self.compose == "query" else read_vector
        output_step = controller_step(self.output_controller, composed, state.output, fast.output)
        return Look(input_step, query, weights, read_vector, output_step)

    def compose_write(
        self, look: Look, state: MemoryState, fast: ControllerFastWeights = NO_FAST_WEIGHTS
    ) -> ControllerStep:
        """Eq. 6: the step of the write controller; its `output` is the write vector m'_t."""
        m = look.output.output
        composed = torch.cat([m, look.query], -1) if self.compose == "query" else m
        return controller_step(self.write_controller, composed, state.write, fast.write)

    def store(self, look: Look, write: ControllerStep, state: MemoryState) -> MemoryState:
        """Eq. 7: the state after the step, the write vector stored.

        Steps with a query axis, (batch, queries, ...), are stored side by side, each in a slot of its own; this needs
        `write_policy="least_used"` and no recurrence, under which no step depends on another's.
        """
        content = torch.cat([look.query, write.output], -1) if self.slots == "keyed" else write.output
        if content.ndim == 3:
            return self._store_many(content, state)
        weights = look.address_weights
        if self.write_policy == "least_used":
            weights = functional.least_used(state.usage)
        return MemoryState(
            memory=functional.write(state.memory, weights, content),
            usage=USAGE_DECAY * state.usage + weights.detach(),
            input=look.input.state,
            output=look.output.state,
            write=write.state,
        )

    def _store_many(self, content: Tensor, state: MemoryState) -> MemoryState:
        if not self.takes_sets or content.shape[1] > self.num_slots:
            raise InputError(
                f"{content.shape[1]} steps cannot be stored side by side in {self.num_slots} slots with "
                f"write_policy={self.write_policy!r}, recurrent={self.input_controller.recurrent}: use "
                "least_used, recurrent=False and enough slots, or store one step after another"
            )
        content = content.to(state.memory.dtype)  # of 16 bits under autocast
        slots = functional.least_used_slots(state.usage, content.shape[1])
        where = slots.unsqueeze(-1).expand_as(content)
        decayed = USAGE_DECAY ** content.shape[1] * state.usage
        usage = decayed.scatter(1, slots, 1.0, reduce="add")
        return state._replace(memory=state.memory.scatter(1, where, content), usage=usage)

    def forward(
        self,
        features: Float[Tensor, "batch features"],
        state: MemoryState,
        fast: ControllerFastWeights = NO_FAST_WEIGHTS,
    ) -> tuple[Float[Tensor, "batch dim"], MemoryState]:
        """One step, Eqs. 2-7 in order.

        Args:
            features: x_t, shape (batch, input_size).
            state: the state before the step; not modified.
            fast: fast weights of the controllers.

        Returns:
            m_t, shape (batch, dim), and the state after the step.

        Raises:
            ValueError: if sizes differ; the message gives both.
        """
        look = self.look(features, state, fast)
        write = self.compose_write(look, state, fast)
        return look.output.output, self.store(look, write, state)

    def _keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        if self.slots == "shared":
            return memory, memory
        keys, values = memory.chunk(2, -1)
        return keys, values


class MemoryNetwork(nn.Module):
    """Encoder, memory and decoder: Eqs. 1-8.

    Args:
        encoder: f^E, inputs to features, with the projection to `memory.input_size` if there is one.
        memory: the neural memory.
        num_outputs: classes of the logits.
    """

    def __init__(self, *, encoder: nn.Module, memory: NeuralMemory, num_outputs: int) -> None:
        super().__init__()
        self.encoder, self.memory = encoder, memory
        self.decoder = nn.Linear(memory.dim, num_outputs)

    def initial_state(self, batch_size: int) -> MemoryState:
        """The memory's state before the first step."""
        return self.memory.initial_state(batch_size)

    def forward(self, inputs: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """One step: logits (Eq. 8), shape (batch, num_outputs), and the state after it."""
        memory_output, state = self.memory(self.encoder(inputs), state)
        return self.decoder(memory_output), state
