"""The contract of a method: three verbs serve training, evaluation, estimators and export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.encoders import ImageEncoder
from fastslow.errors import InputError

State = TypeVar("State")


class Task(NamedTuple):
    """Tasks side by side; examples are as `Method.embed` gives them.

    Attributes:
        support: shape (tasks, support, ...).
        support_labels: classes within the task, int64, shape (tasks, support).
        query: shape (tasks, queries, ...).
        query_labels: shape (tasks, queries).
        cut: the support set comes in two parts, the first of this many examples; 0 for all at once.
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    cut: int = 0


class Method(nn.Module, ABC, Generic[State]):
    """A few-shot learner: shown a support set it returns a state, from which queries are answered.

    `embed` is the line at which work may be cached: what it gives does not depend on labels or other examples.

    Args:
        encoder: images to features.
        num_classes: the most ways a task can have.
    """

    #: Whether answers depend on the other queries.
    transductive: ClassVar[bool] = False
    #: Whether learning a task needs autograd.
    needs_autograd: ClassVar[bool] = False
    #: Stages that training goes through, of "encoder", "memory" (on cached features), "end_to_end".
    stages: ClassVar[tuple[str, ...]] = ("encoder",)
    #: Learning rates of stages, at their peak, where they are other than the stages' own.
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({})
    #: Whether batch norm is by the statistics of the images embedded together in training end to end, as it has to be
    #: from nothing; frozen if not.
    batch_statistics: ClassVar[bool] = False

    def __init__(self, *, encoder: ImageEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.num_classes = encoder, num_classes

    @property
    def capacity(self) -> int | None:
        """How many examples a task can have before one more takes the place of another; None: no such limit."""
        return None

    def embed(self, inputs: Tensor) -> Tensor:
        """Features of images (images, 1, height, width) in [0, 1], shape (images, features)."""
        features: Tensor = self.encoder(inputs)
        return features

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """Nothing learned yet, for `batch_size` tasks side by side."""

    @abstractmethod
    def learn(self, examples: Tensor, targets: Tensor, state: State | None = None) -> State:
        """Learns a support set on top of what was learned before.

        Args:
            examples: from `embed`, shape (tasks, support, ...).
            targets: classes within the task, int64, shape (tasks, support).
            state: what is known before, `initial_state` if None; not modified.

        Returns:
            What is known after.

        Raises:
            ValueError: if a label is not below `num_classes`, or there is not one label per example.
        """

    @abstractmethod
    def answer(self, examples: Tensor, state: State) -> Tensor:
        """Logits of queries, each answered as if alone, shape (tasks, queries, num_classes). Changes nothing.

        Classes that no example was shown of may have logits of minus infinity.
        """

    def forward(self, support: Tensor, support_labels: Tensor, query: Tensor) -> Tensor:
        """Learns the support sets, then answers the query sets: logits, shape (tasks, queries, num_classes)."""
        return self.answer(query, self.learn(support, support_labels))

    def loss(self, task: Task) -> Float[Tensor, ""]:
        """What training makes small: the mean cross entropy of the answers, nats."""
        state = None
        parts = [task.cut, task.support.shape[1] - task.cut] if task.cut else [task.support.shape[1]]
        pieces = zip(torch.split(task.support, parts, 1), torch.split(task.support_labels, parts, 1), strict=True)
        for examples, labels in pieces:
            state = self.learn(examples, labels, state)
        assert state is not None
        return F.cross_entropy(self.answer(task.query, state).flatten(0, 1), task.query_labels.flatten())

    def pair_loss(self, features: Float[Tensor, "classes 2 features"]) -> Float[Tensor, ""]:
        """The encoder stage's loss: one large 1-shot task read both ways, nats.

        Prototypical, by distance; a method that compares otherwise overrides it.
        """
        return pair_loss(features, self.encoder.log_sharpness.exp())

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        """The parameters that a stage of training moves."""
        if stage == "encoder":
            return list(self.encoder.parameters())
        resting = {id(p) for p in self.encoder.parameters()} if stage == "memory" else set()
        return [p for p in self.parameters() if p.requires_grad and id(p) not in resting]

    def begin(self, stage: str) -> None:
        """Called before the first step of each stage; nothing to do here."""

    def anneal(self, done: float) -> None:
        """Called before each step on tasks with how much of its stage is done, in [0, 1]; nothing to do here."""


def pair_loss(features: Float[Tensor, "classes 2 features"], sharpness: Tensor) -> Float[Tensor, ""]:
    """Prototypical loss of one large 1-shot task read both ways: each of two drawings per class finds the other.

    Args:
        features: two examples of each of many classes, shape (classes, 2, features).
        sharpness: scale of the logits, a positive scalar.

    Returns:
        Mean cross entropy in nats.
    """
    first, second = features[:, 0], features[:, 1]
    logits = -0.5 * sharpness * torch.cdist(first, second).square()
    target = torch.arange(len(features), device=features.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.mT, target))


def refuse_wrong_labels(examples: Tensor, labels: Tensor, num_classes: int) -> None:
    """The one check of a support set's labels.

    Values are not looked at while a graph is being traced, compiled or exported.

    Raises:
        ValueError: if there is not one int64 label per example, or one is not a class.
    """
    if labels.shape != examples.shape[:2] or labels.dtype != torch.int64:
        raise InputError(
            f"got labels of shape {tuple(labels.shape)} and type {labels.dtype} with examples of shape "
            f"{tuple(examples.shape)}; give one int64 label per example, shape {tuple(examples.shape[:2])}"
        )
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return
    numbers = {label for task in labels.tolist() for label in task}
    if not numbers <= set(range(num_classes)):
        raise InputError(
            f"got labels from {min(numbers)} to {max(numbers)}; this model tells {num_classes} classes apart, "
            f"0 to {num_classes - 1}"
        )


def refuse_without_features(method: Method[Any]) -> None:
    """Refuses a method that embeds in its own way.

    Raises:
        ValueError: if it does.
    """
    if type(method).embed is not Method.embed:
        raise InputError(
            f"got a model of method {type(method).__name__}, which takes images as they are: its encoder has no "
            "features to compare; give a model of fastslow, protonet or another method that compares features"
        )
