"""The paper's neural memory (Eqs. 2-7 as printed), and the network around it (Eqs. 1 and 8)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.checks import refuse_unless_whole
from fastslow.core import functional
from fastslow.core.controllers import ControllerState, Gates, LSTMController
from fastslow.core.fast_weights import FastWeights
from fastslow.core.memory import MemoryState
from fastslow.errors import refuse_unknown


class ControllerStep(NamedTuple):
    """One step of one controller, with what Eq. 10 needs of it.

    Attributes:
        inputs: u = [x ; h], what the step read, shape (..., input_size + dim).
        gates: the inside of the step.
        output: q_t, m_t or m'_t, shape (..., dim).
    """

    inputs: Tensor
    gates: Gates
    output: Tensor

    @property
    def state(self) -> ControllerState:
        """The controller's state after the step."""
        return ControllerState(self.output, self.gates.cell)


class ControllerFastWeights(NamedTuple):
    """Fast weights of the three controllers; None for a controller that learns slowly only."""

    input: FastWeights | None = None
    output: FastWeights | None = None
    write: FastWeights | None = None


class Look(NamedTuple):
    """What a memory answers to one input (Eqs. 2-5).

    Attributes:
        input: the step of the input controller; its `output` is q_t.
        address_weights: z_t, shape (batch, slots).
        read_vector: the memory read, m-bar_t, shape (batch, dim).
        output: the step of the output controller; its `output` is m_t.
    """

    input: ControllerStep
    address_weights: Tensor
    read_vector: Tensor
    output: ControllerStep

    @property
    def query(self) -> Tensor:
        """The query q_t, shape (batch, dim)."""
        return self.input.output


NO_FAST_WEIGHTS = ControllerFastWeights()


def controller_step(
    controller: LSTMController, inputs: Tensor, state: ControllerState, fast: FastWeights | None
) -> ControllerStep:
    """One step of a controller under its slow weights plus, if given, its fast ones."""
    joined = controller.step_input(inputs, state)
    preactivation = controller.preactivation(inputs, state)
    if fast is not None and not fast.is_empty:
        preactivation = preactivation + fast.preactivation(joined)
    gates = controller.gates(preactivation, state)
    return ControllerStep(joined, gates, gates.hidden)


class LiteralMemory(nn.Module):
    r"""A memory of slots with an input, an output and a write controller, as the paper prints it (Sec. 3.1).

    Args:
        input_size: features of :math:`x_t`.
        dim: k, features of a controller's output and of a slot.
        num_slots: l.
        compose: "literal": the output controller reads :math:`\bar m_t` and the write controller :math:`m_t`
            (Eqs. 5, 6). "query": both read the query beside it, as in Neural Semantic Encoders, where Eqs. 3-7 come
            from (`docs/deviations.md`).
        generator: source of the initial weights; torch's global one if None.
    """

    def __init__(
        self,
        *,
        input_size: int,
        dim: int,
        num_slots: int = 10,
        compose: Literal["literal", "query"] = "literal",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        dim, num_slots = refuse_unless_whole("dim", dim, 1), refuse_unless_whole("num_slots", num_slots, 1)
        refuse_unknown({"compose": (compose, ("literal", "query"))})
        self.dim, self.num_slots, self.compose = dim, num_slots, compose
        composed = 2 * dim if compose == "query" else dim

        def controller(size: int) -> LSTMController:
            return LSTMController(input_size=size, dim=dim, generator=generator)

        self.input_controller = controller(input_size)
        self.output_controller = controller(composed)
        self.write_controller = controller(composed)
        # Slots start distinct: equal slots stay equal for ever, and a read of them says nothing of the query.
        self.initial_slots = nn.Parameter(torch.empty(num_slots, dim).normal_(std=0.5, generator=generator))

    def initial_state(self, batch_size: int) -> MemoryState:
        """Learned distinct slots and controllers at zero, for `batch_size` memories side by side."""
        slots = self.initial_slots
        nothing = slots.new_zeros(batch_size, self.dim)
        zeros = ControllerState(nothing, nothing)  # the controllers are of one size
        return MemoryState(slots.expand(batch_size, -1, -1), input=zeros, output=zeros, write=zeros)

    def look(
        self,
        features: Float[Tensor, "batch *queries features"],
        state: MemoryState,
        fast: ControllerFastWeights = NO_FAST_WEIGHTS,
    ) -> Look:
        """Eqs. 2-5: queries the memory and composes its output. Changes nothing.

        Args:
            features: x_t, shape (batch, input_size); or (batch, queries, input_size), each answered as if alone.
            state: the memory that is asked.
            fast: fast weights of the controllers.

        Returns:
            The steps of both controllers and what lies between them.
        """
        input_step = controller_step(self.input_controller, features, state.input, fast.input)
        weights = functional.address(input_step.output, state.slots)
        read_vector = self.read(weights, state.slots)
        composed = read_vector
        if self.compose == "query":
            composed = torch.cat([input_step.output, read_vector], -1)
        output_step = controller_step(self.output_controller, composed, state.output, fast.output)
        return Look(input_step, weights, read_vector, output_step)

    def read(self, address_weights: Tensor, slots: Tensor) -> Tensor:
        """Eq. 4, see `functional.read`. A control replaces it."""
        return functional.read(address_weights, slots)

    def compose_write(
        self, look: Look, state: MemoryState, fast: ControllerFastWeights = NO_FAST_WEIGHTS
    ) -> ControllerStep:
        """Eq. 6: the step of the write controller; its `output` is the write vector m'_t."""
        composed = look.output.output
        if self.compose == "query":
            composed = torch.cat([composed, look.query], -1)
        return controller_step(self.write_controller, composed, state.write, fast.write)

    def store(self, look: Look, write: ControllerStep, state: MemoryState) -> MemoryState:
        """Eq. 7: the state after the step, the write vector stored where the memory was read."""
        return MemoryState(
            slots=functional.write(state.slots, look.address_weights, write.output),
            input=look.input.state,
            output=look.output.state,
            write=write.state,
        )

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
            ValueError: if sizes, batch sizes or types differ; the message gives both.
        """
        look = self.look(features, state, fast)
        write = self.compose_write(look, state, fast)
        return look.output.output, self.store(look, write, state)


class MemoryNetwork(nn.Module):
    """Encoder, memory and decoder: Eqs. 1-8.

    Args:
        encoder: f^E, inputs to features, with the projection to the memory's input size if there is one.
        memory: the neural memory.
        num_outputs: classes of the logits.
    """

    def __init__(self, *, encoder: nn.Module, memory: LiteralMemory, num_outputs: int) -> None:
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
