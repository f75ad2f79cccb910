"""What a stream learner makes of the examples it keeps: quickly the sums of classes, slowly the axes they are told by.

Both are functions of the rows that are kept and of their order of arrival, so that to forget an example is to be
as if it had never been seen, while none has been merged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from fastslow.core.gaussian import (
    ClassAxes,
    ClassForms,
    ClassStatistics,
    class_axes,
    class_forms,
    evened,
    posterior,
)
from fastslow.estimators.contexts import plain_torch, plainly
from fastslow.estimators.doubt import believed, sums_of
from fastslow.estimators.examples import Examples, weighted_sums

#: Degrees of freedom of the next example's distribution, see `distances`.
FREEDOM = 10.0
#: Rows at which axes are first made of the stream, with statistics to start from and without; then a quarter more.
_FIRST_WITH, _FIRST_WITHOUT, _MORE = 64, 2, 1.25
#: Examples that what there is to start from counts for, per feature; and classes that its centre counts for.
_BELIEF, _CENTRE_BELIEF = 4, 10
#: Share of W that is made the same in all directions: of what there is to start from, and of all in the end.
_EVEN_PRIOR, _EVEN = 0.5, 0.05
#: Without statistics to start from, and without two examples of a class: variance within classes over that between.
_WITHIN = 0.1


class Knowledge:
    """Sums of classes, and what follows from them.

    Args:
        examples: that are kept; read, never changed.
        num_classes: of them.
        prior: how features of classes spread in the encoder's training, or None.
        slow: whether the axes are learned from the stream as well.
        doubt: whether examples count the less, the less the others agree with their labels.
    """

    def __init__(
        self, examples: Examples, num_classes: int, prior: ClassStatistics | None, *, slow: bool, doubt: bool = False
    ) -> None:
        self.examples, self.prior, self.slow, self.doubt = examples, prior, slow, doubt
        self.sums, self.counts = weighted_sums(examples, num_classes)
        self._stage = -1
        self._axes: ClassAxes | None = None
        self._forms: ClassForms | None = None
        self._ready: tuple[ClassAxes, ClassForms] | None = None
        self._changed: set[int] = set()  # classes whose forms are of before

    @property
    def num_classes(self) -> int:
        """Classes known, with examples or not."""
        return len(self.counts)

    def learn(self, features: Float[Tensor, "new features"], classes: Int64[Tensor, " new"], num_classes: int) -> None:
        """Takes in examples that have been added to the rows; classes may be new."""
        if num_classes > self.num_classes:
            more = num_classes - self.num_classes
            self.sums = torch.cat([self.sums, self.sums.new_zeros(more, self.sums.shape[1])])
            self.counts = torch.cat([self.counts, self.counts.new_zeros(more)])
            self._forms = None
        self.sums.index_add_(0, classes, features.double())
        self.counts.index_add_(0, classes, torch.ones_like(classes, dtype=torch.float64))
        self._changed.update(classes.tolist())
        self._ready = None

    def recount(self, changed: Int64[Tensor, " changed"]) -> None:
        """Counts the rows of some classes anew, which are other ones now."""
        if not len(changed):
            return
        rows = torch.isin(self.examples.classes, changed)
        sums, counts = weighted_sums(self.examples, self.num_classes, rows)
        self.sums[changed], self.counts[changed] = sums[changed], counts[changed]
        self._axes = self._forms = self._ready = None  # of other rows

    def ready(self) -> tuple[ClassAxes, ClassForms]:
        """`axes` and `classes`, looked for once after each change."""
        if self._ready is None:
            with plain_torch():
                self._ready = self.axes, self.classes
        return self._ready

    @property
    def axes(self) -> ClassAxes:
        """On which classes are told apart: of the first rows, as many as the last of a series of sizes."""
        if self._axes is None or self._stage != self._wanted_stage():
            stage = self._wanted_stage()
            axes = stream_axes(self.examples, self.num_classes, stage, self.prior, merged=self.slow)
            self._stage, self._axes, self._forms = stage, axes, None
        return self._axes

    @property
    def classes(self) -> ClassForms:
        """What is known of each class, on `axes`; one without examples is infinitely far."""
        if self._stage != self._wanted_stage() or self._forms is None or (self.doubt and self._changed):
            self._forms = self._doubted() if self.doubt else self._of(range(self.num_classes))
        elif self._changed:
            changed = sorted(self._changed)
            for known, new in zip(self._forms, self._of(changed), strict=True):
                known[changed] = new
        self._changed.clear()
        return self._forms

    def _of(self, classes: Sequence[int]) -> ClassForms:
        """Forms of classes, each by itself: a product of many rows is not rounded as that of one row is."""
        centre, axes, spread = self.axes
        rows = [(self.sums[number] - self.counts[number] * centre) @ axes for number in classes]
        sums = torch.stack(rows) if rows else self.sums.new_zeros(0, axes.shape[1])
        counts = self.counts[torch.tensor(classes, dtype=torch.int64)]
        return _forms(sums, counts, spread)

    def _doubted(self) -> ClassForms:
        """Forms of all classes, of examples as far as they are believed."""
        rows, weights = self.axes.of(self.examples.features), self.shares() * self.examples.counts
        return _forms(*sums_of(rows, self.examples.classes, weights, self.num_classes), self.axes.spread)

    @plainly
    def shares(self) -> Float64[Tensor, " rows"]:
        """How far each row is believed, in [0, 1]."""
        kept, counts = self.examples, self.examples.counts.double()
        if not self.doubt:
            return torch.ones_like(counts)
        rows, spread = self.axes.of(kept.features), self.axes.spread
        return believed(rows, kept.classes, counts, spread, num_classes=self.num_classes, freedom=FREEDOM)

    def _wanted_stage(self) -> int:
        return _stage(len(self.examples), with_prior=self.prior is not None, slow=self.slow)


def _forms(sums: Float64[Tensor, "classes axes"], counts: Float64[Tensor, " classes"], spread: Tensor) -> ClassForms:
    forms = class_forms(posterior(sums, counts, spread))
    return forms._replace(squares=forms.squares.masked_fill(counts == 0, torch.inf))


@functools.lru_cache(maxsize=16)
def _stage(rows: int, *, with_prior: bool, slow: bool) -> int:
    """How many of so many rows the axes are made of."""
    first = _FIRST_WITH if with_prior else _FIRST_WITHOUT
    if not slow or rows < first:
        return 0 if with_prior else min(rows, first)
    return math.ceil(first * _MORE ** math.floor(math.log(rows / first, _MORE) + 1e-9))


def stream_axes(
    examples: Examples, num_classes: int, rows: int, prior: ClassStatistics | None, *, merged: bool
) -> ClassAxes:
    """The axes that the first rows give, beside what there is to start from.

    Args:
        examples: that are kept.
        num_classes: of them.
        rows: how many to look at.
        prior: as if so many examples more had been seen as it counts for; where there is none, features are taken to
            spread alike in all directions until examples say otherwise.
        merged: whether to look at what merging has lost, of whichever rows.
    """
    features, classes = examples.features[:rows].double(), _by_appearance(examples.classes[:rows], num_classes)
    counts = examples.counts[:rows].double()
    totals = torch.zeros(num_classes, dtype=torch.float64).index_add_(0, classes, counts)
    sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float64)
    means = sums.index_add_(0, classes, features * counts.unsqueeze(1)) / totals.clamp_min(1).unsqueeze(1)
    residues = (features - means[classes]) * counts.sqrt().unsqueeze(1)
    scatter, freedom = residues.mT @ residues, float(len(features) - (totals > 0).sum())
    if merged and examples.num_lost:  # each merging has lost as much as one example says
        scatter, freedom = scatter + examples.lost, freedom + examples.num_lost
    return class_axes(_statistics(means[totals > 0], scatter, freedom, prior))


def _by_appearance(classes: Int64[Tensor, " rows"], num_classes: int) -> Int64[Tensor, " rows"]:
    """Classes numbered as they first come, whatever else has come and gone: sums are rounded by their order."""
    rows = torch.arange(len(classes))
    first = torch.full((num_classes,), len(classes)).scatter_reduce(0, classes, rows, "amin")
    return first.argsort(stable=True).argsort()[classes]


def _statistics(
    means: Float64[Tensor, "classes features"],
    scatter: Float64[Tensor, "features features"],
    freedom: float,
    prior: ClassStatistics | None,
) -> ClassStatistics:
    size = scatter.shape[0]
    belief = _BELIEF * size
    if prior is not None:
        centre, within, between = (part.double() for part in prior)
        seen = (belief * evened(within, _EVEN_PRIOR) + scatter) / (belief + freedom)
        centre = (_CENTRE_BELIEF * centre + means.sum(0)) / (_CENTRE_BELIEF + len(means))
        return ClassStatistics(centre, evened(seen, _EVEN), between * (seen.trace() / within.trace()))
    even = torch.eye(size, dtype=torch.float64)
    centre = means.mean(0) if len(means) else scatter.new_zeros(size)
    apart = float(means.var(0, correction=0).mean()) if len(means) > 1 else 0.0
    level = float(scatter.trace()) / size / freedom if freedom else 0.0
    level = level or _WITHIN * apart or 1.0
    seen = (belief * level * even + scatter) / (belief + freedom)
    return ClassStatistics(centre, evened(seen, _EVEN), max(apart, level) * even)
