"""Meta-learners of tracks: MAML, MAML++ and MetaNet, for which a task is a few tracks of one way to move."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from fastslow.core.motion_frames import NOISE, SLOWEST, AlignedFrame
from fastslow.data.tracks.resample import Windows
from fastslow.methods.mamlpp import step_weights
from fastslow.methods.metanet import preprocess, with_one
from fastslow.studies.track_learners import SEEN, STEPS, Setting
from fastslow.studies.track_networks import Shown, mlp

#: Tasks of a training step; tracks of a support set, and windows of it; windows that are asked about.
TASKS, _TRACKS, _SUPPORT, _QUERY = 4, 4, 20, 20
_CLIP = 1.0


class TrackTasks(NamedTuple):
    """Tasks side by side, as a network sees them.

    Attributes:
        support: shape (tasks, support, shown, 2).
        targets: theirs, shape (tasks, support, 2 steps).
        query: of other tracks, shape (tasks, queries, shown, 2).
        answers: theirs, shape (tasks, queries, 2 steps).
    """

    support: Tensor
    targets: Tensor
    query: Tensor
    answers: Tensor


def drawn_tasks(windows: Windows, shown: Shown, generator: np.random.Generator) -> TrackTasks:
    """Tasks of some tracks; in each, all move as much slower, mirrored or not (`varied`, one draw a task)."""
    tracks = np.unique(windows.track)
    parts: list[tuple[Tensor, ...]] = []
    for _ in range(TASKS):
        mine = np.isin(windows.track, generator.choice(tracks, min(_TRACKS, len(tracks) - 1), replace=False))
        scale = np.exp(generator.uniform(np.log(SLOWEST), 0.0)) * np.array([1.0, generator.choice([-1.0, 1.0])])
        task: list[Tensor] = []
        for rows, size in ((np.flatnonzero(mine), _SUPPORT), (np.flatnonzero(~mine), _QUERY)):
            drawn = generator.choice(rows, size)
            origin = windows.seen[drawn, -1:]
            noise = generator.standard_normal(windows.seen[drawn].shape) * (NOISE * generator.random())
            seen, future = (windows.seen[drawn] - origin) * scale + noise, (windows.future[drawn] - origin) * scale
            task += [shown.inputs(seen), shown.targets(seen, future)]
        parts.append(tuple(task))
    return TrackTasks(*(torch.stack(part) for part in zip(*parts, strict=True)))


class MAML:
    """`methods.maml` on tracks: gradient steps on all windows given, from a start learned through such steps.

    Args:
        setting: see `Setting`.
        inner_steps: in training.
        inner_rate: of a step.
        plus: MAML++: losses after every step count, annealed over the first half of training; each layer has a learned
            rate at each step; and there are no more steps of adaptation than in training.
        steps: of training, Adam.
        rate: the highest, one cycle.
    """

    def __init__(
        self, setting: Setting, *, inner_steps: int = 5, inner_rate: float = 0.2, plus: bool = False,
        steps: int = 600, rate: float = 2e-3,
    ) -> None:  # fmt: skip
        torch.manual_seed(setting.seed)
        frame = AlignedFrame(setting.rate)
        self.shown, self.network = Shown(frame), mlp(frame.num_shown(SEEN))
        self.generator = np.random.default_rng(setting.seed)
        self.steps, self.rate, self.plus = setting.steps(steps), rate, plus
        self.weights: dict[str, Tensor] = dict(self.network.named_parameters())
        rates = torch.full((inner_steps, len(self.weights)), inner_rate)
        self.inner_rates = nn.Parameter(rates, requires_grad=plus)
        self.taken = 0

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        self.shown.measure(windows)
        learned = [*self.network.parameters(), *([self.inner_rates] if self.plus else [])]
        optimiser = torch.optim.Adam(learned, lr=self.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.steps + 1)
        last = [0.0] * (len(self.inner_rates) - 1) + [1.0]
        for step in range(self.steps):
            shares = step_weights(len(last), min(1.0, 2 * step / self.steps)) if self.plus else last
            tasks = drawn_tasks(windows, self.shown, self.generator)
            optimiser.zero_grad()
            vmap(lambda *task, shares=shares: self._loss(task, shares))(*tasks).mean().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learned, _CLIP)
            optimiser.step()
            schedule.step()
        self.weights = {name: weight.detach() for name, weight in self.weights.items()}

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        if self.taken < len(self.inner_rates) or not self.plus:
            inputs, targets = self.shown.inputs(windows.seen), self.shown.targets(windows.seen, windows.future)
            number = min(self.taken, len(self.inner_rates) - 1)
            stepped = self._stepped(self.weights, inputs, targets, self.inner_rates[number].detach())
            self.weights = {name: weight.detach() for name, weight in stepped.items()}
        self.taken += 1

    @torch.no_grad()
    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        return self.shown.positions(seen, functional_call(self.network, self.weights, (self.shown.inputs(seen),)))

    def _loss(self, task: tuple[Tensor, ...], shares: list[float]) -> Tensor:
        support, targets, query, answers = task
        weights: dict[str, Tensor] = dict(self.network.named_parameters())
        loss = torch.zeros(())
        for share, rates in zip(shares, self.inner_rates, strict=True):
            weights = self._stepped(weights, support, targets, rates)
            if share:
                loss = loss + share * F.mse_loss(functional_call(self.network, weights, (query,)), answers)
        return loss

    def _stepped(self, weights: dict[str, Tensor], inputs: Tensor, targets: Tensor, rates: Tensor) -> dict[str, Tensor]:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            return F.mse_loss(functional_call(self.network, weights, (inputs,)), targets)

        gradient = grad(loss)(weights)
        return {
            name: weight - rate * gradient[name] for (name, weight), rate in zip(weights.items(), rates, strict=True)
        }


class MetaNet:
    r"""`methods.metanet` on tracks: fast weights of the last two layers, made of the gradient of each example's error.

    A network m turns the gradient of the squared error of each example into fast weights, stored under the example's
    key; a query's are their mean by the softmax of the keys' cosines. Layers are augmented, ReLU(slow) + ReLU(fast),
    and at the end slow + fast. Of that paper's parts the embedding's own fast weights, Q*, are left out: keys are slow.
    One step of adaptation, forward only.

    Args:
        setting: see `Setting`.
        dim: units of the layers.
        hidden: units of m.
        steps: of training, Adam.
        rate: the highest, one cycle.
    """

    def __init__(
        self, setting: Setting, *, dim: int = 24, hidden: int = 20, steps: int = 400, rate: float = 3e-3
    ) -> None:
        torch.manual_seed(setting.seed)
        frame = AlignedFrame(setting.rate)
        self.shown, self.generator = Shown(frame), np.random.default_rng(setting.seed)
        self.steps, self.rate = setting.steps(steps), rate
        size = 2 * frame.num_shown(SEEN)
        widths = (nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.network = nn.ModuleDict(
            {
                "base": nn.Linear(size, dim), "key": nn.Linear(size, dim), "m": nn.Sequential(*widths),
                "inner": nn.Linear(dim, dim), "outer": nn.Linear(dim, 2 * STEPS),
            }
        )  # fmt: skip
        last = widths[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # so that fast weights start at zero, and change nothing
        nn.init.zeros_(last.bias)
        self.log_attention = nn.Parameter(torch.zeros(()))
        self.memory: tuple[Tensor, Tensor] | None = None

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        self.shown.measure(windows)
        learned = [*self.network.parameters(), self.log_attention]
        optimiser = torch.optim.Adam(learned, lr=self.rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.steps + 1)
        for _ in range(self.steps):
            tasks = drawn_tasks(windows, self.shown, self.generator)
            answers = self._answers(tasks.query, self._stored(tasks.support, tasks.targets))
            # the plain answers are trained as well: forecasts before adaptation are made of them
            loss = F.mse_loss(answers, tasks.answers) + F.mse_loss(self._answers(tasks.query, None), tasks.answers)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learned, _CLIP)
            optimiser.step()
            schedule.step()

    @torch.no_grad()
    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`; further steps change nothing."""
        if self.memory is None:
            inputs, targets = self.shown.inputs(windows.seen), self.shown.targets(windows.seen, windows.future)
            parts = [
                self._stored(x[None], y[None])
                for x, y in zip(torch.split(inputs, 50), torch.split(targets, 50), strict=True)
            ]
            keys, fast = (torch.cat(part, 1) for part in zip(*parts, strict=True))
            self.memory = keys, fast

    @torch.no_grad()
    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        parts = [self._answers(part[None], self.memory)[0] for part in torch.split(self.shown.inputs(seen), 200)]
        return self.shown.positions(seen, torch.cat(parts))

    def _stored(
        self, support: Float[Tensor, "tasks support shown 2"], targets: Float[Tensor, "tasks support outputs"]
    ) -> tuple[Tensor, Tensor]:
        """Keys and fast weights of examples, shapes (tasks, support, dim) and (tasks, support, weights)."""
        low = F.relu(self.network["base"](support.flatten(2)))
        gradients = error_gradients(self._slow(), low, targets)
        return self.network["key"](support.flatten(2)), self.network["m"](preprocess(gradients)).squeeze(-1)

    def _answers(
        self, query: Float[Tensor, "tasks queries shown 2"], memory: tuple[Tensor, Tensor] | None
    ) -> Float[Tensor, "tasks queries outputs"]:
        inner, outer = self._slow()
        low = with_one(F.relu(self.network["base"](query.flatten(2))))
        if memory is None:
            return with_one(F.relu(low @ inner.mT)) @ outer.mT
        keys, fast = memory
        asked = F.normalize(self.network["key"](query.flatten(2)), dim=-1)
        cosines = asked @ F.normalize(keys, dim=-1).mT
        mine = (self.log_attention.exp() * cosines).softmax(-1) @ fast
        first, last = (
            part.view(*part.shape[:-1], *slow.shape)
            for part, slow in zip(torch.split(mine, [inner.numel(), outer.numel()], -1), (inner, outer), strict=True)
        )
        middle = with_one(F.relu(low @ inner.mT) + F.relu((first @ low.unsqueeze(-1)).squeeze(-1)))
        answers: Tensor = middle @ outer.mT + (last @ middle.unsqueeze(-1)).squeeze(-1)
        return answers

    def _slow(self) -> tuple[Tensor, Tensor]:
        """Slow weights of the layers that have fast ones, biases their last columns."""
        weights = self.network.get_parameter
        inner, outer = (
            torch.cat([weights(f"{name}.weight"), weights(f"{name}.bias").unsqueeze(1)], 1)
            for name in ("inner", "outer")
        )
        return inner, outer


def error_gradients(
    layers: tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]],
    inputs: Float[Tensor, "*batch features"],
    targets: Float[Tensor, "*batch outputs"],
) -> Float[Tensor, "*batch weights"]:
    """Gradients of each example's own mean squared error, in closed form: `example_gradients` of regression.

    Args:
        layers: weights of two dense layers, biases their last columns, with ReLU between them.
        inputs: of the first, shape (..., features).
        targets: of the second, shape (..., outputs).

    Returns:
        Those of both layers' weights, flat, one after the other; without a graph.
    """
    first, second = (layer.detach() for layer in layers)
    low = with_one(inputs.detach())
    middle = with_one(F.relu(low @ first.mT))
    error = 2 * (middle @ second.mT - targets) / targets.shape[-1]
    back = (error @ second)[..., :-1] * (middle[..., :-1] > 0)
    parts = [(back.unsqueeze(-1) * low.unsqueeze(-2)), (error.unsqueeze(-1) * middle.unsqueeze(-2))]
    return torch.cat([part.flatten(-2) for part in parts], -1)
