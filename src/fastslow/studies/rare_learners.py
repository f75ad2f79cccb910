"""Learners of the study of rare classes: all but one see features of one fixed encoder, and a batch at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.encoders import ConvEncoder, ImageEncoder, images_per_pass, in_passes
from fastslow.core.gaussian import ClassStatistics
from fastslow.core.literal_memory import LiteralMemory, MemoryNetwork
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.estimators.slow_encoder import EVERY, FREQUENT, SlowCopy, carry, frequent_classes
from fastslow.estimators.stream_memory import Limits, StreamMemory
from fastslow.methods.config import CONTROLLERS
from fastslow.methods.controls import predictor_of
from fastslow.methods.surprise import SurpriseMemory
from fastslow.studies.rare_gradients import Gradients
from fastslow.training.online import OnlineLearner

#: Examples that a learner may keep; those of the replay buffer.
_KEPT, _REPLAYED = 10_000, 1000
#: Size of the plain memory network, and steps of a window: a batch is as many streams side by side as it takes.
_DIM, _SLOTS, _WINDOW = 128, 10, 2
_RATE = 1e-3
_ANSWERED = 2000


@runtime_checkable
class Learner(Protocol):
    """Learns a batch, answers many."""

    def learn(self, features: Float[Tensor, "batch features"], labels: Int64[Tensor, " batch"]) -> None:
        """Takes one batch of the stream in."""

    def answer(self, features: Float[Tensor, "queries features"]) -> Int64[Tensor, " queries"]:
        """The classes of queries, each as if alone; changes nothing."""


class Setting(NamedTuple):
    """What learners are made for.

    Attributes:
        encoder: that made the features.
        prior: how its features of classes spread.
        num_classes: frequent and rare.
        seed: of weights and whatever is drawn.
    """

    encoder: ImageEncoder
    prior: ClassStatistics | None
    num_classes: int
    seed: int


class Stream:
    """The stream learner, `FastSlowClassifier` without its images."""

    def __init__(self, setting: Setting, *, slow: bool = True) -> None:
        limits = Limits(_KEPT, None, "merge")
        self.memory = StreamMemory(setting.encoder.num_features, setting.prior, limits, slow=slow)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        self.memory.learn(features, labels.tolist())

    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        names = torch.tensor([int(str(label)) for label in self.memory.labels])
        return names[self.memory.look(features).likelihood.argmax(1)]


class SlowStream:
    """The stream learner whose encoder learns as well, from frequent classes alone: it sees images, not features."""

    def __init__(self, setting: Setting) -> None:
        self.copy, self.stream = SlowCopy(setting.encoder, seed=setting.seed), Stream(setting)
        self.edge = setting.encoder.image_size

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`; of the pixels of images."""
        images, memory = features.view(-1, 1, self.edge, self.edge), self.stream.memory
        frequent = [int(str(label)) for label in frequent_classes(memory, FREQUENT)]
        if bool((chosen := torch.isin(labels, torch.tensor(frequent, dtype=torch.int64))).any()):
            self.copy.step(images[chosen], labels[chosen])
        self.stream.learn(self._features(images), labels)
        if len(self.copy.seen) >= EVERY:
            carry(memory, self.copy.take_over())

    @torch.no_grad()
    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        return self.stream.answer(self._features(features.view(-1, 1, self.edge, self.edge)))

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        return in_passes(self.copy.used, images, images_per_pass(self.copy.used))


class NearestMean:
    """The class whose mean is nearest."""

    def __init__(self, setting: Setting) -> None:
        self.sums = torch.zeros(setting.num_classes, setting.encoder.num_features)
        self.counts = torch.zeros(setting.num_classes)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        self.sums.index_add_(0, labels, features)
        self.counts.index_add_(0, labels, torch.ones(len(labels)))

    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        means = self.sums / self.counts.clamp_min(1).unsqueeze(1)
        return torch.cdist(features, means).masked_fill(self.counts == 0, torch.inf).argmin(1)


class Nearest:
    """The class of the nearest of all examples."""

    def __init__(self, setting: Setting) -> None:
        self.features, self.labels = torch.empty(0, setting.encoder.num_features), torch.empty(0, dtype=torch.int64)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        self.features = torch.cat([self.features, features])[-_KEPT:]
        self.labels = torch.cat([self.labels, labels])[-_KEPT:]

    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        return self.labels[torch.cat([torch.cdist(part, self.features).argmin(1) for part in _parts(features)])]


class Surprise:
    """The memory that is written when it is surprised, `methods.surprise`."""

    def __init__(self, setting: Setting) -> None:
        self.method = SurpriseMemory(encoder=setting.encoder, num_classes=setting.num_classes)
        self.state = self.method.initial_state(1)

    @torch.no_grad()
    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        self.state = self.method.learn(features.unsqueeze(0), labels.unsqueeze(0), self.state)

    @torch.no_grad()
    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        return self.method.answer(features.unsqueeze(0), self.state)[0].argmax(1)


class Softmax:
    """A linear layer by backpropagation, on the batch and, with a buffer, on as many examples from before."""

    def __init__(self, setting: Setting, *, replay: bool = False) -> None:
        torch.manual_seed(setting.seed)
        self.layer = nn.Linear(setting.encoder.num_features, setting.num_classes)
        self.optimiser = torch.optim.Adam(self.layer.parameters(), lr=_RATE)
        self.generator = torch.Generator().manual_seed(setting.seed)
        self.replay, self.seen = replay, 0
        self.kept: list[tuple[Tensor, Tensor]] = []

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        shown, named = features, labels
        if self.replay and self.kept:
            chosen = torch.randint(len(self.kept), (len(features),), generator=self.generator).tolist()
            old = [self.kept[index] for index in chosen]
            shown, named = (torch.cat([now, torch.stack(before)]) for now, before in zip(
                (features, labels), zip(*old, strict=True), strict=True))  # fmt: skip
        self.optimiser.zero_grad()
        F.cross_entropy(self.layer(shown), named).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        if self.replay:
            self._keep(features, labels)

    @torch.no_grad()
    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        answers: Tensor = self.layer(features).argmax(1)
        return answers

    def _keep(self, features: Tensor, labels: Tensor) -> None:
        """Reservoir sampling: every example of the stream is as likely to be in the buffer."""
        for example in zip(features, labels, strict=True):
            self.seen += 1
            place = int(torch.randint(self.seen, (1,), generator=self.generator))
            if len(self.kept) < _REPLAYED:
                self.kept.append(example)
            elif place < _REPLAYED:
                self.kept[place] = example


class Online:
    """The paper's memory network in its online regime: a batch is a window; memory lives as long.

    `course` has what each batch did to its output controller.

    Args:
        setting: see `Setting`.
        fast: whether its controllers learn fast as well.
        control: of its predictors, see `predictor_of`.
        rate: of Adam.
        options: of `OnlineLearner`.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        fast: bool,
        control: str = "none",
        rate: float = _RATE,
        **options: Any,  # noqa: ANN401
    ) -> None:
        torch.manual_seed(setting.seed)
        size = setting.encoder.num_features
        memory = LiteralMemory(input_size=size, dim=_DIM, num_slots=_SLOTS, compose="query")
        self.network = MemoryNetwork(encoder=nn.Identity(), memory=memory, num_outputs=setting.num_classes)
        made = [GradientPredictor(dim=_DIM, target_size=setting.num_classes) for _ in CONTROLLERS]
        predictors = Predictors(*(predictor_of(control, predictor) for predictor in made))
        self.learner = OnlineLearner(
            network=self.network, predictors=predictors, fast_controllers=CONTROLLERS if fast else (),
            optimiser=torch.optim.Adam(self.network.parameters(), lr=rate), **options,
        )  # fmt: skip
        self.course: list[Gradients] = []

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`."""
        report, _ = self.learner.step(features.view(_WINDOW, -1, features.shape[1]), labels.view(_WINDOW, -1))
        self.course.append(Gradients.of(report))

    @torch.no_grad()
    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`."""
        answers = [self.network(part, self.network.initial_state(len(part)))[0].argmax(1) for part in _parts(features)]
        return torch.cat(answers)


class PlainNetwork:
    """Convolutions and a linear layer by backpropagation from random weights: it sees images, not features."""

    def __init__(self, setting: Setting) -> None:
        torch.manual_seed(setting.seed)
        self.edge = setting.encoder.image_size
        convolutions = ConvEncoder(image_size=self.edge)
        self.network = nn.Sequential(convolutions, nn.Linear(convolutions.num_features, setting.num_classes))
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=_RATE)

    def learn(self, features: Tensor, labels: Tensor) -> None:
        """See `Learner`; of the pixels of images."""
        self.network.train()
        self.optimiser.zero_grad()
        F.cross_entropy(self.network(self._images(features)), labels).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()

    @torch.no_grad()
    def answer(self, features: Tensor) -> Tensor:
        """See `Learner`; statistics of batch norm are running ones."""
        self.network.eval()
        return torch.cat([self.network(self._images(part)).argmax(1) for part in _parts(features)])

    def _images(self, pixels: Tensor) -> Tensor:
        return pixels.view(-1, 1, self.edge, self.edge)


def _parts(features: Tensor) -> Sequence[Tensor]:
    return torch.split(features, _ANSWERED)


_added = functools.partial(Online, fast=True, clip_synthetic=1.0)
#: Those that see pixels in the place of features.
SEE_IMAGES = ("cnn", "stream-slow-encoder")
#: Learners by the name of their row.
LEARNERS: dict[str, Callable[[Setting], Learner]] = {
    "stream": Stream,
    "stream-given": functools.partial(Stream, slow=False),
    "stream-slow-encoder": SlowStream,
    "nearest-mean": NearestMean,
    "nearest-example": Nearest,
    "surprise": Surprise,
    "softmax": Softmax,
    "softmax-replay": functools.partial(Softmax, replay=True),
    "cnn": PlainNetwork,
    "nmn": functools.partial(Online, fast=False),
    "nmn-higher-rate": functools.partial(Online, fast=False, rate=10 * _RATE),
    "nmn-fast-added": _added,
    "nmn-fast-replaced": functools.partial(Online, fast=True, clip_synthetic=1.0, join="replaced", mix=1.0),
    "nmn-matched": functools.partial(_added, join="matched"),
    "nmn-fast-label-only": functools.partial(_added, control="label_only"),
    "nmn-fast-random": functools.partial(_added, control="random_predictor"),
}
