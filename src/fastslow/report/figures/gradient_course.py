"""Gradients of the output controller over a stream, batches of rare classes marked (the paper's Fig. 6)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.report.figures.base import BLUE, GREEN, RED, Frame, canvas, label, save

#: Series of a course, and how they are drawn.
TRUE, SYNTHETIC, COSINE = "backpropagated", "synthetic", "cosine"
_COLOURS = {TRUE: BLUE, SYNTHETIC: RED, COSINE: GREEN}


@dataclasses.dataclass(frozen=True)
class GradientCourse:
    """A row a learner: norms of the backpropagated and the synthetic gradient, and the cosine between them.

    Attributes:
        title: what is shown, one line.
        batches: number of batches seen at each point.
        rare: whether the point is one batch of rare classes; the others are means over the batches since the last one.
        courses: by learner and series, a value a point; None where one is not known.
    """

    title: str
    batches: Sequence[int]
    rare: Sequence[bool]
    courses: Mapping[str, Mapping[str, Sequence[float | None]]]

    def __post_init__(self) -> None:
        lengths = {len(values) for course in self.courses.values() for values in course.values()}
        if not self.batches or lengths != {len(self.batches)} or len(self.rare) != len(self.batches):
            raise InputError("got no gradients, or courses of different lengths; there are no lines to draw")

    def frame(self) -> Frame:
        """Columns batches, rare, and one a learner and series."""
        columns: Frame = {"batches": list(self.batches), "rare": list(self.rare)}
        for name, course in self.courses.items():
            columns |= {f"{name}, {series}": list(values) for series, values in course.items()}
        return columns

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        figure = canvas(9.0, 0.6 + 1.7 * len(self.courses))
        rows = figure.subplots(len(self.courses), 2, sharex=True, squeeze=False)
        for (norms, cosines), (name, course) in zip(rows, self.courses.items(), strict=True):
            for series, values in course.items():
                axes = cosines if series == COSINE else norms
                known = [math.nan if value is None else value for value in values]
                lines = [b for b, r in zip(zip(self.batches, known, strict=True), self.rare, strict=True) if not r]
                marks = [b for b, r in zip(zip(self.batches, known, strict=True), self.rare, strict=True) if r]
                axes.plot(*zip(*lines, strict=True), "-", color=_COLOURS[series], linewidth=1, label=series)
                axes.plot(*zip(*marks, strict=True), "o", color=_COLOURS[series], markersize=4)
            positive = [v for s in (TRUE, SYNTHETIC) for v in course.get(s, ()) if v is not None and v > 0]
            if positive:
                norms.set_yscale("log")
            norms.set_title(label(name), fontsize=9, loc="left")
            cosines.axhline(0, color="black", linestyle=":", linewidth=0.8)
            cosines.set(ylim=(-1.05, 1.05))
        for axes in itertools.chain(*rows):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        rows[0][0].legend(fontsize=7, frameon=False, ncol=2, loc="lower right", bbox_to_anchor=(1, 1))
        rows[0][1].set_title("cosine of synthetic and true gradient", fontsize=9, loc="left")
        for axes in rows[-1]:
            axes.set_xlabel("batches; dots are those of rare classes")
        for row in rows:
            row[0].set_ylabel("norm", fontsize=8)
        save(figure, path)
