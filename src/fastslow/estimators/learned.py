"""What a stream learner has learned, and the model that makes its features."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

import torch

from fastslow.alone import Shared, alone
from fastslow.data.preparation import Ink
from fastslow.errors import InputError
from fastslow.estimators.features import Features, features_of
from fastslow.estimators.stream_memory import StreamMemory


class NotFittedError(InputError, AttributeError):
    """Asked before anything was learned."""


class Learned(Shared):
    """A `StreamMemory`, which holds features of one model only."""

    model: Any
    ink: Ink
    crop: bool
    memory_: StreamMemory
    _features: tuple[Any, Features] | None = None

    def _made(self, X: Any, teach: bool = False) -> torch.Tensor:  # noqa: ANN401
        """Features of examples, of the model and the number that was learned; to be learned, too, or asked about."""
        encoder = self._same_encoder()
        features = encoder.teach(X) if teach else encoder.make(X)
        if features.shape[1] != (expected := self.memory_.examples.num_features):
            raise InputError(
                f"X has {features.shape[1]} features, but {type(self).__name__} is expecting {expected} features as "
                "input"
            )
        return features

    def _same_encoder(self, thoroughly: bool = False) -> Features:
        """What made the features that were learned; refuses a learner that has another model or other weights now."""
        encoder = self._encoder(thoroughly)
        if encoder.sha256 != self.memory_.source:
            raise InputError(
                "got another model than the one whose features were learned; give that one back, or fit again"
            )
        return encoder

    def _encoder(self, thoroughly: bool = False) -> Features:
        """What makes features: read or looked at once, and again where the model is another or has changed.

        Args:
            thoroughly: whether to look at each weight of a module, see `WatchedModule`.
        """
        asked = (self.model, self.ink, self.crop)
        if self._features is not None:
            before, made = self._features
            if all(new is old for new, old in zip(asked, before, strict=True)) and made.unchanged(thoroughly):
                return made
        self._features = (asked, features_of(self.model, ink=self.ink, crop=self.crop))
        return self._features[1]

    @alone
    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which are made while others go on teaching."""
        state = {name: value for name, value in vars(self).items() if name != "_features"}
        return state | ({"memory_": copy.deepcopy(self.memory_)} if "memory_" in state else {})

    def _labels(self) -> list[Hashable]:
        """Labels by number; refuses a learner that knows none."""
        if not len(self._known().examples):
            raise NotFittedError("no class has been learned yet; call fit, partial_fit or learn_one first")
        return list(self.memory_.labels)

    def _known(self) -> StreamMemory:
        """What has been learned; refuses a learner that has not learned anything."""
        if not hasattr(self, "memory_"):
            raise NotFittedError("no class has been learned yet; call fit, partial_fit or learn_one first")
        return self.memory_
