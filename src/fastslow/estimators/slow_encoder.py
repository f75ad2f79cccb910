"""The slow path of a stream learner: its encoder learns from frequent classes by backpropagation, without replay."""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.contrast import contrast, turned
from fastslow.core.drift import Drift, fit_drift
from fastslow.core.encoders import ImageEncoder, images_per_pass, in_passes
from fastslow.core.gaussian import ClassStatistics
from fastslow.data.augment import affine, affine_amounts
from fastslow.data.checks import refuse_unless_positive, refuse_unless_whole
from fastslow.data.labels import checked_labels
from fastslow.errors import InputError, shown
from fastslow.estimators.contexts import plainly
from fastslow.estimators.conventions import as_list
from fastslow.estimators.examples import carried
from fastslow.estimators.features import LoadedModel, loaded_model
from fastslow.estimators.images import prepared_images
from fastslow.estimators.statistics import save_statistics, statistics_path
from fastslow.estimators.stream import FastSlowClassifier
from fastslow.estimators.stream_memory import StreamMemory
from fastslow.estimators.weights import weights_sha256
from fastslow.methods.files import TrainedModel, save_model

#: Chosen on training images of MNIST, digits divided otherwise than in the study of rare classes.
FREQUENT, RATE, EVERY = 50, 1e-4, 100
#: Affine changes of each drawing that are told from those of others.
_CHANGES = 2


class SlowCopy:
    """A copy of an encoder that learns, and the drawings by which its movement is seen.

    Each step sees the drawings of one batch, each in two affine changes and four turns, and sets classes and turns
    apart (`core.contrast`): the turns stand for classes that are still to come. Frozen: batch statistics.

    Args:
        encoder: that is in use; it is left alone.
        rate: of Adam.
        seed: of the changes.
    """

    def __init__(self, encoder: ImageEncoder, *, rate: float = RATE, seed: int = 0) -> None:
        self.used, self.learning = encoder.folded(), copy.deepcopy(encoder).eval().requires_grad_(True)
        self.optimiser = torch.optim.Adam(self.learning.parameters(), lr=rate)
        self.generator = torch.Generator().manual_seed(seed)
        self.seen: list[Tensor] = []

    def step(self, images: Float[Tensor, "batch 1 size size"], labels: Int64[Tensor, " batch"]) -> float:
        """One step of backpropagation.

        Args:
            images: of frequent classes, in [0, 1].
            labels: numbers of the classes.

        Returns:
            The loss, nats.

        Raises:
            ValueError: if it is no number any more; the encoder has not been changed by this step.
        """
        changed = torch.cat([affine(images, affine_amounts(len(images), self.generator)) for _ in range(_CHANGES)])
        views, classes = turned(changed, labels.repeat(_CHANGES))
        self.optimiser.zero_grad()
        loss = contrast(self.learning(views), classes, self.learning.log_sharpness.detach().exp())
        nats = float(loss.detach())
        if not math.isfinite(nats):
            raise InputError(f"the loss of the slow path is {nats} after a step of it; give a lower rate")
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.seen.append(images)
        return nats

    @torch.no_grad()
    def take_over(self) -> Drift:
        """The encoder as it is now becomes the one in use; where features have gone, as the drawings since show."""
        if not self.seen:
            raise InputError("the slow path has made no step since its encoder was taken over; call step first")
        images, new = torch.cat(self.seen), self.learning.folded()
        before, after = (in_passes(encoder, images, images_per_pass(encoder)) for encoder in (self.used, new))
        drift = fit_drift(before, after)
        if not all(bool(torch.isfinite(part).all()) for part in drift):
            raise InputError("the slow path has moved features to where numbers end; begin again with a lower rate")
        self.used, self.seen = new, []
        return drift


def frequent_classes(memory: StreamMemory, frequent: int) -> dict[Hashable, int]:
    """Numbers of the classes that a memory has so many examples of, by label."""
    counts = memory.knowledge.counts.tolist()
    return {label: number for number, label in enumerate(memory.labels) if counts[number] >= frequent}


def carry(memory: StreamMemory, drift: Drift) -> None:
    """Takes all that a memory keeps to where its encoder now puts it; there is nothing to undo then.

    How classes spread is rounded to the 16 bits that a file of it has, so that a saved one is the same.
    """
    if memory.prior is not None:
        memory.prior = ClassStatistics(*(part.half().double() for part in drift.of_statistics(memory.prior)))
    memory.restore(memory.labels, carried(memory.examples, drift))


class SlowEncoder:
    """Has the encoder of a stream learner learn by backpropagation, on the frequent classes of the stream, beside it.

    The learner learns forward only and answers as before, while a copy of its encoder learns from each batch once; from
    time to time the copy takes over, and what the memory keeps is carried along (`core.drift`), for the drawings are
    gone. This is for machines that can train. Rare classes are never trained on, and gain by what frequent ones teach.

    Examples:
        >>> from fastslow import FastSlowClassifier, SlowEncoder
        >>> from fastslow.data import make_glyphs
        >>> drawings = make_glyphs(num_classes=2, per_class=6, seed=3).images
        >>> labels = ["alpha"] * 6 + ["beta"] * 6
        >>> learner = FastSlowClassifier("omniglot-5w1s-fast").fit(drawings, labels)
        >>> slow = SlowEncoder(learner, frequent=5)
        >>> slow.step(drawings, labels) > 0
        True
        >>> slow.hand_over()
        >>> learner.predict(drawings[[0, 7]]).tolist()
        ['alpha', 'beta']

    Args:
        learner: of drawings: its model is a shipped one, a run folder or a .safetensors file.
        frequent: examples from which on a class is frequent.
        rate: of Adam.
        every: steps from one hand-over to the next; until then their drawings are kept, to see what has moved.
        seed: of the changes of drawings.

    Attributes:
        steps: made so far.

    Raises:
        ValueError: if the learner's model cannot be trained, or a number is none that it can be.
    """

    @plainly
    def __init__(
        self,
        learner: FastSlowClassifier,
        *,
        frequent: Any = FREQUENT,  # noqa: ANN401 - from users, as all of these
        rate: Any = RATE,  # noqa: ANN401
        every: Any = EVERY,  # noqa: ANN401
        seed: Any = 0,  # noqa: ANN401
    ) -> None:
        frequent, every = (refuse_unless_whole(n, v, 1) for n, v in (("frequent", frequent), ("every", every)))
        seed, rate = refuse_unless_whole("seed", seed, 0), refuse_unless_positive("rate", rate)
        if not isinstance(learner, FastSlowClassifier):
            raise InputError(f"got {shown(learner)} to train the encoder of; a FastSlowClassifier was expected")
        model = learner.model
        if not isinstance(model, str | Path | LoadedModel) or str(model).lower().endswith(".onnx"):
            raise InputError(
                f"got a learner whose model is {shown(model)}; the slow path trains encoders of drawings: give one "
                "with a shipped model, a run folder or a .safetensors file"
            )
        self.learner, self.frequent, self.every, self.steps = learner, frequent, every, 0
        self._loaded = model if isinstance(model, LoadedModel) else loaded_model(str(model))
        self._sha256 = learner._encoder().sha256
        self._copy = SlowCopy(self._loaded.trained.method.encoder, rate=rate, seed=seed)

    @plainly
    @torch.enable_grad()
    def step(self, X: Any, y: Any) -> float | None:  # noqa: ANN401 - as the learner takes them
        """Learns from the drawings of one batch that are of frequent classes; each `every` steps, hands over.

        Args:
            X: drawings, as `partial_fit` takes them, before or after it.
            y: their labels.

        Returns:
            The loss, nats; None if no class of the batch is frequent yet.

        Raises:
            ValueError: if the learner has another model by now, or the rate is too high.
        """
        learner = self._unchanged()
        labels = checked_labels(as_list(y))
        images = prepared_images(X, size=self._loaded.trained.config.image_size, ink=learner.ink, crop=learner.crop)
        if len(labels) != len(images):
            raise InputError(f"got {len(images)} drawings and {len(labels)} labels; give one label per drawing")
        numbers = frequent_classes(learner.memory_, self.frequent) if hasattr(learner, "memory_") else {}
        chosen = [place for place, label in enumerate(labels) if label in numbers]
        if not chosen:
            return None
        loss = self._copy.step(images[chosen], torch.tensor([numbers[labels[place]] for place in chosen]))
        self.steps += 1
        if len(self._copy.seen) >= self.every:
            self.hand_over()
        return loss

    @plainly
    def hand_over(self) -> None:
        """Gives the learner the encoder as it is now, and takes its memory along; `undo` does not reach behind it.

        Raises:
            ValueError: if there was no step since the last time, or the learner has another model by now.
        """
        with self.learner._lock:
            learner, (trained, _) = self._unchanged(), self._loaded
            drift = self._copy.take_over()
            carry(learner.memory_, drift)
            method = copy.deepcopy(trained.method).requires_grad_(False)
            method.encoder.load_state_dict(self._copy.learning.state_dict())
            details = trained.details | {"slow_path_steps": self.steps}
            self._loaded = LoadedModel(TrainedModel(method, trained.config, details), learner.memory_.prior)
            learner.model = self._loaded
            self._sha256 = learner.memory_.source = learner._encoder().sha256

    def save(self, path: str | Path) -> None:
        """Writes the model that the learner has, and how classes spread beside it.

        `FastSlowClassifier.load(PATH_OF_THE_LEARNER, model=path)` then reads the learner.

        Raises:
            ValueError: if the path does not end in .safetensors, or no file can be written there.
        """
        trained, prior = self._loaded
        save_model(path, trained)
        beside = statistics_path(Path(path))
        if prior is None:
            beside.unlink(missing_ok=True)  # of another model
        else:
            sha256 = weights_sha256(trained.method.encoder.state_dict())
            save_statistics(beside, prior, sha256, {"of": "a stream, see SlowEncoder"})

    def _unchanged(self) -> FastSlowClassifier:
        """The learner, if it still has the encoder that this one trains."""
        if self.learner._encoder().sha256 != self._sha256:
            raise InputError("the learner has another model than the one that is trained; make a new SlowEncoder")
        return self.learner
