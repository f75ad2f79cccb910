"""What two networks learn and are asked about in the study of sharing, whatever it is of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.literal_memory import MemoryNetwork
from fastslow.core.motion_frames import Frame
from fastslow.data.tracks.resample import Windows
from fastslow.protocol.result import Interval


class Examples(NamedTuple):
    """What a network learns.

    Attributes:
        inputs: shape (rows, ...).
        targets: shape (rows, outputs); of classes one-hot.
    """

    inputs: Float[Tensor, "rows *shape"]
    targets: Float[Tensor, "rows outputs"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a network is asked about, and is never taught.

    Attributes:
        examples: inputs and right answers.
        loss: of answers and targets, shape (rows,).
        plain: the loss of an answer that needs no learning, shape (rows,).
        group: whose row it is, from 0; rows of one track are one measurement.
        unit: what the ratio to the plain answer is called.
        classes: whether answers are logits of classes, and so right or wrong.
    """

    examples: Examples
    loss: Callable[[Tensor, Tensor], Tensor]
    plain: Float[Tensor, " rows"]
    group: Int64[Tensor, " rows"]
    unit: str
    classes: bool = False

    def ratio(self, answers: Float[Tensor, "rows outputs"]) -> Interval:
        """Mean loss over that of the plain answer; the interval is over groups, by the delta method."""
        losses = self.loss(answers, self.examples.targets).double()
        count = int(self.group.max()) + 1
        sizes = self.group.bincount(minlength=count).clamp_min(1)
        mine, plain = (torch.zeros(count).double().index_add(0, self.group, e) / sizes for e in (losses, self.plain))
        ratio = float(mine.sum() / plain.sum())
        deviation = float((mine - ratio * plain).std()) / float(plain.mean()) if count > 1 else 0.0
        return Interval(ratio, 1.96 * deviation / math.sqrt(count) if count > 1 else None, count, self.unit)

    def right(self, answers: Float[Tensor, "rows outputs"]) -> Interval:
        """Share of rows whose class is answered, of classes alone."""
        return Interval.of((answers.argmax(1) == self.examples.targets.argmax(1)).double().tolist())


class Kind(NamedTuple):
    """What networks there are for some kind of examples, and how fast they learn.

    Attributes:
        network: of so many outputs, as printed or not; weights from torch's global generator.
        dim: features of a controller's output.
        loss: of answers and targets, a mean over examples.
        printed: rate of Adam as printed.
        rate: of both networks where nothing else is said.
        tuned: that a fresh network does best with in as many iterations as the second has updates.
    """

    network: Callable[..., MemoryNetwork]
    dim: int
    loss: Callable[[Tensor, Tensor], Tensor]
    printed: float
    rate: float
    tuned: float


class Shown(NamedTuple):
    """What a network is asked about, as movements.

    Attributes:
        windows: of tracks that nobody learns.
        frame: in which they are shown to the network.
    """

    windows: Windows
    frame: Frame


class Pair(NamedTuple):
    """Two streams.

    Attributes:
        first: what the first network learns from the first iteration on.
        second: what the second learns, a little, now and then.
        first_asked: of tracks or drawings that nobody learns.
        second_asked: likewise.
        kind: of examples.
        facts: what numbers depend on besides the cell.
        first_shown: what the first network is asked about, to be drawn; None where there is nothing to draw.
        second_shown: likewise.
    """

    first: Examples
    second: Examples
    first_asked: Asked
    second_asked: Asked
    kind: Kind
    facts: Mapping[str, Any]
    first_shown: Shown | None = None
    second_shown: Shown | None = None
