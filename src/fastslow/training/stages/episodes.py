"""The stages on tasks: memory and predictors on cached features, then everything end to end."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeSampler
from fastslow.methods.base import Method, Task
from fastslow.methods.networks import MemoryMethod
from fastslow.training import distributed
from fastslow.training.checkpoint import fill_model
from fastslow.training.stages.features import CachedFeatures, LiveFeatures
from fastslow.training.stages.predictor_fit import PredictorFit, learned_with_steps
from fastslow.training.validation import Validation

#: Of each class, where there are more classes than can be cached.
_DRAWINGS = 20
#: Chance that a training step's support sets come in two parts, like classes learned one after another.
SPLIT_SUPPORT = 0.25


class EpisodesStage:
    """Tasks, by the method's `loss`; statistics are frozen, unless the method trains with those of the batch.

    Made by `memory_stage` and `end_to_end_stage`.

    Args:
        name: "memory" or "end_to_end".
        method: what is trained.
        images: to train on.
        features: of these images.
        validation: the tasks that it is measured on; those of training have as many classes and support images.
        generator: of the parts of support sets.
        seed: of the tasks.
        share: of the length.
        learning_rate: at its peak.
        tasks: tasks a step, over all processes.
        n_query: queries of each class.
        fit: Eq. 11 beside the query loss of a memory method; None for without.
        clip: largest norm of the gradient.

    Raises:
        ValueError: if the images cannot give such tasks, or they do not divide among the processes.
    """

    def __init__(
        self,
        name: str,
        method: Method[Any],
        images: ClassImages,
        features: CachedFeatures | LiveFeatures,
        *,
        validation: Validation,
        generator: torch.Generator,
        seed: int,
        share: float,
        learning_rate: float,
        tasks: int,
        n_query: int = 3,
        fit: PredictorFit | None = None,
        clip: float | None = 1.0,
    ) -> None:
        distributed.refuse_indivisible(tasks)
        self.name, self.method, self.features, self.validation, self.fit = name, method, features, validation, fit
        self.share, self.learning_rate, self.tasks, self.clip = share, learning_rate, tasks, clip
        self.generator = generator
        self.sampler = EpisodeSampler(
            labels=images.labels, n_way=validation.n_way, n_shot=validation.n_shot, n_query=n_query, seed=seed
        )

    def parameters(self) -> list[nn.Parameter]:
        """See `Stage.parameters`."""
        return self.method.parameters_of(self.name)

    def begin(self, step: int) -> None:
        """See `Stage.begin`."""
        self.features.make()
        if step == 0:
            self.method.begin(self.name)

    def task(self) -> Task:
        """Draws this process's share of the next tasks."""
        batch = self.sampler.sample(self.tasks)
        size = batch.support_indices.shape[1]
        features = self.features.take(torch.cat([batch.support_indices, batch.query_indices], dim=1))
        labels, query_labels = (
            distributed.share(part).to(features.device) for part in (batch.support_labels, batch.query_labels)
        )
        cut = int(torch.randint(1, size, (), generator=self.generator, device="cpu")) if size > 1 else 0
        chance = torch.rand((), generator=self.generator, dtype=torch.float32, device="cpu")
        return Task(features[:, :size], labels, features[:, size:], query_labels, cut if chance < SPLIT_SUPPORT else 0)

    def loss(self, done: float) -> Float[Tensor, ""]:
        """See `Stage.loss`."""
        self.method.train()
        self.method.anneal(done)
        self.method.encoder.train(self.name == "end_to_end" and self.method.batch_statistics)
        task = self.task()
        if self.fit is None:
            return self.method.loss(task)
        assert isinstance(self.method, MemoryMethod)  # that `fit` was made of
        steps, state = learned_with_steps(self.method, task)
        loss = F.cross_entropy(self.method.answer(task.query, state).flatten(0, 1), task.query_labels.flatten())
        return loss + self.fit.term(loss, steps)

    def validate(self) -> dict[str, Any]:
        """See `Stage.validate`; with "gradients", how near a memory method's predictors are to the true ones."""
        features = self.validation.features(self.method)
        accuracy = self.validation.accuracy(self.method, features)
        method = self.method
        gradients = self.validation.gradients(method, features) if isinstance(method, MemoryMethod) else {}
        return {"validation": accuracy, "gradients": gradients}

    def end(self) -> None:
        """See `Stage.end`; running statistics are of each process's share until here."""
        self.features.drop()
        if self.method.batch_statistics:
            distributed.average_buffers(self.method)

    def state_dict(self) -> dict[str, Any]:
        """See `Stage.state_dict`."""
        return {
            "sampler": self.sampler.state_dict(), "generator": self.generator.get_state(),
            "scales": {} if self.fit is None else self.fit.scales.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Stage.load_state_dict`."""
        self.sampler.load_state_dict(state["sampler"])
        self.generator.set_state(state["generator"])
        if self.fit is not None:
            fill_model(self.fit.scales, state["scales"])


def memory_stage(
    method: Method[Any],
    images: ClassImages,
    *,
    validation: Validation,
    generator: torch.Generator,
    seed: int,
    change_seed: int,
    share: float = 0.15,
    learning_rate: float = 1e-3,
    tasks: int = 32,
    n_query: int = 3,
    fit: PredictorFit | None = None,
    clip: float | None = 1.0,
    cached_images: int = 2**17,
) -> EpisodesStage:
    """Memory, decoder and predictors on features made once; `change_seed` is of the changed half of them.

    They are of the first classes, about `cached_images` passes of the encoder and enough for a task, and as many again
    for the changed half. See `EpisodesStage` for the other arguments.
    """
    enough = validation.n_way * _DRAWINGS
    images = images.at_most(max(enough, cached_images // method.encoder.num_views), _DRAWINGS)
    features = CachedFeatures(method, images.images, generator, seed=change_seed, stop=validation.stop)
    return EpisodesStage(
        "memory", method, images, features, validation=validation, generator=generator, seed=seed, share=share,
        learning_rate=learning_rate, tasks=tasks, n_query=n_query, fit=fit, clip=clip,
    )  # fmt: skip


def end_to_end_stage(
    method: Method[Any],
    images: ClassImages,
    *,
    validation: Validation,
    generator: torch.Generator,
    seed: int,
    share: float = 0.1,
    learning_rate: float = 3e-5,
    tasks: int = 16,
    n_query: int = 3,
    fit: PredictorFit | None = None,
    clip: float | None = 1.0,
) -> EpisodesStage:
    """Everything through the query loss, drawings changed anew at every step. See `EpisodesStage` for the arguments."""
    features = LiveFeatures(method, images.images, generator)
    return EpisodesStage(
        "end_to_end", method, images, features, validation=validation, generator=generator, seed=seed, share=share,
        learning_rate=learning_rate, tasks=tasks, n_query=n_query, fit=fit, clip=clip,
    )  # fmt: skip
