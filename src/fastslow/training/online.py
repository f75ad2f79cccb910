r"""The online regime (paper Secs. 4.2, 5.1, 5.2): a stream in windows, learned slowly and fast at once.

A window is time-major: `inputs` (window, batch, ...), `targets` (window, batch), one memory for each of `batch` streams
side by side. It takes a slow step on everything, Eq. 10 joined to the controllers' gradients, and a fit step (Eq. 11).

Units. The loss is a mean over the N = window * batch examples. Predictors live in the unit of a loss *summed* over them
(N times the true gradient) over its running root mean square, so neither the window, nor the batch, nor a network's
scale changes what a shared predictor is asked for. Eq. 10 is summed over steps and batch, then divided by N: at
`mix` 1 and step sizes 1 it is in the unit of the true gradient it joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.feedback import add_gradients, synthetic_update, true_gradients
from fastslow.core.memory import MemoryState, detach_state
from fastslow.core.network import ControllerStep, MemoryNetwork
from fastslow.core.predictors import (
    GradientPredictor,
    GradientQuality,
    Predictors,
    RunningRMS,
    gradient_quality,
    predictor_loss,
)
from fastslow.errors import InputError
from fastslow.methods.episodic import CONTROLLERS


class OnlineState(NamedTuple):
    """What a stream carries from window to window, cut from the graph.

    Attributes:
        memory: memory and controllers' states, for `batch` streams side by side.
        predictors: states of the three predictors' LSTMs, in the order of `CONTROLLERS`.
    """

    memory: MemoryState
    predictors: tuple[ControllerState, ...]


class StepReport(NamedTuple):
    """What one window did; tensors are cut from the graph, dicts are by controller.

    Attributes:
        loss: mean task loss before the step, scalar.
        logits: what was answered before the step, shape (window, batch, outputs).
        true_norms: norm of backpropagation's gradient of the controller's parameters, of the mean loss.
        synthetic_norms: norm of what Eq. 10 joined to or put in place of it, same unit, clipped; 0 if nothing.
        quality: predicted against true gradient at the controller's outputs, summed-loss unit, before the fit step;
            None where no output of the window had a true gradient.
        fast_acted: whether the fast path was on: some controller learns fast and the warm-up is over.
    """

    loss: Tensor
    logits: Tensor
    true_norms: dict[str, Tensor]
    synthetic_norms: dict[str, Tensor]
    quality: dict[str, GradientQuality | None]
    fast_acted: bool


class Unrolled(NamedTuple):
    """One window through the network.

    Attributes:
        logits: shape (window, batch, outputs).
        steps: the steps of each controller.
        activations: q_t, m_t and m'_t: what each controller's predictor sees.
        memory: the state after the window, in the graph.
    """

    logits: Tensor
    steps: dict[str, list[ControllerStep]]
    activations: dict[str, list[Tensor]]
    memory: MemoryState


class OnlineLearner(nn.Module):
    r"""Learns a stream window by window. Its `state_dict` and those of its two optimisers are all it remembers.

    Args:
        network: encoder, memory and decoder.
        predictors: one gradient predictor a controller; pass one object more than once, or to two learners, to share.
        fast_controllers: the controllers that learn fast; none is plain backpropagation. All predictors are fitted.
        loss: of (examples, outputs) and (examples, ...) targets, a mean over examples.
        optimiser: of the network; Adam at 1e-3 if None.
        fit_optimiser: of the predictors; Adam at 1e-3 if None. Learners that share predictors may share it.
        mix: factor on every synthetic gradient; 1 trusts it as much as the true one.
        step_sizes: :math:`\alpha` of each controller, a further factor; 1 if not given. The optimiser takes the step:
            under plain SGD its size is that of the slow step times mix * alpha; under Adam, with `join` "replaced",
            neither factor matters.
        join: the synthetic gradient is "added" to the controllers' true one, or the true one is "replaced" by it.
        warm_up: windows before the fast path acts.
        clip_norm: largest norm of the network's gradient after the two have joined; None for no limit.
        clip_synthetic: largest norm of a controller's synthetic gradient, as a multiple of the true one's norm.
        memory_lifetime: "window": memory, controllers and predictors start afresh with each window. "sequence": they
            are carried, cut from the graph, until `step` is given no state; for ever, if it always is given one.
        last_write: the last write vector acts only after the window and has no true gradient: its predictor is never
            fitted there. "skip": nor does Eq. 10 use its prediction there. "predict": it does, as credit from beyond
            the window, extrapolated from earlier steps.
        zero_read: a control: the memory read is replaced by zeros throughout. A controller that the loss then does not
            depend on learns nothing.
    """

    windows: Tensor

    def __init__(
        self,
        *,
        network: MemoryNetwork,
        predictors: Predictors,
        fast_controllers: Sequence[str] = CONTROLLERS,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        optimiser: torch.optim.Optimizer | None = None,
        fit_optimiser: torch.optim.Optimizer | None = None,
        mix: float = 0.1,
        step_sizes: Mapping[str, float] | None = None,
        join: Literal["added", "replaced"] = "added",
        warm_up: int = 0,
        clip_norm: float | None = None,
        clip_synthetic: float | None = None,
        memory_lifetime: Literal["window", "sequence"] = "window",
        last_write: Literal["skip", "predict"] = "skip",
        zero_read: bool = False,
    ) -> None:
        super().__init__()
        for what, names in (("fast_controllers", fast_controllers), ("step_sizes", step_sizes or {})):
            if set(names) - set(CONTROLLERS):
                raise InputError(f"{what} has {sorted(set(names) - set(CONTROLLERS))}; choose from {list(CONTROLLERS)}")
        if last_write == "predict" and memory_lifetime == "window":
            raise InputError(
                "last_write='predict' credits a write that memory_lifetime='window' forgets; use 'sequence', or 'skip'"
            )
        self.network, self.predictors, self.loss = network, predictors, loss
        self.fast_controllers, self.mix, self.join, self.warm_up = tuple(fast_controllers), mix, join, warm_up
        self.step_sizes = dict.fromkeys(CONTROLLERS, 1.0) | dict(step_sizes or {})
        self.clip_norm, self.clip_synthetic = clip_norm, clip_synthetic
        self.memory_lifetime, self.last_write, self.zero_read = memory_lifetime, last_write, zero_read
        self.scales = nn.ModuleDict({name: RunningRMS().to(network.decoder.weight) for name in CONTROLLERS})
        self.register_buffer("windows", torch.zeros((), dtype=torch.int64))
        self.optimiser = optimiser or torch.optim.Adam(network.parameters(), lr=1e-3)
        # `parameters` gives those of a shared predictor once; those of a random one do not learn.
        learning = [parameter for parameter in predictors.parameters() if parameter.requires_grad]
        self.fit_optimiser = fit_optimiser or (torch.optim.Adam(learning, lr=1e-3) if learning else None)

    def initial_state(self, batch_size: int) -> OnlineState:
        """The state before the first window, for `batch_size` streams side by side."""
        predictors = tuple(self._predictor(name).initial_state(batch_size) for name in CONTROLLERS)
        return OnlineState(self.network.initial_state(batch_size), predictors)

    def unroll(self, inputs: Float[Tensor, "window batch *shape"], memory: MemoryState) -> Unrolled:
        """Eqs. 1-8 over a window. The encoder sees all its examples as one batch.

        Args:
            inputs: shape (window, batch, ...).
            memory: the state before the window; not modified.

        Returns:
            Logits, steps and the state after.
        """
        steps: dict[str, list[ControllerStep]] = {name: [] for name in CONTROLLERS}
        queries, net = [], self.network.memory
        for features in self.network.encoder(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]):
            look = net.look(features, memory, zero_read=self.zero_read)
            write = net.compose_write(look, memory)
            memory = net.store(look, write, memory)
            queries.append(look.query)
            for name, step in zip(CONTROLLERS, (look.input, look.output, write), strict=True):
                steps[name].append(step)
        outputs = {name: [step.output for step in steps[name]] for name in CONTROLLERS}
        logits = self.network.decoder(torch.stack(outputs["output"]))
        return Unrolled(logits, steps, outputs | {"input": queries}, memory)

    def step(
        self, inputs: Float[Tensor, "window batch *shape"], targets: Tensor, state: OnlineState | None = None
    ) -> tuple[StepReport, OnlineState]:
        """Learns one window.

        Args:
            inputs: shape (window, batch, ...).
            targets: class indices, shape (window, batch), which predictors see as one-hot; or vectors of floats,
                shape (window, batch, targets), which they see as they are.
            state: from the window before; a fresh one if None. Of no effect where memory lives for a window.

        Returns:
            What happened, and the state for the next window.

        Raises:
            ValueError: if shapes or labels do not fit, if the write controller is to learn fast from a window of one
                step, or if the loss is not finite (nothing has been moved then).
        """
        codes = self._codes(inputs, targets, state)
        if state is None or self.memory_lifetime == "window":
            state = self.initial_state(inputs.shape[1])
        unrolled = self.unroll(inputs, state.memory)
        loss = self.loss(unrolled.logits.flatten(0, 1), targets.flatten(0, 1))
        if not torch.isfinite(loss):
            raise InputError(
                f"the loss is {loss.item()} in window {int(self.windows)}; check the inputs, lower the optimiser's "
                "rate or mix, or set clip_norm or clip_synthetic"
            )
        true = self._true_gradients(loss, unrolled)
        synthetic, predictor_states = self._predict(unrolled, codes, state)
        self.network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        report = self._join(loss, unrolled, synthetic, true)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimiser.step()
        self._fit(synthetic, true)
        self.windows.add_(1)
        return report, OnlineState(detach_state(unrolled.memory), predictor_states)

    def _codes(self, inputs: Tensor, targets: Tensor, state: OnlineState | None) -> Tensor:
        """Checks a window; what the predictors see of its targets, shape (window, batch, targets)."""
        if inputs.shape[:2] != targets.shape[:2] or not targets.numel():
            raise InputError(
                f"inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)} must both start (window, batch)"
            )
        if "write" in self.fast_controllers and len(inputs) < 2:
            raise InputError(
                "a write vector acts only on later steps, so in a window of 1 its predictor has nothing to learn from; "
                "use a window of 2 or more, or leave 'write' out of fast_controllers"
            )
        if state is not None and self.memory_lifetime == "sequence" and len(state.memory.usage) != inputs.shape[1]:
            raise InputError(f"the state is of {len(state.memory.usage)} streams, the inputs of {inputs.shape[1]}")
        if targets.is_floating_point():
            return targets
        num_outputs = self.network.decoder.out_features
        if not 0 <= int(targets.min()) <= int(targets.max()) < num_outputs:
            raise InputError(
                f"labels run from {int(targets.min())} to {int(targets.max())}; this model has 0 to {num_outputs - 1}"
            )
        return F.one_hot(targets, num_outputs).to(self.network.decoder.weight.dtype)

    def _true_gradients(self, loss: Tensor, unrolled: Unrolled) -> dict[str, Tensor]:
        """dL/da_t of the summed loss, shape (known, batch, dim): a last write vector is left out. Updates the scales.

        With `residual_query` a is what the input controller adds to the features, not the query itself.
        """
        num_steps, batch = unrolled.logits.shape[:2]
        grads = true_gradients(loss, [step.output for name in CONTROLLERS for step in unrolled.steps[name]])
        true = {}
        for c, name in enumerate(CONTROLLERS):
            known = [grad for grad in grads[c * num_steps : (c + 1) * num_steps] if grad is not None]
            if known:
                true[name] = torch.stack(known) * (num_steps * batch)
                self._scale(name).update(true[name])
        return true

    def _predict(
        self, unrolled: Unrolled, codes: Tensor, state: OnlineState
    ) -> tuple[dict[str, Tensor], tuple[ControllerState, ...]]:
        """Eq. 9 at every step, shape (window, batch, dim), in units of the running scale; and the states after."""
        synthetic, states = {}, []
        for name, lstm_state in zip(CONTROLLERS, state.predictors, strict=True):
            predictions = []
            for activation, code in zip(unrolled.activations[name], codes, strict=True):
                # detach: cuts the path into the controller, which Eq. 11 does not train.
                prediction, lstm_state = self._predictor(name)(activation.detach(), code, lstm_state)
                predictions.append(prediction)
            synthetic[name] = torch.stack(predictions)
            # detach: the predictors' truncated backpropagation through time stops at the window as well.
            states.append(ControllerState(lstm_state.hidden.detach(), lstm_state.cell.detach()))
        return synthetic, tuple(states)

    def _join(
        self, loss: Tensor, unrolled: Unrolled, synthetic: dict[str, Tensor], true: dict[str, Tensor]
    ) -> StepReport:
        """Eq. 10 into the `.grad` that `backward` left in the controllers that learn fast; and the report of it."""
        acting = self.fast_controllers if int(self.windows) >= self.warm_up else ()
        true_norms, synthetic_norms = {}, {}
        quality: dict[str, GradientQuality | None] = dict.fromkeys(CONTROLLERS)
        for name in CONTROLLERS:
            controller: LSTMController = getattr(self.network.memory, f"{name}_controller")
            predicted = synthetic[name].detach() * self._scale(name).scale
            if name in true:
                quality[name] = gradient_quality(predicted[: len(true[name])], true[name])
            true_norms[name] = _norm(p.grad for p in controller.parameters() if p.grad is not None).to(loss)
            synthetic_norms[name] = torch.zeros_like(true_norms[name])
            if name in acting and name in true:
                num_used = len(true[name]) if self.last_write == "skip" else len(predicted)
                grads = _window_update(controller, unrolled.steps[name][:num_used], predicted[:num_used])
                weight = self.mix * self.step_sizes[name] / unrolled.logits[..., 0].numel()
                norm = abs(weight) * _norm(grads.values())
                if self.clip_synthetic is not None:
                    factor = min(1.0, float(self.clip_synthetic * true_norms[name] / norm.clamp_min(1e-30)))
                    weight, norm = weight * factor, norm * factor
                synthetic_norms[name] = norm
                add_gradients(controller, grads, weight=weight, replace=self.join == "replaced")
        return StepReport(
            loss.detach(), unrolled.logits.detach(), true_norms, synthetic_norms, quality, fast_acted=bool(acting)
        )

    def _fit(self, synthetic: dict[str, Tensor], true: dict[str, Tensor]) -> None:
        """Eq. 11: one step of all predictors towards the true gradients, in units of the running scale."""
        losses = [predictor_loss(synthetic[n][: len(grad)], grad, self._scale(n).scale) for n, grad in true.items()]
        total = torch.stack(losses).sum()
        if self.fit_optimiser is not None and total.requires_grad:
            self.predictors.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            self.fit_optimiser.step()

    def _predictor(self, name: str) -> GradientPredictor:
        predictor: GradientPredictor = getattr(self.predictors, name)
        return predictor

    def _scale(self, name: str) -> RunningRMS:
        scale = self.scales[name]
        assert isinstance(scale, RunningRMS)
        return scale


def _window_update(
    controller: LSTMController, steps: Sequence[ControllerStep], synthetic_grad: Tensor
) -> dict[str, Tensor]:
    """`synthetic_update` summed over a window: input and state are held fixed, so the steps are one batch."""
    keys = torch.cat([step.key for step in steps])
    cells = [step.gates.prev_cell for step in steps if step.gates.prev_cell is not None]
    state = controller.initial_state(len(keys))
    if cells:
        state = ControllerState(keys[:, controller.input_size :], torch.cat(cells))
    return synthetic_update(controller, keys[:, : controller.input_size], state, synthetic_grad.flatten(0, 1))


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    """Norm of all the numbers together; 0 of none."""
    squares = [tensor.square().sum() for tensor in tensors]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())
