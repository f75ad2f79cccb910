"""Memories beside a network in the study of sharing: forward only, and what is written is known at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.error_memory import ErrorMemory
from fastslow.core.gaussian import (
    ClassStatistics,
    class_axes,
    class_forms,
    class_statistics,
    class_sums,
    distances,
    evened,
    posterior,
)
from fastslow.core.track_networks import AXES
from fastslow.studies.sharing_data import Examples

#: Slots of a memory of errors and the weight of its empty slot; what counts as one in its keys, m/s; and samples over
#: which a change is taken.
_SLOTS, _EMPTY, _WIDTH, _BACK = 512, 0.3, 0.25, 3
#: Share of W that is even, and degrees of freedom of the next example; chosen on validation characters.
_EVEN, _FREEDOM = 0.8, 16.0
#: Of log likelihoods: a share of each number of many that depend on one another is news.
_SHARES = [0.0, *np.geomspace(1e-3, 1.0, 25).tolist()]


class ErrorsKept:
    """What a network got wrong, by the velocity that was shown last and how it had changed, in units of `_WIDTH`."""

    def __init__(self, outputs: int) -> None:
        self.memory = ErrorMemory(_SLOTS, 2 * AXES, outputs // AXES, empty=_EMPTY)

    def write(self, inputs: Tensor, errors: Tensor) -> None:
        """Takes errors in, shape (rows, outputs)."""
        self.memory.write(self._keys(inputs), errors.double().view(len(errors), -1, AXES).numpy())

    def read(self, inputs: Tensor) -> Tensor:
        """Errors to expect, shape (rows, outputs)."""
        return torch.from_numpy(self.memory.read(self._keys(inputs)).error).flatten(1).to(inputs)

    def _keys(self, inputs: Tensor) -> np.ndarray:
        last = inputs[:, -1]
        keys: np.ndarray = (torch.cat([last, last - inputs[:, -1 - _BACK]], 1) / _WIDTH).double().numpy()
        return keys


@torch.no_grad()
def class_logits(
    encoder: Callable[[Tensor], Tensor], inputs: Float[Tensor, "rows *shape"], kept: Sequence[Examples],
    seen: Sequence[Examples],
) -> Float[Tensor, "rows classes"]:  # fmt: skip
    """Of classes, by the Gaussian model that the stream learner answers by (`core.gaussian`).

    Its likelihoods are multiplied by what the kept examples are best foretold with, each by the others: none, where
    they are not foretold at all.

    Args:
        encoder: from inputs to features.
        inputs: what is asked about.
        kept: examples of these classes.
        seen: examples of others, of which it takes how features spread.
    """
    (shown, classes), (others, labels) = (_joined(encoder, examples) for examples in (kept, seen))
    centre, within, between = class_statistics(others, labels)
    axes = class_axes(ClassStatistics(centre, evened(within, _EVEN), between))
    known, asked = axes.of(shown), axes.of(encoder(inputs))
    sums, counts = class_sums(known, classes, kept[0].targets.shape[1])

    def likelihoods(queries: Tensor, sums: Tensor, counts: Tensor) -> Tensor:
        return distances(queries, class_forms(posterior(sums, counts, axes.spread)), freedom=_FREEDOM).likelihood

    by_others = torch.cat(
        [
            likelihoods(one[None], sums - one * own[:, None], counts - own)
            for one, own in zip(known, F.one_hot(classes, len(counts)).double(), strict=True)
        ]
    )
    losses = torch.stack([F.cross_entropy(share * by_others, classes) for share in _SHARES])
    logits: Tensor = _SHARES[int(losses.argmin())] * likelihoods(asked, sums, counts)
    return logits.to(inputs)


def _joined(encoder: Callable[[Tensor], Tensor], examples: Sequence[Examples]) -> tuple[Tensor, Tensor]:
    """Features and classes."""
    inputs, targets = map(torch.cat, zip(*examples, strict=True))
    return encoder(inputs), targets.argmax(1)
