"""Networks that learn tracks by backpropagation, the paper's Eq. 10 beside it or not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.motion_frames import AlignedFrame, Frame, SiteFrame, varied
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.core.track_networks import HIDDEN, track_network
from fastslow.data.tracks.resample import Windows
from fastslow.methods.config import CONTROLLERS
from fastslow.studies.track_learners import SEEN, STEPS, Setting, first_of_each, rows_of
from fastslow.training.online import OnlineLearner

#: Windows of a training step, and the largest norm of its gradient.
BATCH, _CLIP = 128, 1.0
#: Sec. 4.2.
_LITERAL_RATE, _LITERAL_ITERATIONS = 1e-5, 100
#: Examples that are replayed in a stream, and steps at each track.
_KEPT, _STREAM_STEPS = 2000, 4


class Shown:
    """Movements as a network sees them, and its answers as positions.

    Args:
        frame: how they are shown.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame, self.input_scale, self.target_scale = frame, 1.0, 1.0

    def measure(self, windows: Windows) -> None:
        """Scales what is shown from now on so that these windows have a mean square of 1."""
        self.input_scale = float(np.sqrt(np.square(self.frame.inputs(windows.seen)).mean()))
        self.target_scale = float(np.sqrt(np.square(self.frame.targets(windows.seen, windows.future)).mean()))

    def inputs(self, seen: np.ndarray) -> Tensor:
        """Shape (rows, shown, 2)."""
        return torch.from_numpy(self.frame.inputs(seen) / self.input_scale).float()

    def targets(self, seen: np.ndarray, future: np.ndarray) -> Tensor:
        """Shape (rows, 2 steps)."""
        return torch.from_numpy(self.frame.targets(seen, future) / self.target_scale).float().flatten(1)

    def positions(self, seen: np.ndarray, answers: Tensor) -> np.ndarray:
        """Of answers (rows, 2 steps), metres, shape (rows, steps, 2)."""
        return self.frame.positions(seen, answers.double().numpy().reshape(len(seen), -1, 2) * self.target_scale)


#: Units of each layer of `mlp`.
MLP = 64


def mlp(num_shown: int, width: int = MLP) -> nn.Module:
    """Two hidden layers, from velocities to what constant velocity gets wrong."""
    layers = [nn.Linear(2 * num_shown, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 2 * STEPS))


class Seq2Seq(nn.Module):
    """An encoder and a decoder with soft attention, after GD-GAN, the paper's [50]: of one track, without a GAN.

    Args:
        num_shown: samples that are encoded; any number works.
        embedding: units of the embedding.
        hidden: units of either LSTM.
    """

    def __init__(self, num_shown: int, embedding: int = 16, hidden: int = 32) -> None:
        super().__init__()
        self.embedding, self.encoder = nn.Linear(2, embedding), nn.LSTM(embedding, hidden, batch_first=True)
        self.score = nn.Linear(hidden, 1)
        self.context = nn.Linear(2 * hidden, hidden)
        self.decoder, self.output = nn.LSTM(hidden, hidden, batch_first=True), nn.Linear(hidden, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """From (rows, shown, 2) to (rows, 2 steps)."""
        states, _ = self.encoder(F.relu(self.embedding(inputs)))
        attended = (self.score(states).softmax(1) * states).sum(1)
        context = torch.tanh(self.context(torch.cat([states[:, -1], attended], 1)))
        start = context.unsqueeze(0)
        decoded, _ = self.decoder(context.unsqueeze(1).expand(-1, STEPS, -1), (start, torch.zeros_like(start)))
        answers: Tensor = self.output(decoded)
        return answers.flatten(1)


class Supervised:
    """A network trained on the first kind, and fine-tuned on the other.

    Args:
        setting: see `Setting`.
        make: the network, of the number of velocities that it is shown.
        steps: of training, AdamW with one cycle of the rate.
        rate: the highest of them.
        adapt_rate: of an AdamW step of adaptation on all windows given; None for a network that does not adapt.
        replay: for streams: each call takes several steps, on the windows given and as many of earlier calls.
    """

    def __init__(
        self, setting: Setting, make: Callable[[int], nn.Module], *, steps: int = 3000, rate: float = 2e-3,
        adapt_rate: float | None = None, replay: bool = False,
    ) -> None:  # fmt: skip
        torch.manual_seed(setting.seed)
        frame = AlignedFrame(setting.rate)
        self.shown, self.network = Shown(frame), make(frame.num_shown(SEEN))
        self.generator = np.random.default_rng(setting.seed)
        self.steps, self.rate, self.adapt_rate = setting.steps(steps), rate, adapt_rate
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=adapt_rate or 0.0)
        self.buffer = Reservoir(_KEPT, self.generator) if replay else None

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        self.shown.measure(windows)
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.rate, total_steps=self.steps + 1)
        for _ in range(self.steps):
            drawn = rows_of(windows, self.generator.integers(len(windows.seen), size=BATCH))
            self._step(optimiser, *varied(drawn.seen, drawn.future, self.generator))
            schedule.step()

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        if self.adapt_rate is None:
            return
        if self.buffer is None:
            self._step(self.optimiser, windows.seen, windows.future)
            return
        for _ in range(_STREAM_STEPS):
            seen, future = self.buffer.beside(windows)
            self._step(self.optimiser, seen, future)
        self.buffer.keep(windows)

    @torch.no_grad()
    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        return self.shown.positions(seen, self.network(self.shown.inputs(seen)))

    @torch.no_grad()
    def hidden(self, seen: np.ndarray) -> np.ndarray:
        """What the last layer of `mlp` sees of windows, shape (windows, units)."""
        numbers: np.ndarray = self.network[:-1](self.shown.inputs(seen)).double().numpy()  # type: ignore[index]
        return numbers

    def _step(self, optimiser: torch.optim.Optimizer, seen: np.ndarray, future: np.ndarray) -> None:
        optimiser.zero_grad()
        loss = F.mse_loss(self.network(self.shown.inputs(seen)), self.shown.targets(seen, future))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        optimiser.step()


class Reservoir:
    """Windows of a stream, each as likely to be kept as any other.

    Args:
        size: the most that are kept.
        generator: of what is drawn.
    """

    def __init__(self, size: int, generator: np.random.Generator) -> None:
        self.size, self.generator, self.count = size, generator, 0
        self.kept: list[tuple[np.ndarray, np.ndarray]] = []

    def keep(self, windows: Windows) -> None:
        """Takes in more of the stream."""
        for window in zip(windows.seen, windows.future, strict=True):
            self.count += 1
            place = int(self.generator.integers(self.count))
            if len(self.kept) < self.size:
                self.kept.append(window)
            elif place < self.size:
                self.kept[place] = window

    def beside(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Windows given, seen and future, and as many that were kept; none are if there are none."""
        if not self.kept:
            return windows.seen, windows.future
        drawn = [self.kept[at] for at in self.generator.integers(len(self.kept), size=len(windows.seen)).tolist()]
        seen, future = (np.stack(part) for part in zip(*drawn, strict=True))
        return np.concatenate([windows.seen, seen]), np.concatenate([windows.future, future])


class Online:
    """The paper's memory network in its online regime, in windows of two: the write controller has a gradient then.

    Adam divides by the size of past gradients: of a synthetic gradient, whatever is proportional to the true one
    cancels. What Eq. 10 can add there is another direction, or another ratio of one step's length to the next.

    Args:
        setting: see `Setting`.
        fast: whether its controllers learn fast as well (Eq. 10).
        compose: see `LiteralMemory`.
        relu: see `track_network`.
        literal: as printed in Sec. 4.2: places of the site, the first window of each track, all of them in each step.
            Otherwise movements are aligned and varied, and drawn from all windows.
        steps: of training.
        rate: of Adam.
        adapt_rate: of its steps of adaptation.
    """

    def __init__(
        self, setting: Setting, *, fast: bool, compose: Literal["literal", "query"] = "query", relu: bool = False,
        literal: bool = False, steps: int = 1500, rate: float = 3e-3, adapt_rate: float = 3e-4,
    ) -> None:  # fmt: skip
        torch.manual_seed(setting.seed)
        self.literal, self.steps, self.adapt_rate = literal, setting.steps(steps), adapt_rate
        self.network = track_network(STEPS, compose=compose, relu=relu)
        predictors = Predictors(*(GradientPredictor(dim=HIDDEN, target_size=2 * STEPS) for _ in CONTROLLERS))
        self.learner = OnlineLearner(
            network=self.network, predictors=predictors, fast_controllers=CONTROLLERS if fast else (),
            loss=F.mse_loss, optimiser=torch.optim.Adam(self.network.parameters(), lr=rate),
            fit_optimiser=torch.optim.Adam(predictors.parameters(), lr=rate), clip_norm=None if literal else _CLIP,
            clip_synthetic=None if literal else 1.0,
        )  # fmt: skip
        self.shown = Shown(AlignedFrame(setting.rate))
        self.generator = np.random.default_rng(setting.seed)

    def train(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        optimiser = self.learner.optimiser
        if self.literal:
            first = first_of_each(windows)
            self.shown = Shown(SiteFrame(np.concatenate([first.seen, first.future], 1).reshape(-1, 2)))
            for _ in range(self.steps):
                self._step(first.seen, first.future)
        else:
            self.shown.measure(windows)
            rate = optimiser.param_groups[0]["lr"]
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=self.steps + 1)
            for _ in range(self.steps):
                drawn = rows_of(windows, self.generator.integers(len(windows.seen), size=BATCH))
                self._step(*varied(drawn.seen, drawn.future, self.generator))
                schedule.step()
        for group in optimiser.param_groups:
            group["lr"] = self.adapt_rate

    def adapt_step(self, windows: Windows) -> None:
        """See `TrackLearner`."""
        chosen = first_of_each(windows) if self.literal else windows
        self._step(chosen.seen, chosen.future)

    @torch.no_grad()
    def forecast(self, seen: np.ndarray) -> np.ndarray:
        """See `TrackLearner`."""
        answers, _ = self.network(self.shown.inputs(seen), self.network.initial_state(len(seen)))
        return self.shown.positions(seen, answers)

    def _step(self, seen: np.ndarray, future: np.ndarray) -> None:
        """One window of two steps: as many streams side by side as it takes; an odd last row is left out."""
        count = len(seen) // 2 * 2
        inputs, targets = self.shown.inputs(seen[:count]), self.shown.targets(seen[:count], future[:count])
        self.learner.step(inputs.view(2, -1, *inputs.shape[1:]), targets.view(2, -1, targets.shape[1]))


literal_network = functools.partial(
    Online, compose="literal", literal=True, steps=_LITERAL_ITERATIONS, rate=_LITERAL_RATE, adapt_rate=_LITERAL_RATE
)
