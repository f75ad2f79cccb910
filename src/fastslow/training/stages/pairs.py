"""The encoder stage: two drawings of each of many classes find one another."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.views import ViewsEncoder
from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeBatch, EpisodeSampler
from fastslow.errors import InputError, shown
from fastslow.methods.base import Method
from fastslow.training import distributed
from fastslow.training.drawings import Drawings
from fastslow.training.precision import bfloat16_is_quicker, embedded
from fastslow.training.teacher import Teacher
from fastslow.training.validation import Validation


class PairsStage:
    """The encoder alone, by the method's `pair_loss`; batch statistics are in use.

    One that joins several views of an image is trained on one, and joins them at the end (`ViewsEncoder.fit`).

    Args:
        method: its encoder is trained.
        images: to train on.
        judge: what validation measures in the encoder's features, such as prototypes; shares the encoder.
        validation: the tasks it is measured on.
        generator: of the changes of the drawings.
        seed: of the pairs.
        share: of the length.
        learning_rate: at its peak.
        num_classes: classes a step, at most as many as have two drawings.
        precision: "auto" for convolutions in bfloat16 where a short measurement says that it is quicker.
        joined_on: images that views are joined on; those to train on if None.
        teacher: what the features are drawn to beside; None for nothing.

    Raises:
        ValueError: if there are fewer than two classes of two drawings, they do not divide among the processes, or
            there are too few images to join views on.
    """

    name, clip, tasks = "encoder", None, 1

    def __init__(
        self,
        method: Method[Any],
        images: ClassImages,
        *,
        judge: Method[Any],
        validation: Validation,
        generator: torch.Generator,
        seed: int,
        share: float = 0.75,
        learning_rate: float = 2e-3,
        num_classes: int = 64,
        precision: Literal["float32", "auto"] = "float32",
        joined_on: ClassImages | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        self.method, self.judge, self.validation, self.generator = method, judge, validation, generator
        self.share, self.learning_rate, self.precision = share, learning_rate, precision
        self.bfloat16 = False
        self.joined_on, self.teacher = joined_on or images, teacher
        if isinstance(method.encoder, ViewsEncoder):
            method.encoder.refuse_too_few(len(self.joined_on.images))
        pairs = min(num_classes, max(2, int((images.labels.bincount() > 1).sum())))
        distributed.refuse_indivisible(pairs)
        self.sampler = EpisodeSampler(labels=images.labels, n_way=pairs, n_shot=1, n_query=1, seed=seed)
        self.drawings = Drawings(images.images, generator, method.encoder.log_sharpness.device)

    def parameters(self) -> list[nn.Parameter]:
        """See `Stage.parameters`."""
        return self.method.parameters_of(self.name)

    def begin(self, step: int) -> None:
        """See `Stage.begin`."""
        if isinstance(self.method.encoder, ViewsEncoder):
            self.method.encoder.joins = False
        if step == 0:
            self.method.begin(self.name)
            if self.precision == "auto":
                self.bfloat16 = not distributed.any_process(not bfloat16_is_quicker(self.method.encoder))
        if self.teacher is not None:
            self.teacher.begin()  # the last: one process may abandon it, and the others must not wait for it

    def loss(self, done: float) -> Float[Tensor, ""]:
        """See `Stage.loss`."""
        self.method.train()
        batch = self.sampler.sample()
        pairs = distributed.share(torch.stack([batch.support_indices[0], _by_label(batch)], dim=1))
        features = embedded(self.method.embed, self.drawings.changed(pairs), bfloat16=self.bfloat16)
        loss = self.method.pair_loss(features.reshape(-1, 2, *features.shape[1:]))
        return loss if self.teacher is None else loss + self.teacher.loss(features.flatten(1), pairs.flatten())

    def validate(self) -> dict[str, Any]:
        """See `Stage.validate`."""
        features = self.validation.features(self.judge)
        return {"validation": self.validation.accuracy(self.judge, features), "gradients": {}}

    def end(self) -> None:
        """Running statistics are of each process's share until here. See `Stage.end`."""
        encoder = self.method.encoder
        distributed.average_buffers(encoder)
        if isinstance(encoder, ViewsEncoder):
            images = self.joined_on.images
            encoder.fit(images, self.joined_on.labels, self.validation.stop.watch("views", len(images)))
            encoder.joins = True
        if self.teacher is not None:
            self.teacher.end()

    def state_dict(self) -> dict[str, Any]:
        """See `Stage.state_dict`."""
        return {
            "sampler": self.sampler.state_dict(), "generator": self.generator.get_state(), "bfloat16": self.bfloat16,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Stage.load_state_dict`."""
        self.sampler.load_state_dict(state["sampler"])
        self.generator.set_state(state["generator"])
        if not isinstance(state["bfloat16"], bool):
            raise InputError(f"got bfloat16={shown(state['bfloat16'])}; true or false was expected")
        self.bfloat16 = state["bfloat16"]


def _by_label(batch: EpisodeBatch) -> Tensor:
    """The query of each support example's class, one per class, in the order of the support set."""
    order = batch.query_labels[0].argsort()
    return batch.query_indices[0][order][batch.support_labels[0]]
