"""Gradients of the output controller over a stream of rare classes, as numbers of a result (the paper's Fig. 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastslow.protocol.result import Interval, Result
from fastslow.report.figures.gradient_course import COSINE, SYNTHETIC, TRUE, GradientCourse
from fastslow.training.online.learner import StepReport

#: Stretches of batches of frequent classes from one batch of rare ones to the next, each shown by its mean.
STRETCHES = 10
#: Whose gradients: it is the controller that the paper's Fig. 6 shows.
_CONTROLLER = "output"


class Gradients(NamedTuple):
    """What one batch did to the output controller.

    Attributes:
        true: norm of backpropagation's gradient of its parameters, of the mean loss.
        synthetic: norm of what Eq. 10 joined to it, or put in its place; 0 where it does not learn fast.
        cosine: between predicted and true gradient at its outputs.
    """

    true: float
    synthetic: float
    cosine: float

    @classmethod
    def of(cls, report: StepReport) -> Gradients:
        """Those of a step of `OnlineLearner`."""
        quality = report.quality[_CONTROLLER]
        cosine = 0.0 if quality is None else float(quality.cosine)
        return cls(float(report.true_norms[_CONTROLLER]), float(report.synthetic_norms[_CONTROLLER]), cosine)


class Moment(NamedTuple):
    """A point of the course: a stretch of batches of frequent classes, or one batch of rare ones.

    Attributes:
        exposure: which batch of rare classes it is, or is before, from 1.
        stretch: from 1; None for the batch of rare classes itself.
    """

    exposure: int
    stretch: int | None

    @property
    def name(self) -> str:
        """What a number of it is called, after its series."""
        return f"rare batch {self.exposure}" if self.stretch is None else f"stretch {self.exposure}.{self.stretch}"


def moments(exposures: int) -> list[Moment]:
    """All points of a course, in order."""
    places = (*range(1, STRETCHES + 1), None)
    return [Moment(exposure, place) for exposure in range(1, exposures + 1) for place in places]


def batches_of(moment: Moment, every: int) -> range:
    """The batches of a point, from 0.

    Args:
        moment: the point.
        every: batches from one of rare classes to the next.
    """
    start = (moment.exposure - 1) * every
    if moment.stretch is None:
        return range(start + every - 1, start + every)
    edges = [start + (every - 1) * part // STRETCHES for part in (moment.stretch - 1, moment.stretch)]
    return range(*edges)


def numbers_of(course: Sequence[Gradients], *, every: int) -> Iterator[tuple[str, Interval]]:
    """Means over the batches of each point, by name.

    Args:
        course: one a batch, of whole rounds.
        every: see `batches_of`.
    """
    for moment in moments(len(course) // every):
        of = [course[batch] for batch in batches_of(moment, every)]
        for series, values in zip((TRUE, SYNTHETIC, COSINE), zip(*of, strict=True), strict=True):
            unit = "cosine" if series == COSINE else "loss per parameter"
            yield f"{series}, {moment.name}", Interval.of(values, unit)


def course_of(results: Sequence[Result], *, every: int, exposures: int) -> GradientCourse | None:
    """The figure of results, means over seeds; None where none of them has gradients.

    Args:
        results: of one data set.
        every: see `batches_of`.
        exposures: batches of rare classes.
    """
    points = moments(exposures)
    with_gradients = [result for result in results if any(name.startswith(TRUE) for name in result.numbers)]
    if not with_gradients:
        return None
    named = {r.cell.method: [o for o in with_gradients if o.cell.method == r.cell.method] for r in with_gradients}
    courses = {
        method: {
            series: [_mean(found, f"{series}, {point.name}") for point in points]
            for series in (TRUE, SYNTHETIC, COSINE)
        }
        for method, found in named.items()
    }
    batches = [batches_of(point, every).stop for point in points]
    title = "Gradient of the output controller over the stream, backpropagated and synthetic (Fig. 6)"
    return GradientCourse(title, batches, [point.stretch is None for point in points], courses)


def _mean(results: Sequence[Result], name: str) -> float | None:
    found = [result.numbers[name].mean for result in results if name in result.numbers]
    return math.fsum(found) / len(found) if found else None
