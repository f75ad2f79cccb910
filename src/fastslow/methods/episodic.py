"""The episodic regime (paper Sec. 4.1): a task's support set changes fast weights and memory, forward only.

Per task, each support step looks, learns by Eq. 10 in closed form, and writes. Queries are then answered side by side
from the state that the support set left. Slow weights, step sizes and predictors learn through the query loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.fast_weights import FastWeights, gate_deltas
from fastslow.core.memory import MemoryState
from fastslow.core.network import (
    NO_FAST_WEIGHTS,
    ControllerFastWeights,
    ControllerStep,
    Look,
    MemoryNetwork,
    finish_step,
)
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.errors import InputError, refuse_unknown

CONTROLLERS = ("input", "output", "write")


class TaskState(NamedTuple):
    """All that a support set has taught: the memory and the fast weights of each controller.

    Attributes:
        memory: memory and controllers' states, for `batch` tasks side by side.
        fast: fast weights of each controller; None where none outlast a step.
        predictors: states of the predictors' LSTMs by controller, of those that carry one from step to step.
    """

    memory: MemoryState
    fast: ControllerFastWeights
    predictors: Mapping[str, ControllerState]


class SupportStep(NamedTuple):
    """One step of learning, for diagnostics and pictures.

    Attributes:
        activations: q_t, m_t and m'_t by controller, each (batch, dim), in the graph; (batch, examples, dim) where
            several were learned side by side. m'_t is the vector that was written.
        synthetic_grads: SG(a_t, y_t) by fast controller, likewise.
        address_weights: z_t, shape (batch, slots) or (batch, examples, slots).
    """

    activations: dict[str, Tensor]
    synthetic_grads: dict[str, Tensor]
    address_weights: Tensor


class EpisodicLearner(nn.Module):
    r"""A memory network that learns a task in one pass over its support set, without a backward pass.

    Args:
        network: encoder, memory and decoder.
        predictors: one gradient predictor a controller; pass one object more than once to share it.
        fast_controllers: the controllers that learn fast; none is the plain memory network.
        order: "write_then_update": Eq. 7, then Eq. 10. "update_then_write": Eq. 10 for the write controller first, and
            the write vector recomputed under the updated weights, so that the label reaches the memory at once.
        fast_bias: Eq. 10 moves the biases as well as the weights.
        step_sizes: :math:`\alpha` of each controller to start from; learned, in logarithms.
        support: "stream": a support set is learned one example after another. "set": side by side, each example as the
            state before the set sees it, so that their order does not matter and the work is done at once; a set of
            more examples than there are slots goes in parts of that many.
        fast_lifetime: "task": fast weights add up over the support set and answer the queries. "step": they are let go
            once the memory has been written, so that what was learned lies in the memory alone and no example disturbs
            another; for the write controller under "update_then_write".
        zero_read: a control: the memory read is replaced by zeros throughout.
        gradients: "synthetic": Eq. 10 takes the predicted gradient. "true": a control that keeps its length but takes
            the direction of the true gradient, by backpropagation of the loss of recalling the example that is being
            written; for the write controller alone under "update_then_write".
    """

    one_hot: Tensor

    def __init__(
        self,
        *,
        network: MemoryNetwork,
        predictors: Predictors,
        fast_controllers: Sequence[str] = CONTROLLERS,
        order: Literal["write_then_update", "update_then_write"] = "write_then_update",
        fast_bias: bool = True,
        step_sizes: Mapping[str, float] | None = None,
        support: Literal["stream", "set"] = "stream",
        fast_lifetime: Literal["task", "step"] = "task",
        zero_read: bool = False,
        gradients: Literal["synthetic", "true"] = "synthetic",
    ) -> None:
        super().__init__()
        unknown = set(fast_controllers) | set(step_sizes or {})
        unknown -= set(CONTROLLERS)
        if unknown:
            raise InputError(f"fast_controllers or step_sizes have {sorted(unknown)}; choose from {list(CONTROLLERS)}")
        fast_controllers = tuple(name for name in CONTROLLERS if name in fast_controllers)
        refuse_unknown({
            "order": (order, ("write_then_update", "update_then_write")), "support": (support, ("stream", "set")),
            "fast_lifetime": (fast_lifetime, ("task", "step")), "gradients": (gradients, ("synthetic", "true")),
        })  # fmt: skip
        if support == "set" and not network.memory.takes_sets:
            raise InputError('support="set" needs a memory with write_policy="least_used" and recurrent=False')
        if fast_lifetime == "step" and (set(fast_controllers) - {"write"} or order != "update_then_write"):
            raise InputError(
                f'fast_lifetime="step" came with fast_controllers={tuple(fast_controllers)}, order={order!r}; only '
                'what the write controller learns before it writes lasts: use ("write",) and "update_then_write"'
            )
        if gradients == "true" and (tuple(fast_controllers) != ("write",) or order != "update_then_write"):
            raise InputError(
                f'gradients="true" came with fast_controllers={tuple(fast_controllers)}, order={order!r}; only a write '
                'can be recalled before it is made: use ("write",) and "update_then_write"'
            )
        self.network, self.predictors, self.gradients = network, predictors, gradients
        self.support, self.fast_lifetime = support, fast_lifetime
        self.fast_controllers, self.order = fast_controllers, order
        self.fast_bias, self.zero_read = fast_bias, zero_read
        self._recurrent_predictors = [name for name in fast_controllers if self._predictor(name).lstm.recurrent]
        start = dict.fromkeys(CONTROLLERS, 1.0) | dict(step_sizes or {})
        if not all(0 < size < math.inf for size in start.values()):
            raise InputError(
                f"step_sizes={dict(start)} came; step sizes are learned in logarithms and must be positive and finite"
            )
        self.register_buffer("one_hot", torch.eye(self.num_classes), persistent=False)
        self.log_alpha = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(math.log(start[name]))) for name in self.fast_controllers}
        )

    @property
    def num_classes(self) -> int:
        """The most ways a task can have."""
        return self.network.decoder.out_features

    @property
    def capacity(self) -> int | None:
        """How many examples a task can have before each one more takes the slot of the oldest; None: no such limit."""
        memory = self.network.memory
        return memory.num_slots if memory.write_policy == "least_used" else None

    def initial_state(self, batch_size: int) -> TaskState:
        """Nothing learned yet, for `batch_size` tasks side by side."""
        memory = self.network.memory.initial_state(batch_size)

        def empty(name: str) -> FastWeights:
            controller = self._controller(name)
            sizes = controller.key_size, controller.num_preactivations
            return FastWeights.empty(batch_size, *sizes, memory.usage, num_biases=self._num_biases(name))

        fast = NO_FAST_WEIGHTS
        if self.fast_lifetime == "task":
            fast = fast._replace(**{name: empty(name) for name in self.fast_controllers})
        states = {name: self._predictor(name).initial_state(batch_size) for name in self._recurrent_predictors}
        return TaskState(memory, fast, states)

    def learn_step(
        self,
        features: Float[Tensor, "batch *examples features"],
        labels: Int64[Tensor, "batch *examples"],
        state: TaskState,
    ) -> tuple[SupportStep, TaskState]:
        """Learns one labelled example a task; or several side by side, each as the state before all of them sees it.

        Args:
            features: x_t, shape (batch, features) or (batch, examples, features).
            labels: classes within the task, shape (batch,) or (batch, examples).
            state: what is known before.

        Returns:
            The step's parts, and what is known after it.
        """
        target = self.one_hot[labels]  # not F.one_hot, which torch.func.vmap does not take
        neural_memory, memory, fast = self.network.memory, state.memory, state.fast
        look = neural_memory.look(features, memory, fast, zero_read=self.zero_read)
        write = neural_memory.compose_write(look, memory, fast)
        steps: dict[str, ControllerStep] = {"input": look.input, "output": look.output, "write": write}
        activations = {"input": look.query, "output": look.output.output, "write": write.output}
        learned: dict[str, FastWeights] = {}
        synthetic: dict[str, Tensor] = {}
        predictor_states = dict(state.predictors)
        for name in self.fast_controllers:
            weights: FastWeights | None = getattr(fast, name)
            synthetic[name], predictor_state = self._predictor(name)(
                activations[name], target, predictor_states.get(name)
            )
            if name in predictor_states:
                predictor_states[name] = predictor_state
            if self.gradients == "true":
                true = self._recall_gradient(features, labels, look, write, state)
                synthetic[name] = F.normalize(true, dim=-1) * synthetic[name].norm(dim=-1, keepdim=True)
            alpha, deltas = self.log_alpha[name].exp(), gate_deltas(steps[name].gates, synthetic[name])
            if weights is not None:
                learned[name] = weights.append(steps[name].key, -alpha * deltas)
            if name == "write" and self.order == "update_then_write":
                # What an example has just taught the weights, -alpha delta (x) key, moves its own pre-activations.
                own = (write.key * write.key).sum(-1, keepdim=True)
                if self.fast_bias:
                    own = own + self._num_biases(name)
                moved = torch.addcmul(write.preactivation, deltas, alpha * own, value=-1)
                write = finish_step(neural_memory.write_controller, write.key, moved, memory.write)
        activations["write"] = write.output
        new_memory = neural_memory.store(look, write, memory)
        taught = TaskState(new_memory, fast._replace(**learned) if learned else fast, predictor_states)
        return SupportStep(activations, synthetic, look.address_weights), taught

    def learn(
        self,
        features: Float[Tensor, "batch support features"],
        labels: Int64[Tensor, "batch support"],
        state: TaskState | None = None,
    ) -> tuple[list[SupportStep], TaskState]:
        """Learns a support set: one example after another, or side by side, as `support` says.

        Args:
            features: shape (batch, support, features).
            labels: classes within the task, shape (batch, support).
            state: what is known before; `initial_state` if None.

        Returns:
            The steps, and what is known after the last.

        Raises:
            ValueError: if a label is not below `num_classes`, or there is not one label an example.
        """
        if labels.shape != features.shape[:2] or labels.dtype != torch.int64:
            raise InputError(
                f"labels of shape {tuple(labels.shape)} and type {labels.dtype} came with features of shape "
                f"{tuple(features.shape)}; give one int64 label an example, shape {tuple(features.shape[:2])}"
            )
        numbers = {label for task in labels.tolist() for label in task}
        if not numbers <= set(range(self.num_classes)):
            raise InputError(
                f"labels run from {min(numbers)} to {max(numbers)}; this model tells {self.num_classes} classes apart, "
                f"0 to {self.num_classes - 1}"
            )
        state = state or self.initial_state(features.shape[0])
        steps = []
        at_once = self.network.memory.num_slots
        parts: Iterable[tuple[Tensor, Tensor]]
        if self.support == "set" and features.shape[1] <= at_once:
            parts = [(features, labels)]
        elif self.support == "set":
            parts = zip(torch.split(features, at_once, 1), torch.split(labels, at_once, 1), strict=True)
        else:
            parts = zip(features.unbind(1), labels.unbind(1), strict=True)
        for part_features, part_labels in parts:
            step, state = self.learn_step(part_features, part_labels, state)
            steps.append(step)
        if self.fast_lifetime == "task":
            state = state._replace(fast=ControllerFastWeights(*(w and w.compact() for w in state.fast)))
        return steps, state

    def answer(
        self, features: Float[Tensor, "batch queries features"], state: TaskState
    ) -> Float[Tensor, "batch queries classes"]:
        """Logits of a query set, each query answered as if alone. Changes nothing.

        Args:
            features: shape (batch, queries, features).
            state: what the support set taught.

        Returns:
            Logits, shape (batch, queries, num_classes).
        """
        look = self.network.memory.look(features, state.memory, state.fast, zero_read=self.zero_read)
        logits: Tensor = self.network.decoder(look.output.output)
        return logits

    def forward(
        self,
        support: Float[Tensor, "batch support features"],
        support_labels: Int64[Tensor, "batch support"],
        query: Float[Tensor, "batch queries features"],
    ) -> Float[Tensor, "batch queries classes"]:
        """Learns the support sets, then answers the query sets: logits, shape (batch, queries, num_classes)."""
        _, state = self.learn(support, support_labels)
        return self.answer(query, state)

    def _recall_gradient(
        self, features: Tensor, labels: Tensor, look: Look, write: ControllerStep, state: TaskState
    ) -> Tensor:
        """The gradient at the write vector of the loss, summed, of recalling each example once it is written."""
        memory = self.network.memory

        def loss(write_vector: Tensor) -> Tensor:
            written = memory.store(look, write._replace(output=write_vector), state.memory)
            recalled = memory.look(features, written, state.fast, zero_read=self.zero_read)
            logits = self.network.decoder(recalled.output.output)
            return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")

        gradient: Tensor = torch.func.grad(loss)(write.output)
        return gradient

    def _controller(self, name: str) -> LSTMController:
        controller: LSTMController = getattr(self.network.memory, f"{name}_controller")
        return controller

    def _num_biases(self, name: str) -> int:
        """Biases of a controller that learn fast."""
        return self._controller(name).num_biases if self.fast_bias else 0

    def _predictor(self, name: str) -> GradientPredictor:
        predictor: GradientPredictor = getattr(self.predictors, name)
        return predictor
