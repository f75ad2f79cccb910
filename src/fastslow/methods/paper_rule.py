"""The fast rule of the preset `paper` (Sec. 4.1): per-task fast weights of the controllers, which add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.encoders import ImageEncoder
from fastslow.core.fast_weights import FastWeights, StepSize, gate_deltas
from fastslow.core.literal_memory import ControllerFastWeights, LiteralMemory
from fastslow.core.memory import MemoryState
from fastslow.core.predictors import Predictors
from fastslow.errors import refuse_unknown
from fastslow.methods.config import CONTROLLERS
from fastslow.methods.networks import LiteralNetwork, MemoryMethod, SupportStep


class TaskState(NamedTuple):
    """All that a support set has taught: the memory and the fast weights of each controller.

    Attributes:
        memory: slots and controllers' states, for `batch` tasks side by side.
        fast: fast weights of each controller.
        predictors: states of the predictors' LSTMs, by controller that learns fast.
    """

    memory: MemoryState
    fast: ControllerFastWeights
    predictors: Mapping[str, ControllerState]


class LiteralFastSlow(MemoryMethod[TaskState]):
    r"""The paper's system: each support step writes the memory (Eq. 7), then Eq. 10 changes the controllers.

    Slow weights, step sizes and predictors learn through the loss of the queries, which the fast weights answer.

    Args:
        encoder: images to features.
        memory: the memory.
        decoder: f^D of Eq. 8.
        predictors: one gradient predictor per controller; pass one object more than once to share it.
        fast_controllers: the controllers that learn fast; none is the plain memory network.
        step_size: :math:`\alpha` of Eq. 10 to start from, of each controller; learned.
    """

    memory: LiteralMemory

    def __init__(
        self,
        *,
        encoder: ImageEncoder,
        memory: LiteralMemory,
        decoder: nn.Linear,
        predictors: Predictors,
        fast_controllers: Sequence[str] = CONTROLLERS,
        step_size: float = 1.0,
    ) -> None:
        super().__init__(encoder=encoder, memory=memory, decoder=decoder)
        for name in fast_controllers:
            refuse_unknown({"fast_controllers": (name, CONTROLLERS)})
        self.fast_controllers = tuple(name for name in CONTROLLERS if name in fast_controllers)
        self.predictors = predictors
        self.step_sizes = nn.ModuleDict({name: StepSize(step_size) for name in self.fast_controllers})

    def initial_state(self, batch_size: int) -> TaskState:
        """See `Method.initial_state`."""
        memory = self.memory.initial_state(batch_size)

        def empty(name: str) -> FastWeights:
            controller: LSTMController = getattr(self.memory, f"{name}_controller")
            features, gates = controller.input_size + controller.dim, 4 * controller.dim
            return FastWeights.empty(batch_size, features, gates, memory.slots, num_biases=controller.num_biases)

        fast = ControllerFastWeights(**{name: empty(name) for name in self.fast_controllers})
        states = {name: getattr(self.predictors, name).initial_state(batch_size) for name in self.fast_controllers}
        return TaskState(memory, fast, states)

    def parts(self, examples: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """One example after another."""
        return list(zip(examples.unbind(1), targets.unbind(1), strict=True))

    def learn_steps(
        self, examples: Tensor, targets: Tensor, state: TaskState | None = None
    ) -> tuple[list[SupportStep], TaskState]:
        """See `MemoryMethod.learn_steps`; the fast weights come in the form that answers queries sooner."""
        steps, state = super().learn_steps(examples, targets, state)
        return steps, state._replace(fast=ControllerFastWeights(*(w and w.compact() for w in state.fast)))

    def learn_step(self, features: Tensor, labels: Tensor, state: TaskState) -> tuple[SupportStep, TaskState]:
        """Learns one example a task, features of shape (batch, features)."""
        target = self.one_hot[labels]  # not F.one_hot, which torch.func.vmap does not take
        look = self.memory.look(features, state.memory, state.fast)
        write = self.memory.compose_write(look, state.memory, state.fast)
        steps = {"input": look.input, "output": look.output, "write": write}
        fast: dict[str, FastWeights] = {}
        synthetic: dict[str, Tensor] = {}
        predictor_states: dict[str, ControllerState] = {}
        for name in self.fast_controllers:
            predictor = getattr(self.predictors, name)
            synthetic[name], predictor_states[name] = predictor(steps[name].output, target, state.predictors[name])
            deltas = gate_deltas(steps[name].gates, synthetic[name])
            learned: FastWeights = getattr(state.fast, name)
            fast[name] = learned.append(steps[name].inputs, -self.step_sizes[name]() * deltas)
        activations = {name: step.output for name, step in steps.items()}
        memory = self.memory.store(look, write, state.memory)
        after = TaskState(memory, ControllerFastWeights(**fast), predictor_states)
        return SupportStep(activations, synthetic, look.address_weights), after

    def answer(self, examples: Tensor, state: TaskState) -> Tensor:
        """See `Method.answer`."""
        logits: Tensor = self.decoder(self.memory.look(examples, state.memory, state.fast).output.output)
        return logits

    def without_fast_path(self) -> LiteralNetwork:
        """See `MemoryMethod.without_fast_path`; shares its parts with this one."""
        return LiteralNetwork(encoder=self.encoder, memory=self.memory, decoder=self.decoder).train(self.training)
