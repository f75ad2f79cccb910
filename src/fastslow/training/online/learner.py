r"""The online regime (paper Secs. 4.2, 5.1, 5.2): a stream in windows, learned slowly and fast at once.

A window is time-major: `inputs` (window, batch, ...), `targets` (window, batch), one memory for each of `batch` streams
side by side. It takes a slow step on everything, Eq. 10 joined to the controllers' gradients, and a fit step (Eq. 11).

Units. The loss is a mean over the N = window * batch examples. Predictors live in the unit of a loss *summed* over them
(N times the true gradient) over its running root mean square, so neither the window, nor the batch, nor a network's
scale changes what a shared predictor is asked for. Eq. 10 is summed over steps and batch, then divided by N: at
`mix` 1 and step sizes 1 it is in the unit of the true gradient it joins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.feedback import Join, join_gradients, norm_of
from fastslow.core.literal_memory import MemoryNetwork
from fastslow.core.memory import MemoryState, detach_state
from fastslow.core.predictors import GradientQuality, Predictors, RunningRMS, gradient_quality, predictor_loss
from fastslow.errors import InputError, shown
from fastslow.methods.config import CONTROLLERS
from fastslow.training.online.rollback import AllOrNothing, refuse_non_finite
from fastslow.training.online.synthetic import predict_window, window_true_gradients, window_update
from fastslow.training.online.unroll import Unrolled, unroll
from fastslow.training.online.window import check_streams, check_window, target_codes

_CURE = "check the inputs, lower the optimiser's rate or mix, or set clip_norm or clip_synthetic"


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


class OnlineLearner(nn.Module):
    r"""Learns a stream window by window. Its `state_dict` and those of its two optimisers are all it remembers.

    Args:
        network: encoder, memory and decoder.
        predictors: one gradient predictor per controller; pass one object more than once, or to two learners, to share.
        fast_controllers: the controllers that learn fast; none is plain backpropagation. All predictors are fitted.
        loss: of (examples, outputs) and (examples, ...) targets, a mean over examples.
        optimiser: of the network; Adam at 1e-3 if None.
        fit_optimiser: of the predictors; Adam at 1e-3 if None. Learners that share predictors may share it.
        mix: factor on every synthetic gradient; 1 trusts it as much as the true one.
        step_sizes: :math:`\alpha` of each controller, a further factor; 1 if not given. The optimiser takes the step:
            under plain SGD its size is that of the slow step times mix * alpha; under Adam, with `join` "replaced",
            neither factor matters.
        join: the synthetic gradient is "added" to the controllers' true one, or the true one is "replaced" by it, or,
            as a control, "matched" in length to the sum of the two, its direction kept.
        warm_up: windows before the fast path acts.
        clip_norm: largest norm of the network's gradient after the two have joined; None for no limit.
        clip_synthetic: largest norm of a controller's synthetic gradient, as a multiple of the true one's norm.
        memory_lifetime: "window": memory, controllers and predictors start afresh with each window. "sequence": they
            are carried, cut from the graph, until `step` is given no state; for ever, if it always is given one.
        last_write: the last write vector acts only after the window and has no true gradient: its predictor is never
            fitted there. "skip": nor does Eq. 10 use its prediction there. "predict": it does, as credit from beyond
            the window, extrapolated from earlier steps.
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
        join: Join = "added",
        warm_up: int = 0,
        clip_norm: float | None = None,
        clip_synthetic: float | None = None,
        memory_lifetime: Literal["window", "sequence"] = "window",
        last_write: Literal["skip", "predict"] = "skip",
    ) -> None:
        super().__init__()
        for what, names in (("fast_controllers", fast_controllers), ("step_sizes", step_sizes or {})):
            if set(names) - set(CONTROLLERS):
                raise InputError(f"{what} has {sorted(set(names) - set(CONTROLLERS))}; choose from {list(CONTROLLERS)}")
        factors = {"mix": mix, "clip_norm": clip_norm, "clip_synthetic": clip_synthetic, **(step_sizes or {})}
        for name, factor in factors.items():
            if factor is not None and not math.isfinite(factor):
                raise InputError(f"got {shown(factor)} for {name}; give a finite number")
        if last_write == "predict" and memory_lifetime == "window":
            raise InputError(
                "last_write='predict' credits a write that memory_lifetime='window' forgets; use 'sequence', or 'skip'"
            )
        self.network, self.predictors, self.loss = network, predictors, loss
        self.fast_controllers, self.mix, self.join, self.warm_up = tuple(fast_controllers), mix, join, warm_up
        self.step_sizes = dict.fromkeys(CONTROLLERS, 1.0) | dict(step_sizes or {})
        self.clip_norm, self.clip_synthetic = clip_norm, clip_synthetic
        self.memory_lifetime, self.last_write = memory_lifetime, last_write
        self.scales = nn.ModuleDict({name: RunningRMS().to(network.decoder.weight) for name in CONTROLLERS})
        self.register_buffer("windows", torch.zeros((), dtype=torch.int64))
        self.optimiser = optimiser or torch.optim.Adam(network.parameters(), lr=1e-3)
        # `parameters` gives those of a shared predictor once; those of a random one do not learn.
        learning = [parameter for parameter in predictors.parameters() if parameter.requires_grad]
        self.fit_optimiser = fit_optimiser or (torch.optim.Adam(learning, lr=1e-3) if learning else None)

    def initial_state(self, batch_size: int) -> OnlineState:
        """The state before the first window, for `batch_size` streams side by side."""
        predictors = tuple(getattr(self.predictors, name).initial_state(batch_size) for name in CONTROLLERS)
        return OnlineState(self.network.initial_state(batch_size), predictors)

    def unroll(self, inputs: Float[Tensor, "window batch *shape"], memory: MemoryState) -> Unrolled:
        """Eqs. 1-8 over a window, from a state of the memory; neither is modified."""
        return unroll(self.network, inputs, memory)

    def step(
        self, inputs: Float[Tensor, "window batch *shape"], targets: Tensor, state: OnlineState | None = None
    ) -> tuple[StepReport, OnlineState]:
        """Learns one window, or, where it is refused, nothing: all that learns is then as it was before the call.

        Args:
            inputs: shape (window, batch, ...).
            targets: class indices, shape (window, batch), which predictors see as one-hot; or vectors of floats,
                shape (window, batch, targets), which they see as they are.
            state: from the window before; a fresh one if None. Of no effect where memory lives for a window.

        Returns:
            What happened, and the state for the next window.

        Raises:
            ValueError: if shapes or labels do not fit, if the write controller is to learn fast from a window of one
                step, or if a number is not finite: in the targets, the loss, a gradient, or in what the step would
                leave behind.
        """
        check_window(inputs, targets, write_learns_fast="write" in self.fast_controllers)
        if state is not None and self.memory_lifetime == "sequence":
            check_streams(state.memory, inputs.shape[1])
        decoder = self.network.decoder
        codes = target_codes(targets, decoder.out_features, decoder.weight.dtype)
        if state is None or self.memory_lifetime == "window":
            state = self.initial_state(inputs.shape[1])
        optimisers = [optimiser for optimiser in (self.optimiser, self.fit_optimiser) if optimiser is not None]
        with AllOrNothing(self, optimisers) as kept:
            report, after = self._learn(inputs, targets, codes, state)
            refuse_non_finite(_numbers(report, after), _CURE)
            kept.refuse_spoilt(_CURE)
        return report, after

    def _learn(
        self, inputs: Tensor, targets: Tensor, codes: Tensor, state: OnlineState
    ) -> tuple[StepReport, OnlineState]:
        unrolled = self.unroll(inputs, state.memory)
        targets = targets if targets.is_floating_point() else targets.long()
        loss = self.loss(unrolled.logits.flatten(0, 1), targets.flatten(0, 1))
        if not torch.isfinite(loss):
            raise InputError(f"the loss is {loss.item()} in window {int(self.windows)}; nothing was moved: {_CURE}")
        true = window_true_gradients(loss, unrolled)
        for name, grad in true.items():
            self._scale(name).update(grad)
        synthetic, predictor_states = self._predict(unrolled, codes, state)
        self.network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        report = self._join(loss, unrolled, synthetic, true)
        grads = {f"the gradient of {name}": p.grad for name, p in self.network.named_parameters() if p.grad is not None}
        refuse_non_finite(grads, _CURE)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimiser.step()
        self._fit(synthetic, true)
        self.windows.add_(1)
        return report, OnlineState(detach_state(unrolled.memory), predictor_states)

    def _predict(
        self, unrolled: Unrolled, codes: Tensor, state: OnlineState
    ) -> tuple[dict[str, Tensor], tuple[ControllerState, ...]]:
        """Eq. 9 at every step, shape (window, batch, dim), in units of the running scale; and the states after."""
        synthetic, states = {}, []
        for name, lstm_state in zip(CONTROLLERS, state.predictors, strict=True):
            predictor = getattr(self.predictors, name)
            synthetic[name], after = predict_window(predictor, unrolled.traces[name].activations, codes, lstm_state)
            states.append(after)
        return synthetic, tuple(states)

    def _join(
        self, loss: Tensor, unrolled: Unrolled, synthetic: dict[str, Tensor], true: dict[str, Tensor]
    ) -> StepReport:
        """Eq. 10 into the `.grad` that `backward` left in the controllers that learn fast; and the report of it."""
        acting = self.fast_controllers if int(self.windows) >= self.warm_up else ()
        true_norms, synthetic_norms = {}, {}
        quality: dict[str, GradientQuality | None] = dict.fromkeys(CONTROLLERS)
        for name in CONTROLLERS:
            predicted = synthetic[name].detach() * self._scale(name).scale
            if name in true:
                quality[name] = gradient_quality(predicted[: len(true[name])], true[name])
            parameters = self._controller(name).parameters()
            true_norms[name] = norm_of(p.grad for p in parameters if p.grad is not None).to(loss)
            synthetic_norms[name] = torch.zeros_like(true_norms[name])
            if name in acting and name in true:
                num_used = len(true[name]) if self.last_write == "skip" else len(predicted)
                synthetic_norms[name] = self._join_one(name, unrolled, predicted[:num_used], true_norms[name])
        logits = unrolled.logits.detach()
        return StepReport(loss.detach(), logits, true_norms, synthetic_norms, quality, fast_acted=bool(acting))

    def _join_one(self, name: str, unrolled: Unrolled, predicted: Tensor, true_norm: Tensor) -> Tensor:
        """Eq. 10 for one controller from predictions in the unit of the true gradient; the norm of what was joined."""
        controller = self._controller(name)
        grads = window_update(controller, unrolled.traces[name], predicted)
        weight = self.mix * self.step_sizes[name] / unrolled.logits[..., 0].numel()
        joined = abs(weight) * norm_of(grads.values())
        if self.clip_synthetic is not None:
            factor = min(1.0, float(self.clip_synthetic * true_norm / joined.clamp_min(1e-30)))
            weight, joined = weight * factor, joined * factor
        join_gradients(controller, grads, weight=weight, join=self.join)
        return joined

    def _fit(self, synthetic: dict[str, Tensor], true: dict[str, Tensor]) -> None:
        """Eq. 11: one step of all predictors towards the true gradients, in units of the running scale."""
        losses = [predictor_loss(synthetic[n][: len(grad)], grad, self._scale(n).scale) for n, grad in true.items()]
        total = torch.stack(losses).sum()
        if self.fit_optimiser is not None and total.requires_grad:
            self.predictors.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            self.fit_optimiser.step()

    def _controller(self, name: str) -> LSTMController:
        controller: LSTMController = getattr(self.network.memory, f"{name}_controller")
        return controller

    def _scale(self, name: str) -> RunningRMS:
        scale = self.scales[name]
        assert isinstance(scale, RunningRMS)
        return scale


def _numbers(report: StepReport, state: OnlineState) -> dict[str, Tensor]:
    """What a step gives back, by what a refusal calls it; but for the logits, where -inf can be meant."""
    numbers = {f"the norm of the {name} controller's gradient": value for name, value in report.true_norms.items()}
    numbers |= {f"the norm of its synthetic one ({name})": value for name, value in report.synthetic_norms.items()}
    for name, quality in report.quality.items():
        numbers |= {f"the {name} predictor's quality": torch.stack(quality)} if quality is not None else {}
    memory = [state.memory.slots, *(tensor for part in state.memory[1:] for tensor in part)]
    carried = memory + [tensor for part in state.predictors for tensor in part]
    return numbers | {f"tensor {k} of the state": tensor for k, tensor in enumerate(carried)}
